"""The views as they were: the same folds, stopped at an offset, and the same reads.

The moments of one stream are small and live in memory. Those of a whole log may be large, so beyond a bound they take a temporary file.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from events.connection import MEMORY
from events.reading import LogReader
from projections.base import Projection
from projections.registry import PROJECTIONS
from projections.runner import groups
from projections.views import Views, open_views

IN_MEMORY = 200_000  # events of a whole log


@asynccontextmanager
async def views_at(
    log: LogReader, offset: int, *, stream: str | None = None, projections: Sequence[Projection] = PROJECTIONS
) -> AsyncIterator[Views]:
    """The views after the event at `offset` (or at the head, when that is before it): of the whole log, or of one stream."""
    offset = min(offset, log.head.offset)
    async with AsyncExitStack() as stack:
        path: Path | str = MEMORY
        if stream is None and offset > IN_MEMORY:
            path = Path(stack.enter_context(TemporaryDirectory(prefix="views-at-"))) / "views.db"
        views = await stack.enter_async_context(open_views(path, projections))
        async with aclosing(groups(log, 0, until=offset, stream=stream)) as all_groups:
            async for group in all_groups:
                await views.apply(group)
        await views.apply([], upto=offset)
        yield views
