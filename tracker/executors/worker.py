"""One run or iteration in another process: of a pool, of a Dask worker, or one of its own.

The worker makes a context of its own on the run's stream, records everything itself, and answers with the status that the run came to. It
waits until that is stored before it answers, unless its process lives on for more. Whoever started it records what it cannot: that it died.
"""

import asyncio
import dataclasses
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from projections.runs import ABORTED
from tracker import ambient
from tracker.connection import PROCESS
from tracker.context import Context
from tracker.executors.call import call
from tracker.executors.handler import Handler
from tracker.model.run import RunSpec
from tracker.secrets.telling import teller_of
from tracker.settings import Execution


@dataclasses.dataclass(frozen=True)
class Job:
    """What another process has to know. Goes there by cloudpickle; its secrets are written nowhere."""

    attrs: dict[str, Any]  # of the run or iteration, as Context.from_dict takes it
    handler: Handler
    uri: str
    secrets: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    echo: bool = True  # what it prints is also printed, not only recorded
    wait: bool = True  # False: its process lives on, and brings what was recorded to the target beside the next job, or at its end
    capture: bool = True  # False: whoever started this process records what it prints


def execute(job: Job) -> dict[str, Any]:
    """Do a job, in a thread without an event loop; returns the status of its run or iteration. Raises nothing of the handler's."""
    return anyio.run(do, job)


async def do(job: Job, orphaned: Callable[[], bool] = bool, begun: Callable[[], object] = bool) -> dict[str, Any]:
    """`execute` in an event loop; `begun` is called when the handler is there to be called. Cancelled, it leaves the word to whoever
    started it, if that is still there."""
    context = Context.from_dict(job.attrs, rundb=job.uri, store_run=False)
    context.secrets.add_inline(job.secrets)
    context.prepared = True
    context.console_kept = not job.capture
    if not job.capture:  # the process is this run's alone: all its threads mean it
        ambient.PROCESS_RUNS.prepared = context
        context.secrets.told = teller_of(Execution.from_env().pipe)
    context.begin()
    context.capture(job.capture, echo=job.echo)
    try:
        function = await anyio.to_thread.run_sync(job.handler.load)
        begun()
        await call(function, context, RunSpec.from_dict(dict(job.attrs.get("spec") or {})))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the handler's
        await anyio.to_thread.run_sync(context.end, error)
    except BaseException:
        if orphaned():
            context.go(ABORTED, error="the process that started it is gone")
        context.leave("stopped")
        with anyio.CancelScope(shield=True):
            await _stored(context)
        raise
    else:
        await anyio.to_thread.run_sync(context.end)
    if job.wait:
        await _stored(context)
    return dict(context.to_dict()["status"])


async def _stored(context: Context) -> bool:
    return await asyncio.wrap_future(context.connection.flush())


async def until_stopped(job: Job, starter: int, begun: Callable[[], object] = bool) -> dict[str, Any] | None:
    """Do a job in the main thread of its process, unless a TERM stops it, or the end of the process that started this one: `starter` can
    be read from then. None, when it was stopped."""
    status: dict[str, Any] | None = None
    alone = False
    async with anyio.create_task_group() as tasks:

        async def told() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

        async def left() -> None:
            nonlocal alone
            await anyio.wait_readable(starter)
            alone = True
            tasks.cancel_scope.cancel()

        tasks.start_soon(told)
        tasks.start_soon(left)
        status = await do(job, lambda: alone, begun)
        tasks.cancel_scope.cancel()
    return status


def pack(job: Job) -> bytes:
    """A job with what its process needs to find the code of its handler."""
    import cloudpickle

    return bytes(pickle.dumps({"path": sys.path, "argv": sys.argv, "job": cloudpickle.dumps(job)}))


def main(pipe: int) -> None:
    """Do the job that comes by stdin; its status goes into the pipe, or why there is none."""
    os.set_inheritable(pipe, False)  # noqa: FBT003 - it takes no names
    given = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - from the process that started this one
    sys.path[:], sys.argv[:] = given["path"], given["argv"]
    try:
        job: Job = pickle.loads(given["job"])  # noqa: S301 - as above
    except Exception as error:  # noqa: BLE001 - the code of the handler
        text = "".join(traceback.format_exception(error))
        answer: dict[str, Any] = {
            "error": f"the handler cannot be brought into its process: {type(error).__name__}: {error}",
            "traceback": text,
        }
    else:
        answer = {"status": anyio.run(until_stopped, job, pipe) or {}}
    PROCESS.end()
    with open(pipe, "wb") as file:
        file.write(msgspec.msgpack.encode(answer))
