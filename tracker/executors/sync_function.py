"""`run_function` and `abort_run` for code that waits. The caller's thread runs an event loop of its own meanwhile, where it has none."""

import asyncio
import os
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

from tracker.executors import abort
from tracker.executors.function import answer, carry_out
from tracker.executors.order import order_of
from tracker.model.sync_run_object import RunObject

T = TypeVar("T")


def run_function(
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
    another process. `returns` are log hints for what the handler returns. `watch=False` records what it prints without printing it.
    `state_thresholds={"executing": "1h"}` ends, as aborted, what takes longer, be it one call (with the start of its process, if it
    has one) or one iteration (without it). `uri` says where to record, as TRACKER_URI does.

    Raises RunFailed (`.run` is the run, its cause what the handler raised in this process) when it ends otherwise than completed, unless
    `raise_on_failure` is off; InvalidRequest, before there is a run, when something asked for makes no sense.
    """
    said = {name: value for name, value in locals().items() if name not in ("handler", "task")}
    context = wait_here(carry_out(order_of(handler, task, said), alone=True))
    return answer(context, RunObject, raise_on_failure=raise_on_failure)


def abort_run(
    uid: str,
    project: str = "",
    iter: int = 0,  # noqa: A002 - a public name
    reason: str = "",
    uri: str | os.PathLike[str] = "",
) -> None:
    """Have a run, or one iteration of it, end as `aborted` with a reason. Its job stops when it hears of it; siblings of an iteration go
    on. Returns when it is recorded. Raises NotFound, and Conflict when the run has ended."""
    wait_here(abort.abort_run(uid, project, iter, reason, uri))


def wait_here(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run in a loop of this thread; of another one, where this thread has a running loop (a notebook's).
    Interrupted, it is cancelled, and has ended before that is raised."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with start_blocking_portal(name="tracker-run") as portal:
        result: T = portal.call(lambda: work)
    return result
