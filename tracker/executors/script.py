"""A script as a handler: a program in a process of its own, to which its run is handed in the environment.

`TRACKER_EXEC_CONFIG` holds the run, so `get_or_create_ctx` in the script is that run, under any name. The script records for itself; what
it prints is recorded here. One that asks for no context is a run all the same: it fails with its exit code.
"""

import asyncio
import json
import os
import sys
from typing import Any

from projections.runs import COMPLETED, TERMINAL
from tracker.context import Context
from tracker.errors import InvalidRequest, TrackerError
from tracker.executors.process import Ended, run_process
from tracker.executors.remains import deliver_remains
from tracker.shape import shape_of

# what of a run's spec is the business of whoever runs it
PARENTS = (
    "notifications",
    "state_thresholds",
    "secret_sources",
    "hyperparams",
    "hyper_param_options",
    "param_file",
    "selector",
    "strategy",
)

MAX_CONFIGURATION = 120 * 1024  # characters; the system takes 128 KiB in one variable


class Script:
    """Calls a script for a run or an iteration. Goes to other processes."""

    def __init__(self, path: str, *, echo: bool, cwd: str) -> None:
        self.path, self.echo, self.cwd = path, echo, cwd

    async def __call__(self, context: Context) -> None:
        """Run it to its end; the context here takes what it came to, and records that it failed when it could not say so itself."""
        configuration = json.dumps(handed(context))
        if len(configuration) > MAX_CONFIGURATION:
            raise InvalidRequest(
                f"a script gets its run by the environment, which takes {MAX_CONFIGURATION // 1024} KiB, and this one has "
                f"{len(configuration) // 1024}: put what is big into a file, and give that as an input",
                field="params",
            )
        env = {**environment(), "TRACKER_URI": context.connection.target.uri, "TRACKER_EXEC_CONFIG": configuration}
        env["TRACKER_EXEC_CONSOLE"] = "kept"
        if secrets := dict(context.secrets.items()):
            env["TRACKER_EXEC_SECRETS"] = json.dumps(secrets)
        command = [sys.executable, self.path]
        ended = await run_process(lambda _: command, context.record_console, secrets=context.secrets, echo=self.echo, env=env, cwd=self.cwd)
        await self._conclude(context, ended)

    async def _conclude(self, context: Context, ended: Ended) -> None:
        status = await recorded_elsewhere(context, dead=ended.code < 0)
        state = status.get("state", "")
        if state not in TERMINAL:  # it left the word to us
            status.pop("state", None)
        if state != COMPLETED or ended.code == 0:
            context.absorb(status)
        if ended.code and context.alive:
            context.set_state(error=ended.cause, commit=False)


def environment() -> dict[str, str]:
    """What a process inherits: not the run that was prepared for this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_EXEC_")}


def handed(context: Context) -> dict[str, Any]:
    """The run as the process that works on it gets it; not masked, for it goes to a process of our own and is written nowhere."""
    attrs = shape_of(context)
    attrs["spec"] = {name: value for name, value in attrs["spec"].items() if name not in PARENTS}
    attrs.pop("status", None)
    return attrs


async def deliver_left(context: Context) -> None:
    """Bring what a process left behind that died to the target, if that answers."""
    await deliver_remains(context.connection)


async def recorded_elsewhere(context: Context, *, dead: bool) -> dict[str, Any]:
    """What the target knows of the run: its state, error and results, as another process recorded them; nothing, when it does not answer.
    What a process left behind that is `dead` is delivered first."""
    connection = context.connection
    if dead:
        await deliver_left(context)
    uid = context.uid.removesuffix(f"-{context.iteration}") if context.iteration else context.uid
    params = {"iteration": str(context.iteration)} if context.iteration else {}
    try:
        head = (await asyncio.wrap_future(connection.ask("GET", "/health")))["offset"]
        params["min_offset"] = str(head)
        run = await asyncio.wrap_future(connection.ask("GET", f"/v1/projects/{context.project}/runs/{uid}", params))
    except (TrackerError, TimeoutError, OSError) as error:
        what = str(error) or type(error).__name__
        connection.recorder.complaints.say("elsewhere", f"it is not known what another process recorded of run {uid} ({what})")
        return {}
    return {name: run[name] for name in ("state", "error", "results") if run.get(name)}


async def take_results(context: Context) -> None:
    """Take the results that a process recorded which was stopped or died."""
    status = await recorded_elsewhere(context, dead=True)
    context.absorb({"state": context.state, "error": context.memory.error, "results": status.get("results")})
