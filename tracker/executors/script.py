"""A script as a handler: a program in a process of its own, to which its run is handed in the environment.

`TRACKER_EXEC_CONFIG` holds the run, so `get_or_create_ctx` in the script is that run, under any name. The script records for itself; what
it prints is recorded here. One that asks for no context is a run all the same: it fails with its exit code.
"""

import json
import os
import sys

from projections.runs import COMPLETED, TERMINAL
from tracker.context import Context
from tracker.errors import InvalidRequest
from tracker.executors.elsewhere import handed, recorded_elsewhere
from tracker.executors.process import Ended, run_process

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
        if secrets := context.secrets.handed():
            env["TRACKER_EXEC_SECRETS"] = json.dumps(secrets)
        command = [sys.executable, self.path]
        ended = await run_process(
            lambda _: command,
            context.record_console,
            secrets=context.secrets,
            echo=self.echo,
            recorded=context.captured,
            env=env,
            cwd=self.cwd,
        )
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
