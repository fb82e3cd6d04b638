"""Getting a context: the one there is, the one that was prepared, a new run, or another attempt at an old one."""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

from events.types import StateChanged
from projections.runs import RUNNING
from tracker import ambient
from tracker.connection import PROCESS, Connection
from tracker.context import Context
from tracker.errors import InvalidRequest, NotFound, TrackerError
from tracker.known import Memory
from tracker.names import check_name
from tracker.preparing import Prepared, prepared_from
from tracker.secrets.telling import teller_of
from tracker.settings import Execution
from tracker.values import plain_dict, texts_of


def get_or_create_ctx(
    name: str = "",
    spec: Any = None,
    with_env: bool = True,
    rundb: str | os.PathLike[str] = "",
    project: str = "",
    *,
    uid: str = "",
    parameters: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    uri: str | os.PathLike[str] = "",
    parent: str = "",
    capture: bool = False,
) -> Context:
    """The context of the run that the calling code works on; a new run, when it works on none.

    The ambient run is meant when it has this name (or none is given), and no other project, uid or uri is asked for; parameters, labels
    and annotations that it has otherwise are set. A run that was prepared for this process (TRACKER_EXEC_CONFIG, unless `with_env` is
    off), or for the handler that asks, is meant under any name and project. `spec` is a new run: a dict, task or run object. With `uid`, a
    run that exists goes on: a new attempt at it, with what it had (the target is asked once, when the context is awaited or entered).
    `uri` (or `rundb`) says where to record: a directory or http://host:port; default TRACKER_URI, or ./tracker-data. `capture` records the
    console. `parent` is the uid of the run this one is nested in.
    Await it, or enter it: `async with get_or_create_ctx("train") as run`. Raises InvalidRequest for names that are not allowed.
    """
    place = _place(rundb, uri)
    connection = PROCESS.connection(place)
    wanted = Memory(
        parameters=plain_dict(parameters, "parameters"),
        labels=texts_of(labels, "labels"),
        annotations=texts_of(annotations, "annotations"),
    )
    if spec is None:
        known = _known(connection, with_env, name, str(project))
        if known is not None and (not place or connection is known.connection) and known.answers_to(name, project, uid):
            known.take(wanted)
            known.capture(capture)
            if not known.asks:
                known.begin()
            return known
    prepared = prepared_from(spec, name=name, project=str(project), uid=str(uid))
    prepared.memory.parameters |= wanted.parameters
    prepared.memory.labels |= wanted.labels
    prepared.memory.annotations |= wanted.annotations
    context = _opened(prepared, connection)
    context.wants(capture=capture, parent=check_name(parent, "parent") if parent else "")
    if not context.asks:
        context.begin()
    return context


def _place(rundb: str | os.PathLike[str], uri: str | os.PathLike[str]) -> str:
    if rundb and uri and str(rundb) != str(uri):
        raise InvalidRequest(f"rundb and uri both say where to record, and not the same: {rundb}, {uri}", field="rundb")
    return str(uri or rundb)


def _known(connection: Connection, with_env: bool, name: str, project: str) -> Context | None:
    """The ambient run, or the one that was prepared for this process; the names fill what that does not say."""
    known = ambient.current()
    if not with_env and known is not None and known is ambient.PROCESS_RUNS.prepared:
        return None
    execution = Execution.from_env() if with_env and known is None else Execution()
    if not execution.configuration and not execution.secrets:
        return known
    configuration = execution.configuration or "{}"

    def make() -> Context:
        context = _opened(prepared_from(configuration, name=name, project=project), connection)
        context.secrets.add_inline(execution.secrets)
        context.secrets.told = teller_of(execution.pipe)
        context.console_kept = execution.console_kept
        return context

    return ambient.prepare(configuration, make)


def _opened(prepared: Prepared, connection: Connection) -> Context:
    """A context of which nothing is recorded yet; one with a given uid finds out first whether there is such a run."""
    return Context.made(prepared, connection, prepare=_go_on if prepared.uid and not prepared.iteration else None)


async def _go_on(context: Context) -> None:
    """What is still to be done for a context with a given uid: find out whether the run exists, and begin, or take it up."""
    connection = context.connection
    try:
        run = await asyncio.wrap_future(connection.ask("GET", f"/v1/projects/{context.project}/runs/{context.uid}"))
    except NotFound:
        context.begin()
    except (TrackerError, TimeoutError, OSError) as error:
        what = str(error) or type(error).__name__
        connection.recorder.complaints.say("resume", f"it is not known whether run {context.uid} exists ({what}); recording goes on")
        context.begin()
    else:
        wanted, memory = context.memory, _remembered(run)
        given = {**((run.get("spec") or {}).get("inputs") or {}), **wanted.inputs}
        context.remembered = set(memory.inputs) - set(given)
        memory.inputs.update(wanted.inputs)
        memory.steps = await _next_steps(connection, context.project, context.uid)
        context.resume(memory, name=str(run.get("name") or context.name), children=int(run.get("children") or 0))
        context.record(StateChanged(time=time.time_ns(), state=RUNNING))
        context.take(wanted)


def _remembered(run: dict[str, Any]) -> Memory:
    spec = dict(run.get("spec") or {})
    return Memory(
        state=RUNNING,
        found=str(run.get("state") or ""),
        parameters=dict(run.get("parameters") or {}),
        results=dict(run.get("results") or {}),
        labels=dict(run.get("labels") or {}),
        annotations=dict(run.get("annotations") or {}),
        inputs=dict(spec.pop("inputs", None) or {}) | dict(run.get("inputs") or {}),
        in_path=str(spec.pop("input_path", "")),
        out_path=str(spec.pop("output_path", "")),
        spec=spec,
    )


async def _next_steps(connection: Connection, project: str, uid: str) -> dict[str, int]:
    """Where series that are logged without steps go on."""
    try:
        reply = await asyncio.wrap_future(connection.ask("GET", f"/v1/projects/{project}/runs/{uid}/metrics"))
        return {series["key"]: int(series["last_step"]) + 1 for series in reply["series"] if not series.get("iteration")}
    except (TrackerError, TimeoutError, OSError, KeyError, TypeError, InvalidRequest):
        return {}
