"""Runs: searched, looked at, watched, aborted, deleted and restored."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import time_ns

import msgspec

from events.types import RunDeleted, RunRestored, StateChanged
from projections.reads.runs import Iteration, Run, iterations
from projections.reads.search import RunPage, search_runs
from projections.runs import ABORTED, TERMINAL
from tracker.directory import App
from tracker.errors import Conflict, InvalidRequest
from tracker.names import run_stream
from tracker.service import asking
from tracker.service.asking import Limit, Offset, OfRun, searching, the_run, views_of_all, views_of_run
from tracker.service.replies import Item, Items


class ListRuns(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A search among the runs of all projects. `iterations` finds children, too, `deleted` also what is in the trash."""

    filter: str = ""
    order_by: str = ""
    limit: Limit = 100
    page_token: str = ""
    iterations: bool = False
    deleted: bool = False
    at: str = ""
    min_offset: Offset = 0


class ListProjectRuns(ListRuns, kw_only=True, forbid_unknown_fields=True):
    """A search among the runs of one project."""

    project: str


class GetRun(OfRun, kw_only=True, forbid_unknown_fields=True):
    """A run, or one of its iterations; `watch` for its view at every change until it has ended."""

    iteration: asking.Iteration = 0
    watch: bool = False


class ListIterations(OfRun, kw_only=True, forbid_unknown_fields=True):
    """The iterations of a run with numbers greater than `after`."""

    after: asking.Iteration = 0
    limit: Limit = 1000


class IterationTable(msgspec.Struct, kw_only=True):
    """Iterations in order. `next_after` goes on after them, 0 when there are no more."""

    iterations: list[Iteration]
    next_after: int = 0


class NameRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which run, and why."""

    project: str
    uid: str
    reason: str = ""


class AbortRun(NameRun, kw_only=True, forbid_unknown_fields=True):
    """Which run, or which of its iterations, is to stop, and why."""

    iteration: asking.Iteration = 0


async def list_runs(app: App, request: ListRuns) -> RunPage:
    """The runs that a filter finds, page by page. Raises InvalidFilter with the column at fault."""
    project = request.project if isinstance(request, ListProjectRuns) else None
    async with views_of_all(app, request.at, request.min_offset) as views, searching(app.settings.search_time):
        return await search_runs(
            views,
            None if project is None else [project],
            request.filter,
            request.order_by,
            request.limit,
            request.page_token,
            iterations=request.iterations,
            deleted=None if request.deleted else False,
        )


async def list_project_runs(app: App, request: ListProjectRuns) -> RunPage:
    """The runs of one project that a filter finds, page by page."""
    return await list_runs(app, request)


async def get_run(app: App, request: GetRun) -> Run | Items:
    """A run as it stands, as it stood, or as it changes. Raises NotFound."""
    if request.watch and request.at:
        raise InvalidRequest("the past does not change: watch takes no moment", field="watch")
    async with views_of_run(app, request) as views:
        run = await the_run(app, views, request.project, request.uid, request.iteration)
    if request.watch:
        return Items(source=_watch(app, request), follow=True)
    return run


async def _watch(app: App, request: GetRun) -> AsyncGenerator[Item, None]:
    """The view now, then after changes: the newest whenever the reader is ready for one, not every one there was."""
    shown = upto = 0
    async with aclosing(app.log.tail(app.views.offset, stream=run_stream(request.project, request.uid))) as batches:
        while True:
            upto = app.views.offset
            run = await the_run(app, app.views, request.project, request.uid, request.iteration)
            if run.offset > shown:
                shown = run.offset
                yield Item(str(shown), "run", run)
            if run.state in TERMINAL:
                return
            async for batch in batches:
                if batch.last > upto:
                    await app.seen(batch.last)
                    break


async def list_iterations(app: App, request: ListIterations) -> IterationTable:
    """The table of a run's children. Raises NotFound."""
    async with views_of_run(app, request) as views:
        await the_run(app, views, request.project, request.uid)
        rows = await iterations(views, request.project, request.uid, after=request.after, limit=request.limit + 1)
    page = rows[: request.limit]
    return IterationTable(iterations=page, next_after=page[-1].iteration if len(rows) > len(page) else 0)


async def abort_run(app: App, request: AbortRun, actor: str) -> Run:
    """Have a run or an iteration end as aborted; the job that works on it hears of it and stops. Raises NotFound, and Conflict when it has
    ended before."""
    run = await the_run(app, app.views, request.project, request.uid, request.iteration)
    if run.state not in TERMINAL:  # perhaps it has ended a moment ago
        await app.seen(app.log.head.offset)
        run = await the_run(app, app.views, request.project, request.uid, request.iteration)
    if run.state in TERMINAL:
        name = f"run {request.project}/{request.uid}" if not request.iteration else f"iteration {request.iteration} of {request.uid}"
        raise Conflict(f"{name} has ended: it is {run.state}", project=request.project, uid=request.uid, state=run.state)
    event = StateChanged(time=time_ns(), iteration=request.iteration, state=ABORTED, error=request.reason)
    receipt = await app.record(run_stream(request.project, request.uid), [event], actor)
    if not request.iteration:
        app.leases.end(request.project, request.uid)
    await app.seen(receipt.offset)
    return await the_run(app, app.views, request.project, request.uid, request.iteration)


async def delete_run(app: App, request: NameRun, actor: str) -> Run:
    """Put a run into the trash, with all that is in it; it can be restored. Raises NotFound."""
    run = await the_run(app, app.views, request.project, request.uid)
    if not run.deleted:
        event = RunDeleted(time=time_ns(), reason=request.reason)
        receipt = await app.record(run_stream(request.project, request.uid), [event], actor)
        app.leases.end(request.project, request.uid)
        await app.seen(receipt.offset)
    return await the_run(app, app.views, request.project, request.uid)


async def restore_run(app: App, request: NameRun, actor: str) -> Run:
    """Take a run out of the trash. Raises NotFound, and Conflict when it was purged."""
    run = await the_run(app, app.views, request.project, request.uid)
    if run.purged:
        raise Conflict(
            f"run {request.project}/{request.uid} was purged: nothing is left to restore", project=request.project, uid=request.uid
        )
    if run.deleted:
        receipt = await app.record(run_stream(request.project, request.uid), [RunRestored(time=time_ns())], actor)
        await app.seen(receipt.offset)
    return await the_run(app, app.views, request.project, request.uid)
