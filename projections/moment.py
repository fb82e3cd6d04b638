"""The views as they were: the same folds, stopped at an offset, and the same reads.

A moment has a database for itself, which takes no more memory than its cache however long the log or the stream is.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from events.connection import SCRATCH
from events.reading import LogReader
from projections.base import Projection
from projections.registry import PROJECTIONS
from projections.runner import groups
from projections.views import Views, open_views


@asynccontextmanager
async def views_at(
    log: LogReader, offset: int, *, stream: str | None = None, projections: Sequence[Projection] = PROJECTIONS
) -> AsyncIterator[Views]:
    """The views after the event at `offset` (or at the head, when that is before it): of the whole log, or of one stream."""
    offset = min(offset, log.head.offset)
    async with open_views(SCRATCH, projections) as views:
        async with aclosing(groups(log, 0, until=offset, stream=stream)) as all_groups:
            async for group in all_groups:
                await views.apply(group)
        await views.apply([], upto=offset)
        yield views
