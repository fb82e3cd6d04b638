"""Asking for the end of a run, from anywhere: the target records that it is aborted, and the job that works on it hears of it and stops."""

import asyncio
import os
import time

from events.types import StateChanged
from projections.runs import ABORTED, TERMINAL
from tracker import ambient
from tracker.connection import PROCESS, Connection
from tracker.errors import Conflict, InvalidRequest, TrackerError
from tracker.local_transport import Local
from tracker.names import check_name, run_stream
from tracker.preparing import DEFAULT_PROJECT
from tracker.values import step_of


async def abort_run(
    uid: str,
    project: str = "",
    iter: int = 0,  # noqa: A002 - a public name
    reason: str = "",
    uri: str | os.PathLike[str] = "",
) -> None:
    """Have a run, or one iteration of it, end as `aborted` with a reason. Its job stops when it hears of it; siblings of an iteration go
    on. Returns when it is recorded. Raises NotFound, and Conflict when the run has ended."""
    connection = PROCESS.connection(str(uri))
    known = ambient.current()
    project = check_name(project or (known.project if known is not None else DEFAULT_PROJECT), "project")
    uid = check_name(uid, "uid")
    if step_of(iter) < 0:
        raise InvalidRequest(f"an iteration is a number from 0 on, not {iter}", field="iter")
    reason = reason or "aborted by request"
    body = {"reason": reason, "iteration": iter}
    if connection.local and not await asyncio.wrap_future(PROCESS.portal.submit(_writes(connection))):
        await _leave_word(connection, project, uid, iter, reason)
    else:
        await asyncio.wrap_future(connection.ask("POST", f"/v1/projects/{project}/runs/{uid}/abort", body=body))


async def _writes(connection: Connection) -> bool:
    """Whether this process is the writer of its directory."""
    transport = await connection.sender.ready(connection.settings.patience)
    return isinstance(transport, Local) and transport.app.writable


async def _leave_word(connection: Connection, project: str, uid: str, iteration: int, reason: str) -> None:
    """Another process holds the directory: it takes the event from our journal, as all others."""
    params = {"iteration": str(iteration)} if iteration else {}
    run = await asyncio.wrap_future(connection.ask("GET", f"/v1/projects/{project}/runs/{uid}", params))
    if run["state"] in TERMINAL:
        raise Conflict(f"run {project}/{uid} has ended: it is {run['state']}", project=project, uid=uid, state=run["state"])
    event = StateChanged(time=time.time_ns(), iteration=iteration, state=ABORTED, error=reason)
    connection.recorder.record(run_stream(project, uid).encode(), (event,))
    if not await asyncio.wrap_future(connection.flush()):
        raise TrackerError(f"the abort of run {project}/{uid} is recorded here, and not delivered yet: {connection.target.uri} is away")
