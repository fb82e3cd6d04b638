"""Past moments: the views as they were, folded again from the log up to an offset.

A moment is an offset, a time (RFC 3339, or nanoseconds), by the log's own clock: `recorded_at`, which never decreases. One run is folded
from its own stream; lists need the whole log up to there, so the last few such views are kept.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import anyio

from events.log import LogReader
from projections.views import Views
from tracker.errors import InvalidRequest, NotFound, Unavailable

KEPT = 4
PATIENCE = 5.0  # seconds that one waits for another's fold of the whole log
_NANOSECONDS = 10**15  # offsets stay below, times in ns are above


def parse_moment(text: str) -> tuple[int | None, int | None]:
    """(offset, None) or (None, nanoseconds). Raises InvalidRequest."""
    if re.fullmatch(r"\d{1,19}", text):
        number = int(text)
        return (None, number) if number >= _NANOSECONDS else (number, None)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest("at must be an offset, an RFC 3339 time, or nanoseconds since 1970", field="at") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    delta = when - datetime(1970, 1, 1, tzinfo=UTC)
    return None, ((delta.days * 86400 + delta.seconds) * 10**6 + delta.microseconds) * 1000


async def offset_of(log: LogReader, text: str) -> int:
    """The offset of the last event recorded by a moment. Raises NotFound for an offset beyond the end."""
    offset, time = parse_moment(text)
    if offset is not None:
        if offset > log.head.offset:
            raise NotFound(f"the log ends at offset {log.head.offset}", at=offset)
        return offset
    assert time is not None
    return await _offset_at(log, time)


async def _offset_at(log: LogReader, time: int) -> int:
    """Halve the log until the last batch recorded by `time` is found."""
    low, high = 0, log.head.offset  # everything up to `low` was recorded by then, what is after `high` was not
    while low < high:
        middle = (low + high) // 2
        async for batch in log.read(middle):
            if batch.recorded_at <= time:
                low = max(batch.last, low)
            else:
                high = min(batch.offset - 1, high)
            break
    return low


class _Moment:
    """The views of one moment, while they are kept."""

    def __init__(self, views: Views, stack: AsyncExitStack) -> None:
        self.views, self.stack = views, stack
        self.readers = 0


class Moments:
    """The views of some past moments of the whole log, the most recently asked for last. One is folded at a time: each takes a core."""

    def __init__(self, log: LogReader, patience: float = PATIENCE) -> None:
        self._log = log
        self._patience = patience
        self._kept: OrderedDict[int, _Moment] = OrderedDict()
        self._turn = anyio.Lock()

    @asynccontextmanager
    async def run(self, at: str, stream: str) -> AsyncIterator[Views]:
        """The views of one stream's events at a moment."""
        from projections.moment import views_at

        async with views_at(self._log, await offset_of(self._log, at), stream=stream) as views:
            yield views

    @asynccontextmanager
    async def all(self, at: str) -> AsyncIterator[Views]:
        """The views of the whole log at a moment. Raises Unavailable when others have been folded for too long."""
        offset = await offset_of(self._log, at)
        moment = self._kept.get(offset) or await self._fold(offset)
        moment.readers += 1
        self._kept.move_to_end(offset)
        try:
            yield moment.views
        finally:
            moment.readers -= 1

    async def _fold(self, offset: int) -> _Moment:
        from projections.moment import views_at

        try:
            with anyio.fail_after(self._patience):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("another past moment of the whole log is being made", retry_after=self._patience) from None
        try:
            if offset not in self._kept:
                await self._make_room()
                async with AsyncExitStack() as stack:
                    views = await stack.enter_async_context(views_at(self._log, offset))
                    self._kept[offset] = _Moment(views, stack.pop_all())
        finally:
            self._turn.release()
        return self._kept[offset]

    async def _make_room(self) -> None:
        for offset, moment in list(self._kept.items()):
            if len(self._kept) >= KEPT and not moment.readers:
                await self._kept.pop(offset).stack.aclose()

    async def close(self) -> None:
        """Let go of all."""
        while self._kept:
            await self._kept.popitem()[1].stack.aclose()
