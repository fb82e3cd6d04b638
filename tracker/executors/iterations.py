"""A search over parameters, run: one child iteration per combination, in this process, in others, or on a Dask cluster.

The parent numbers the iterations, starts as many at a time as its runner takes, and hears how each ended; a runner brings one child to its
end and lets nothing of what goes wrong with it out. So an iteration that raises, dies or hangs is a failed one, and its siblings go on. The
search ends early when failures exceed `max_errors`, or after the iteration for which the stop condition holds; what is under way then still
comes to its end. Last come the table, the best and the picture, whatever failed; and the run's state.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol

import anyio
import anyio.to_thread

from events.types import StateChanged
from projections.runs import ABORTED, COMPLETED, ERROR
from tracker import ambient
from tracker.context import Context
from tracker.errors import InvalidExpression
from tracker.executors.call import call
from tracker.executors.handler import Handler
from tracker.executors.plan import Plan, plan_of
from tracker.executors.progress import Progress
from tracker.executors.watch import Watch
from tracker.hyperparams.param_file import MAX_BYTES
from tracker.hyperparams.picture import parallel_coordinates
from tracker.hyperparams.table import Row, iteration_table
from tracker.model.run import RunSpec

PATIENCE = 5.0  # seconds for the table of a search that was aborted


class Runner(Protocol):
    """Where iterations run: `parallel` at a time; `run` brings one to its end, and raises what it failed of."""

    parallel: int

    async def run(self, child: Context, begun: Callable[[], None]) -> None:
        """Work on one iteration, and tell by `begun` when that begins. Cancelled, it ends that work and no other."""


class InProcess:
    """Iterations one after the other in this process."""

    parallel = 1

    def __init__(self, function: Callable[..., Any], spec: RunSpec) -> None:
        self._function, self._spec = function, spec

    async def run(self, child: Context, begun: Callable[[], None]) -> None:
        """Call the handler; the child is the ambient run meanwhile."""
        begun()
        child.prepared = True
        ambient.enter(child)
        await call(self._function, child, self._spec)


class Search:
    """The iterations of one run, and what came of them so far. Each may take `limit` seconds, and can be aborted alone."""

    def __init__(self, context: Context, plan: Plan, watch: Watch, limit: float | None = None) -> None:
        self._context, self._plan, self._watch, self._limit = context, plan, watch, limit
        self.failed: list[int] = []
        self.stopped = ""  # why no more iterations are started
        self._judged = False
        self._misjudged = ""  # why the stop condition could not be evaluated

    async def run(self, runner: Runner, progress: Progress) -> None:
        """Start the combinations, as many at a time as the runner takes, and wait until all have ended."""
        room = anyio.Semaphore(runner.parallel)
        async with anyio.create_task_group() as tasks:
            for combination in self._plan.combinations():
                await room.acquire()
                if self.stopped:
                    break
                child = self._context.get_child_context(with_parent_params=True, **combination)
                tasks.start_soon(self._one, runner, child, room, progress)

    async def _one(self, runner: Runner, child: Context, room: anyio.Semaphore, progress: Progress) -> None:
        error: Exception | SystemExit | None = None
        try:
            with self._watch.over(child.iteration) as stop:
                try:
                    await runner.run(child, partial(stop.within, self._limit))
                except (Exception, SystemExit) as raised:  # noqa: BLE001 - whatever an iteration fails of is its own
                    error = raised
            if stop.heard:  # who aborted it has recorded that
                child.absorb({"state": ABORTED, "error": stop.reason})
            elif stop.reason:
                end_aborted(child, stop.reason)
            elif child.alive:
                await anyio.to_thread.run_sync(child.end, error)
        except BaseException:  # the run as a whole is cancelled
            end_aborted(child, "the run was aborted")
            raise
        finally:
            room.release()
        self._judge(child, hung=bool(stop.reason) and not stop.heard)
        progress.step(len(self.failed))

    def _judge(self, child: Context, *, hung: bool) -> None:
        """Count a failure, or see whether the search has found what it was for."""
        if child.state == ERROR or hung:
            self.failed.append(child.iteration)
            if len(self.failed) > self._plan.max_errors:
                self.stopped = f"more than {self._plan.max_errors} failed"
        elif self._plan.stop is not None and child.state == COMPLETED:
            try:
                if self._plan.stop.holds(child.results):
                    self.stopped = f"the stop condition holds for iteration {child.iteration}"
                self._judged = True
            except InvalidExpression as error:
                self._misjudged = error.message

    @property
    def fault(self) -> str:
        """Why the run as a whole is no success, "" when it is one."""
        if self.failed:
            children = {child.iteration: child for child in self._context.children}
            reasons = [f"iteration {number}: {children[number].memory.error}" for number in self.failed[:3]]
            more = "; ..." if len(self.failed) > len(reasons) else ""
            stopped = f", no more were started of {self._plan.total}" if self.stopped and len(children) < self._plan.total else ""
            return f"{len(self.failed)} of {len(children)} iterations failed{stopped} ({'; '.join(reasons)}{more})"
        return self._misjudged if self._misjudged and not self._judged else ""


def end_aborted(child: Context, reason: str) -> None:
    """Record that an iteration was aborted, unless it has ended."""
    if child.alive:
        child.memory.state, child.memory.error = ABORTED, reason
        child.record(StateChanged(time=time.time_ns(), iteration=child.iteration, state=ABORTED, error=reason))


async def run_iterations(
    context: Context,
    handler: Handler,
    spec: RunSpec,
    *,
    watch: Watch | None = None,
    limit: float | None = None,
    subprocess: bool = False,
    workdir: str = "",
    echo: bool = True,
) -> None:
    """Run a handler once for every combination of `spec`'s hyper-parameters, each a child iteration of `context`'s run.

    `watch` hears of aborts of single iterations; each may take `limit` seconds, the start of its process and the
    import of its code not counted; one that takes longer is aborted and has failed.
    `subprocess`: in processes of their own even if only one runs at a time, which work in `workdir`; `echo`: what they print is shown
    here, too.
    Afterwards the run has its table, the best iteration's results and artifacts, `iteration_results` and `parallel_coordinates`; and the
    state error, when any iteration failed. Raises InvalidRequest and InvalidExpression, before anything is started.
    """
    plan = await read_plan(context, spec)
    if plan.strategy == "custom":
        function = await anyio.to_thread.run_sync(handler.load)
        await call(function, context, spec)
        fault = ""
    else:
        search = Search(context, plan, watch or Watch(), limit)
        try:
            async with runner_of(plan, context, handler, spec, subprocess=subprocess, workdir=workdir, echo=echo) as runner:
                with Progress(context.name, plan.total) as progress:
                    await search.run(runner, progress)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(PATIENCE, shield=True):  # what came to its end before is worth as much as ever
                await conclude(context, plan)
            raise
        fault = search.fault
    await conclude(context, plan)
    if fault:
        context.set_state(error=fault, commit=False)


async def read_plan(context: Context, spec: RunSpec) -> Plan:
    """The plan of a search, with its parameter file read. Raises InvalidRequest and InvalidExpression."""
    url = spec.param_file
    if not url:
        return plan_of(spec, context.uid)
    item = context.get_dataitem(url)
    return plan_of(spec, context.uid, await item.get(size=MAX_BYTES + 1))


@asynccontextmanager
async def runner_of(
    plan: Plan, context: Context, handler: Handler, spec: RunSpec, *, subprocess: bool, workdir: str, echo: bool
) -> AsyncIterator[Runner]:
    """Where the iterations of a plan run."""
    opened: AbstractAsyncContextManager[Runner]
    if plan.dask or subprocess or plan.parallel > 1:
        handler = await anyio.to_thread.run_sync(handler.portable)  # a pool does not tell that one cannot be sent, it waits for ever
    if plan.dask:
        from tracker.executors.dask import on_dask

        opened = on_dask(plan, handler, workdir=workdir)
    elif subprocess or plan.parallel > 1:
        from tracker.executors.pool import in_processes

        opened = in_processes(plan, context.connection, handler, workdir=workdir, echo=echo)
    else:
        yield InProcess(await anyio.to_thread.run_sync(handler.load), spec)
        return
    async with opened as runner:
        yield runner


async def conclude(context: Context, plan: Plan) -> None:
    """The best iteration, the table and the picture, of what there is."""
    rows = [Row(child.iteration, child.state, child.parameters, child.results) for child in context.children]
    if not rows:
        return
    best = 0
    if plan.selector is not None:
        best = plan.selector.best((row.number, row.results) for row in rows if row.state == COMPLETED)
        if not best:
            context.logger.warning("no iteration has a number to select by", selector=f"{plan.selector.direction}.{plan.selector.result}")
    table = iteration_table(rows)
    await context.log_iteration_results(best, table, None)
    picture = await anyio.to_thread.run_sync(parallel_coordinates, rows, plan.selector, best)
    if picture:
        await context.log_artifact("parallel_coordinates", body=picture, format="html", viewer="web-app")
