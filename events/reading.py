"""The reading half of the log: history and live are one read, the second has no end.

A reader holds an offset and nothing else. It asks for a page after it, first in memory and then in the store, and when there is
none it waits for the pulse. Pages are small and are let go batch by batch, so a reader that stops costs little
and the log can be of any length. What is damaged is told, never left out: pages must be gapless.
"""

from collections.abc import AsyncGenerator
from itertools import pairwise

from events.errors import Corrupt, LogClosed
from events.pulse import Pulse
from events.recent import Recent
from events.record import Batch, Head
from events.store import Store

READ_SIZE, READ_LIMIT = 1024 * 1024, 1000  # a page of a read
TAIL_SIZE, TAIL_LIMIT = 128 * 1024, 128  # and of a tail, which may be left standing for long


class LogReader:
    """The log for reading. Made by `log.open_reader`."""

    def __init__(self, store: Store, head: Head) -> None:
        self._store = store
        self._head = head
        self._recent = Recent(head.offset)
        self._pulse = Pulse()
        self._failure: Exception | None = None

    @property
    def head(self) -> Head:
        """The end of the log, as committed."""
        return self._head

    @property
    def failure(self) -> Exception | None:
        """Why the log stopped, or None while it works."""
        return self._failure

    async def refresh(self) -> Head:
        """Look at the store for what another process has committed; wakes whoever waits for it."""
        head = await self._store.head()
        if head.offset < self._head.offset:
            raise Corrupt(f"the log ended at {self._head.offset}, now it ends at {head.offset}", head.offset + 1)
        if head.offset > self._head.offset:
            self._head = head
            self._recent.clear(head.offset)
            self._pulse.beat_all()
        return head

    async def read(
        self, after: int = 0, *, until: int | None = None, stream: str | None = None, prefix: str | None = None
    ) -> AsyncGenerator[Batch, None]:
        """The batches that hold events with offsets in (after, until], in order; `until` is the head of this moment when not given.
        Those of one stream, or of the streams that begin with `prefix`. The first and the last batch come whole."""
        end = self._head.offset if until is None else min(until, self._head.offset)
        while after < end:
            page = await self._page(after, stream, prefix, READ_LIMIT, READ_SIZE)
            if not page:
                return
            page.reverse()
            while page:
                batch = page.pop()
                if batch.offset > end:
                    return
                after = batch.last
                yield batch

    async def tail(self, after: int = 0, *, stream: str | None = None, prefix: str | None = None) -> AsyncGenerator[Batch, None]:
        """As `read`, and then what comes, for ever. Raises LogClosed when the log ends."""
        while True:
            signal = self._pulse.next(stream)
            end = self._head.offset
            while after < end:
                page = await self._page(after, stream, prefix, TAIL_LIMIT, TAIL_SIZE)
                if not page:
                    break
                page.reverse()
                while page:
                    batch = page.pop()
                    after = batch.last
                    yield batch
            after = max(after, end)  # what was not ours up to `end` need not be looked through again
            if self._failure:
                raise self._closed()
            await signal.wait()

    async def wait(self, offset: int) -> None:
        """Return when the event at `offset` is committed. Raises LogClosed when the log ends before."""
        while self._head.offset < offset:
            if self._failure:
                raise self._closed()
            await self._pulse.next().wait()

    async def position(self, producer: str) -> int:
        """The sequence of the producer's last committed event, 0 when it has none."""
        return await self._store.position(producer)

    async def version(self, stream: str) -> int:
        """The version of the stream's last committed event, 0 when it has none."""
        return await self._store.version(stream)

    async def stored(self, after: int, *, limit: int = READ_LIMIT, size: int = READ_SIZE, stream: str | None = None) -> list[Batch]:
        """A page straight from the store, past what is in memory; empty at the end."""
        return await self._store.read(after, limit, size=size, stream=stream)

    async def stored_head(self) -> Head:
        """The head as the store has it at this moment."""
        return await self._store.head()

    async def check(self) -> list[str]:
        """The faults of the store's own structures, in words."""
        return await self._store.check()

    async def _page(self, after: int, stream: str | None, prefix: str | None, limit: int, size: int) -> list[Batch]:
        page = self._recent.after(after, stream, prefix, limit, size)
        if page is None:
            page = await self._store.read(after, limit, size=size, stream=stream, prefix=prefix)
            if prefix is None:
                _check_gapless(page, after, stream)
        return page

    def _advance(self, head: Head, streams: list[str]) -> None:
        self._head = head
        self._pulse.beat(streams)

    def _end(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._pulse.beat_all()

    def _closed(self) -> LogClosed:
        # A new one each time: many tasks raise it.
        cause = self._failure
        if isinstance(cause, LogClosed):
            return type(cause)(*cause.args)
        closed = LogClosed(f"the log stopped: {cause}" if cause else "the log is closed")
        closed.__cause__ = cause
        return closed


def _check_gapless(page: list[Batch], after: int, stream: str | None) -> None:
    """Raise Corrupt when a page, asked for because there is something after `after`, leaves something out."""
    if stream is None:
        if not page or not page[0].offset <= after + 1 <= page[0].last:
            raise Corrupt(f"offset {after + 1} is missing{f': the log goes on at {page[0].offset}' if page else ''}", after + 1)
        for batch, following in pairwise(page):
            if following.offset != batch.last + 1:
                raise Corrupt(f"offset {batch.last + 1} is missing: the log goes on at {following.offset}", batch.last + 1)
        return
    if page and after == 0 and page[0].version != 1:
        raise Corrupt(f"stream {stream!r} begins with version {page[0].version}", page[0].offset)
    for batch, following in pairwise(page):
        if following.version != batch.version + batch.count:
            raise Corrupt(f"stream {stream!r} goes from version {batch.version + batch.count - 1} to {following.version}", following.offset)
