"""Iterations in processes of this machine.

A pool of fresh processes (spawned, never forked: the tracker has threads) takes one iteration after the other. A process that dies takes
only its own iteration with it, which fails with how it died; cancelling an iteration kills the process it is in. What a killed process had
said is in its journal, and gets delivered from there.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from events.types import StateChanged
from tracker.connection import Connection
from tracker.context import Context
from tracker.errors import InvalidRequest, TrackerError
from tracker.executors.handler import Handler
from tracker.executors.remains import deliver_remains
from tracker.executors.script import take_results
from tracker.executors.worker import Job, execute
from tracker.hyperparams.plan import Plan
from tracker.model.run import RunSpec
from tracker.shape import shape_of

# what of a run's spec is the parent's business, not its iterations'
PARENTS = (
    "hyperparams",
    "param_file",
    "hyper_param_options",
    "selector",
    "strategy",
    "notifications",
    "state_thresholds",
    "secret_sources",
)


class Processes:
    """Iterations in the processes of a pool."""

    def __init__(self, pool: Any, parallel: int, handler: Handler, spec: RunSpec, *, echo: bool) -> None:
        self.parallel = parallel
        self._pool, self._handler, self._spec, self._echo = pool, handler, spec, echo

    async def run(self, child: Context) -> None:
        """Work on one iteration. Raises TrackerError, when its process dies."""
        from pebble import ProcessExpired

        job = job_of(child, self._handler, self._spec, echo=self._echo, wait=False)
        future = await anyio.to_thread.run_sync(lambda: self._pool.schedule(execute, args=(job,)))
        try:
            status = await asyncio.wrap_future(future)
        except ProcessExpired as error:
            await take_results(child)
            raise TrackerError(f"its process {died(error.exitcode)}") from None
        take_status(child, status)


@asynccontextmanager
async def in_processes(
    plan: Plan, connection: Connection, handler: Handler, spec: RunSpec, *, workdir: str, echo: bool
) -> AsyncIterator[Processes]:
    """A pool for as long as the search goes on. Afterwards its processes are gone, come what may, and what they said is delivered."""
    check_importable()
    from pebble import ProcessPool

    parallel = max(1, min(plan.parallel, plan.total))
    pool: Any = ProcessPool(
        max_workers=parallel, context=multiprocessing.get_context("spawn"), initializer=os.chdir, initargs=(workdir or str(Path.cwd()),)
    )
    ended = pool.stop
    try:
        yield Processes(pool, parallel, handler, spec, echo=echo)
        ended = pool.close
    finally:
        ended()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(pool.join)
            await deliver_remains(connection)


def job_of(child: Context, handler: Handler, spec: RunSpec, *, echo: bool, wait: bool) -> Job:
    """What another process needs to work on an iteration."""
    attrs = shape_of(child)  # not masked: it goes to a process of our own, and is written nowhere
    kept = {name: value for name, value in spec.to_dict().items() if name not in PARENTS}
    own = {name: value for name, value in attrs["spec"].items() if name not in PARENTS}
    attrs["spec"] = {**kept, **own}
    attrs.pop("status", None)
    return Job(attrs, handler, child.connection.target.uri, dict(child.secrets.items()), echo, wait)


def take_status(child: Context, status: dict[str, Any]) -> None:
    """Take what an iteration came to elsewhere, and record its end here, too: two journals reach the target in any order, and whichever
    is the later one has to say at last that it has ended, not that it began."""
    child.absorb(status)
    if not child.alive:
        state, error = child.state, child.memory.error
        child.record(StateChanged(time=time.time_ns(), iteration=child.iteration, state=state, error=error))


def died(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def check_importable() -> None:
    """A new process imports the program it comes from, so that must not start the work again. Raises InvalidRequest, if it would."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None:
        return
    try:
        guarded = "__name__" in Path(path).read_text(errors="replace")
    except OSError:
        return
    if not guarded or getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InvalidRequest(
            f"iterations in other processes import {path}, which would start the run again: put what it does under "
            "if __name__ == '__main__':",
            field="parallel_runs",
        )
