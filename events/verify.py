"""Is the log whole? One pass from the first event to the last, straight from the store, in bounded memory.

Separate questions get separate answers: does every batch follow the one before it (the chain, up to its first break); are the versions
of each stream and the sequences of each producer gapless; does every redaction say what was done; are the store's own structures
sound; and do signed checkpoints, kept elsewhere, name a prefix of this log. Only the last can tell that the tail
was cut off, or that somebody rewrote it all. Memory grows with the number of streams and producers (about 150 bytes each).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from hashlib import sha256
from operator import itemgetter

import msgspec
from anyio import to_thread

from events import chain
from events.codec import decode
from events.errors import Corrupt
from events.reading import LogReader
from events.record import Batch, Head
from events.redaction import STREAM
from events.types import EventRedacted, Redacted

PAGE = 4 * 1024 * 1024  # bytes of bodies checked at a time, in a worker thread
FAULTS = 100  # of one kind that a report names; the rest is only counted


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it must be, and from which offset."""

    offset: int
    message: str


class Anchor(msgspec.Struct, frozen=True):
    """What a checkpoint says: the log up to `offset` had this digest."""

    offset: int
    digest: bytes


class Report(msgspec.Struct, kw_only=True):
    """The answers. `head` is where the store says the log ends, `verified` how far it follows from the first event."""

    head: Head
    verified: Head = Head()
    batches: int = 0
    chain: Fault | None = None
    streams: list[Fault] = []
    producers: list[Fault] = []
    redactions: list[Fault] = []
    redacted: int = 0
    anchors: list[Fault] = []
    anchored: int = 0  # the offset of the last checkpoint that holds
    store: list[str] = []
    uncounted: int = 0  # faults beyond those named

    @property
    def sound(self) -> bool:
        """Whether every answer is good."""
        return not (self.chain or self.streams or self.producers or self.redactions or self.anchors or self.store or self.uncounted)


async def verify_chain(log: LogReader, *, anchors: Iterable[Anchor] = (), progress: Callable[[int], None] | None = None) -> Report:
    """Check all that is committed at this moment. `progress` is called with the offset reached."""
    check = _Pass(await log.stored_head(), anchors)
    try:
        await _notices(log, check)
        while page := await log.stored(check.report.verified.offset, size=PAGE):
            await to_thread.run_sync(check.page, page)
            if progress:
                progress(check.report.verified.offset)
            if check.report.verified.offset >= check.report.head.offset:
                break
        await _nothing_beyond(log, check)
    except Corrupt as error:
        check.report.chain = Fault(error.offset or check.report.verified.offset + 1, str(error))
    check.finish()
    try:
        check.report.store = await log.check()
    except Corrupt as error:
        check.report.store = [str(error)]
    return check.report


async def _nothing_beyond(log: LogReader, check: "_Pass") -> None:
    end = check.report.head.offset
    page = await log.stored(end, limit=1)
    if page and (await log.stored_head()).offset == end:  # else it was committed meanwhile
        check.report.chain = Fault(end + 1, f"the log goes on after offset {end}, where its head says it ends")


async def _notices(log: LogReader, check: "_Pass") -> None:
    after = 0
    while page := await log.stored(after, stream=STREAM):
        for batch in page:
            for event in batch.events:
                if isinstance(event, EventRedacted):
                    check.told.append((event.offset, event.count, event.body))
            after = batch.last
    check.told.sort(key=itemgetter(0))


class _Pass:
    def __init__(self, head: Head, anchors: Iterable[Anchor]) -> None:
        self.report = Report(head=head)
        self.told: list[tuple[int, int, str]] = []  # by redactions: offset, count, and the digest of what each left; by offset
        self._versions: dict[str, int] = {}
        self._sequences: dict[str, int] = {}
        self._anchors = sorted(anchors, key=lambda anchor: anchor.offset, reverse=True)  # the next one is the last

    def page(self, batches: list[Batch]) -> None:
        for batch in batches:
            if batch.offset > self.report.head.offset:
                return  # committed after we began
            head = chain.check(self.report.verified, batch)
            events = decode(batch.body)
            if len(events) != batch.count:
                raise Corrupt(f"the batch at offset {batch.offset} holds {len(events)} events, not {batch.count}", batch.offset)
            self._follows(self._versions, batch.stream, batch.version, batch, self.report.streams, "stream {!r} goes from version {} to {}")
            self._follows(
                self._sequences, batch.producer, batch.sequence, batch, self.report.producers, "producer {!r} goes from sequence {} to {}"
            )
            if self.told or batch.original is not None:
                self._redaction(batch, [batch.offset + i for i, event in enumerate(events) if isinstance(event, Redacted)])
            self.report.verified = head
            self.report.batches += 1
            while self._anchors and self._anchors[-1].offset <= batch.last:
                self._anchor(self._anchors.pop(), head)

    def finish(self) -> None:
        """Judge the end of the log, and the checkpoints that lie beyond it."""
        end, head = self.report.verified, self.report.head
        if self.report.chain is None and (end.offset, end.digest) != (head.offset, head.digest):
            self.report.chain = Fault(end.offset + 1, f"the log ends at offset {end.offset}, its head says it ends at {head.offset}")
        for anchor in reversed(self._anchors):
            self._fault(self.report.anchors, anchor.offset, f"the log is whole only up to {end.offset}: it does not reach the checkpoint")

    def _follows(self, numbers: dict[str, int], key: str, first: int, batch: Batch, faults: list[Fault], message: str) -> None:
        last = numbers.get(key, 0)
        if first != last + 1:
            self._fault(faults, batch.offset, message.format(key, last, first))
        numbers[key] = first + batch.count - 1

    def _redaction(self, batch: Batch, gone: list[int]) -> None:
        told = self.told[bisect_left(self.told, batch.offset, key=itemgetter(0)) : bisect_right(self.told, batch.last, key=itemgetter(0))]
        if batch.original is None:
            if told:
                self._fault(self.report.redactions, told[0][0], "the event was to be redacted, and still stands")
            return
        self.report.redacted += len(gone)
        if not told:
            self._fault(self.report.redactions, batch.offset, "the batch was changed, and no redaction says so")
        elif sha256(batch.body).hexdigest() not in (body for _, _, body in told):
            self._fault(self.report.redactions, batch.offset, "the batch is not what its redaction left")
        elif gone != _offsets(told, batch):
            self._fault(self.report.redactions, batch.offset, "other events are missing than its redactions say")

    def _anchor(self, anchor: Anchor, head: Head) -> None:
        if anchor.offset == head.offset and anchor.digest == head.digest:
            self.report.anchored = anchor.offset
        elif anchor.offset > 0:
            self._fault(self.report.anchors, anchor.offset, "the checkpoint is of another log, or this log was rewritten")

    def _fault(self, faults: list[Fault], offset: int, message: str) -> None:
        if len(faults) < FAULTS:
            faults.append(Fault(offset, message))
        else:
            self.report.uncounted += 1


def _offsets(told: list[tuple[int, int, str]], batch: Batch) -> list[int]:
    """The offsets that redactions name; those beyond the batch say too much, but a forged count costs nothing."""
    return [at for offset, count, _ in told for at in range(offset, min(offset + count, batch.last + 2))]
