"""What reads share: which views to ask (the present ones, or those of a past moment), how fresh they must be, and what is not there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import anyio
import msgspec
from msgspec import Meta

from projections.filters import FilterError
from projections.query import PageTokenError
from projections.reads.runs import Run, get_run
from projections.views import Views
from tracker.directory import App
from tracker.errors import InvalidFilter, InvalidRequest, NotFound, Unavailable
from tracker.names import run_stream

T = TypeVar("T")
COURTESY = 0.02  # seconds that a read waits for the views when it did not ask for any offset

Offset = Annotated[int, Meta(ge=0, lt=2**63 - 1)]
Iteration = Annotated[int, Meta(ge=0, lt=2**31)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Key = Annotated[str, Meta(min_length=1, max_length=250)]


class OfRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What questions about a run share. `at`: a past moment, an offset or a time. `min_offset`: be at least that fresh."""

    project: str
    uid: str
    at: str = ""
    min_offset: Offset = 0


@asynccontextmanager
async def views_of_run(app: App, request: OfRun) -> AsyncIterator[Views]:
    """The views to ask about one run."""
    if request.at:
        async with app.moments.run(request.at, run_stream(request.project, request.uid)) as views:
            yield views
    else:
        await _catch_up(app, request.min_offset)
        yield app.views


@asynccontextmanager
async def views_of_all(app: App, at: str, min_offset: int) -> AsyncIterator[Views]:
    """The views to ask about everything."""
    if at:
        async with app.moments.all(at) as views:
            yield views
    else:
        await _catch_up(app, min_offset)
        yield app.views


async def _catch_up(app: App, min_offset: int) -> None:
    """Wait for the views: as long as it is bearable for what was named, a moment for what else was recorded before."""
    if min_offset:
        await app.seen(min_offset)
    elif app.writable:
        await app.views.wait(app.log.head.offset, COURTESY)


async def found(app: App, views: Views, ask: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What `ask` finds. Before something recorded a moment ago is called unknown, the views are given time to show it. Raises NotFound."""
    answer = await ask()
    if answer is None and views is app.views and views.offset < app.log.head.offset:
        await app.seen(app.log.head.offset)
        answer = await ask()
    if answer is None:
        raise NotFound(f"there is no {what}")
    return answer


async def the_run(app: App, views: Views, project: str, uid: str, iteration: int = 0) -> Run:
    """A run or iteration as these views know it. Raises NotFound."""
    what = f"run {project}/{uid}" if not iteration else f"iteration {iteration} of run {project}/{uid}"
    return await found(app, views, lambda: get_run(views, project, uid, iteration), what)


@asynccontextmanager
async def searching(seconds: float) -> AsyncIterator[None]:
    """Complaints of the search language as errors of the API, and an end to searches that take too long."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise Unavailable(f"the search took more than {seconds:g} s: ask for less", retry_after=5.0) from None
    except FilterError as error:
        raise InvalidFilter(str(error), field="filter", column=error.column) from None
    except PageTokenError as error:
        raise InvalidRequest(str(error), field="page_token") from None
