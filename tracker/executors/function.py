"""Running a function as a run: with its context, its parameters, its console recorded, within its time, until it ends or is aborted.

It runs in this process, or in one of its own; a script always does. Whatever becomes of it - it returns, raises, dies by a signal, hangs,
cannot be imported, is aborted by somebody elsewhere - the run ends in the state that says so, and what it recorded stays.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec

from projections.runs import ABORTED, COMPLETED
from tracker import ambient
from tracker.connection import PROCESS
from tracker.context import Context
from tracker.errors import RunFailed
from tracker.executors.call import call
from tracker.executors.elsewhere import job_of, take_results
from tracker.executors.order import Order, order_of
from tracker.executors.process import run_process
from tracker.executors.script import environment
from tracker.executors.watch import Stop, Watch, watching
from tracker.executors.worker import pack
from tracker.model.run_object import RunObject
from tracker.model.run_record import RunRecord
from tracker.preparing import prepared_from

R = TypeVar("R", bound=RunRecord)

WORKER = "from tracker.executors.worker import main; main({})"


async def run_function(
    handler: Any = None,
    task: Any = None,
    *,
    name: str = "",
    project: str = "",
    params: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    hyperparams: Mapping[str, Sequence[Any]] | None = None,
    hyper_param_options: Any = None,
    param_file: str = "",
    selector: str = "",
    returns: Sequence[Any] | None = None,
    outputs: Sequence[str] | None = None,
    artifact_path: str = "",
    workdir: str | os.PathLike[str] | None = None,
    watch: bool = True,
    subprocess: bool = False,
    notifications: Any = None,
    state_thresholds: Mapping[str, Any] | None = None,
    secrets: Any = None,
    labels: Mapping[str, str] | None = None,
    uri: str | os.PathLike[str] = "",
    raise_on_failure: bool = True,
) -> RunObject:
    """Run a handler once, or once for each combination of hyper-parameters, and return the run when it has ended.

    `handler` is a function (plain or async), 'module.function', 'file.py:function', or 'file.py' (a script, which finds its run by
    `get_or_create_ctx`); without one, the task's. `task` is a RunTemplate, a run, or a dict of metadata and spec; the other arguments are
    added to what it says. A plain function runs in a thread of its own; with `subprocess`, or a `workdir` to work in, everything runs in
    another process. `returns` are log hints for what the handler returns. `watch=False` records what it prints without printing it, where
    that is a process of its own: in this one others may print meanwhile, who are not to be silenced.
    `state_thresholds={"executing": "1h"}` ends, as aborted, what takes longer, be it one call (with the start of its process, if it
    has one) or one iteration (without it). `uri` says where to record, as TRACKER_URI does.

    Raises RunFailed (`.run` is the run, its cause what the handler raised in this process) when it ends otherwise than completed, unless
    `raise_on_failure` is off; InvalidRequest, before there is a run, when something asked for makes no sense.
    """
    said = {name: value for name, value in locals().items() if name not in ("handler", "task")}
    context = await carry_out(order_of(handler, task, said))
    return answer(context, RunObject, raise_on_failure=raise_on_failure)


def answer(context: Context, kind: type[R], *, raise_on_failure: bool) -> R:
    """The run object of a run that has ended. Raises RunFailed, when it is not completed."""
    run = kind.from_dict(context.to_dict())
    run.connection = context.connection
    if raise_on_failure and context.state != COMPLETED:
        reason = f": {context.memory.error}" if context.memory.error else ""
        raise RunFailed(
            f"run {context.project}/{context.uid} ({context.name}) ended as {context.state}{reason}", run=run
        ) from context.cause
    return run


async def carry_out(order: Order, *, alone: bool = False) -> Context:
    """Make a run and bring it to its end. Raises nothing of the handler's; cancelled, it aborts the run. `alone`: nothing else goes on in
    this process meanwhile that could want to print."""
    connection = PROCESS.connection(order.uri)
    made = partial(Context.made, prepared_from(order.attrs), connection, remote=order.elsewhere, followed=True)
    context = await anyio.to_thread.run_sync(made)  # it may read files of secrets, or ask a vault
    context.prepared = True
    context.wants(capture=False, parent=order.parent)
    context.begin()
    if not order.elsewhere:
        context.capture(wanted=True, echo=order.echo or not alone)
    try:
        async with watching(context) as watch:
            await _attempt(context, order, watch)
    finally:
        ambient.leave(context)
    return context


async def _attempt(context: Context, order: Order, watch: Watch) -> None:
    """One try at the work; whatever comes of it is the state of the run afterwards."""
    error: BaseException | None = None
    try:
        with watch.over() as stop:
            stop.within(order.limit if order.custom or not order.search else None)
            try:
                await _work(context, order, watch)
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as raised:  # noqa: BLE001 - the handler's
                error = raised
    except BaseException:
        if context.alive:
            context.go(ABORTED, error="the call that ran it was cancelled")
        raise
    if stop.reason and order.elsewhere:
        await take_results(context)
    await anyio.to_thread.run_sync(_conclude, context, stop, error)
    if isinstance(error, KeyboardInterrupt):
        raise error


def _conclude(context: Context, stop: Stop, error: BaseException | None) -> None:
    if stop.heard:  # who aborted it has recorded that
        context.absorb({"state": ABORTED, "error": stop.reason})
        context.leave(ABORTED)
    elif stop.reason and context.alive:
        context.go(ABORTED, error=stop.reason)
    elif error is not None or context.alive:
        context.end(error)
    context.connection.recorder.settle()


async def _work(context: Context, order: Order, watch: Watch) -> None:
    if order.search:
        from tracker.executors.iterations import run_iterations

        await run_iterations(
            context,
            order.handler,
            order.spec,
            watch=watch,
            limit=order.limit,
            subprocess=order.subprocess,
            workdir=order.workdir,
            echo=order.echo,
        )
    elif order.elsewhere and not order.handler.script:
        await _in_process(context, order)
    else:
        function = await anyio.to_thread.run_sync(order.handler.load)
        await call(function, context, order.spec)


async def _in_process(context: Context, order: Order) -> None:
    """Have another process do the work, and take what the run came to; what it cannot record of its end is recorded here."""
    given = await anyio.to_thread.run_sync(pack, job_of(context, order.handler, echo=order.echo, capture=False))
    ended = await run_process(
        lambda pipe: [sys.executable, "-c", WORKER.format(pipe)],
        context.record_console,
        secrets=context.secrets,
        echo=order.echo,
        env=environment(),
        cwd=order.workdir or str(Path.cwd()),
        given=given,
    )
    answer = msgspec.msgpack.decode(ended.reply) if ended.reply else {}
    if "status" in answer:
        context.absorb(answer["status"])
    elif "error" in answer:
        context.go("error", error=answer["error"], traceback=answer["traceback"])
    else:
        await take_results(context)
        context.set_state(error=ended.cause, commit=False)
