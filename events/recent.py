"""The end of the log in memory, with its events decoded: followers and views need neither the database nor the codec.

A ring bounded in bytes. It holds an unbroken stretch up to the head, so whoever asks for something after an offset inside it
gets all there is; whoever is further behind is told to read the store.
"""

from collections import deque
from collections.abc import Iterable

from events.codec import AnyEvent
from events.record import Batch

LIMIT = 8 * 1024 * 1024
_PER_EVENT = 256  # estimated bytes of a decoded event beside its data


class Recent:
    """The last batches of the log, about `limit` bytes of them. `floor` is the first offset of which all is here."""

    def __init__(self, head: int, limit: int = LIMIT) -> None:
        self.floor = head + 1
        self._end = head
        self._limit = limit
        self._size = 0
        self._batches: dict[int, tuple[Batch, int]] = {}  # by offset, in order, with the cost
        self._streams: dict[str, deque[Batch]] = {}

    def add(self, batch: Batch, events: list[AnyEvent], plain: int) -> None:
        """Keep the batch that follows the last one; its `events` made `plain` bytes of msgpack."""
        batch.__dict__["events"] = events
        cost = len(batch.body) + plain + _PER_EVENT * (batch.count + 1)
        self._batches[batch.offset] = (batch, cost)
        self._end = batch.last
        self._streams.setdefault(batch.stream, deque()).append(batch)
        self._size += cost
        while self._size > self._limit:
            self._drop_first()

    def clear(self, head: int) -> None:
        """Forget all up to `head`."""
        self._batches.clear()
        self._streams.clear()
        self._size, self.floor, self._end = 0, head + 1, head

    def after(self, offset: int, stream: str | None, prefix: str | None, limit: int, size: int) -> list[Batch] | None:
        """The batches after `offset`, at most `limit` and about `size` bytes; None when they do not begin in here."""
        if offset + 1 < self.floor:
            return None
        if stream is not None:
            return self._cut(self._of(stream, offset), limit, size)
        if offset < self._end and offset + 1 not in self._batches:
            return None  # in the middle of a batch: the store finds it
        found = self._from(offset + 1)
        return self._cut((b for b in found if prefix is None or b.stream.startswith(prefix)), limit, size)

    def _of(self, stream: str, offset: int) -> list[Batch]:
        found = []
        for batch in reversed(self._streams.get(stream, ())):
            if batch.last <= offset:
                break
            found.append(batch)
        found.reverse()
        return found

    def _from(self, offset: int) -> Iterable[Batch]:
        while held := self._batches.get(offset):
            yield held[0]
            offset = held[0].last + 1

    def _cut(self, batches: Iterable[Batch], limit: int, size: int) -> list[Batch]:
        found: list[Batch] = []
        for batch in batches:
            found.append(batch)
            size -= self._batches[batch.offset][1]
            if len(found) == limit or size <= 0:
                break
        return found

    def _drop_first(self) -> None:
        offset = next(iter(self._batches))
        batch, cost = self._batches.pop(offset)
        self._size -= cost
        self.floor = batch.last + 1
        queue = self._streams[batch.stream]
        queue.popleft()
        if not queue:
            del self._streams[batch.stream]
