"""From wanted to happened: which of the waiting appends are new, which were here before, and what number and digest each gets.

The sealer runs ahead of the store within one group: what it has sealed counts as written for what follows. It may keep the last
numbers of streams and producers in memory, because there is one writer and because the first commit that fails ends it.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from hashlib import sha256

import msgspec
from anyio import Event, to_thread

from events.chain import seal
from events.codec import AnyEvent, compress, encode_event, encode_plain
from events.errors import Corrupt, EventsError, InvalidEvent, SequenceConflict, SequenceGap, VersionConflict
from events.record import Batch, Head, New
from events.store import Store
from events.types import Redacted

NAME_LIMIT = 512  # bytes of the name of a stream, a producer or an actor
KNOWN = 16_384  # streams, and producers, whose last number is kept in memory: more than a group has appends
INLINE = 128 * 1024  # bytes packed on the event loop; more go to a worker thread
REFUSALS = (SequenceGap, SequenceConflict, VersionConflict, InvalidEvent)


class Receipt(msgspec.Struct, frozen=True):
    """What became of an append: offset and version of its last event, and how many of its events were here before."""

    offset: int
    version: int
    duplicates: int = 0


class Append:
    """A waiting append and, later, its outcome: a receipt or an error."""

    __slots__ = ("done", "error", "events", "expected_version", "new", "plain", "receipt", "withdrawn")

    def __init__(self, new: New, events: list[AnyEvent], plain: bytes, expected_version: int | None) -> None:
        self.new = new
        self.events = events
        self.plain = plain
        self.expected_version = expected_version
        self.done = Event()
        self.receipt: Receipt | None = None
        self.error: EventsError | None = None
        self.withdrawn = False


class Sealer:
    """Turns appends into the batches that follow `head`."""

    def __init__(self, store: Store, head: Head, clock: Callable[[], int]) -> None:
        self.head = head
        self._store = store
        self._clock = clock
        self._positions: OrderedDict[str, int] = OrderedDict()
        self._versions: OrderedDict[str, int] = OrderedDict()

    async def seal(self, group: list[Append]) -> list[tuple[Batch, Append]]:
        """The new batches of a group, with the appends they came from. A refused append gets its error, the others their receipts."""
        sealed: list[tuple[Batch, Append]] = []
        for append in group:
            try:
                if batch := await self._seal(append, sealed):
                    sealed.append((batch, append))
            except REFUSALS as error:
                append.error = error
        return sealed

    async def _seal(self, append: Append, sealed: list[tuple[Batch, Append]]) -> Batch | None:
        new = append.new
        position = await _number(self._positions, new.producer, self._store.position)
        if new.sequence > position + 1:
            raise SequenceGap(new.producer, position + 1, new.sequence)
        known = min(position + 1 - new.sequence, len(append.events))
        if known:
            offset, version = await self._same(append, known, [batch for batch, _ in sealed if batch.producer == new.producer])
            if known == len(append.events):
                append.receipt = Receipt(offset, version, known)
                return None
            append.events = append.events[known:]
            append.plain = encode_plain(append.events)
        version = await _number(self._versions, new.stream, self._store.version)
        if append.expected_version is not None and append.expected_version + known != version:
            raise VersionConflict(new.stream, append.expected_version, version)
        return await self._chain(append, known, version)

    async def _chain(self, append: Append, known: int, version: int) -> Batch:
        new, count, plain = append.new, len(append.events), append.plain
        body, body_digest = pack(plain) if len(plain) <= INLINE else await to_thread.run_sync(pack, plain)
        unsealed = Batch(
            offset=self.head.offset + 1,
            count=count,
            stream=new.stream,
            version=version + 1,
            recorded_at=max(self._clock(), self.head.recorded_at),
            actor=new.actor,
            producer=new.producer,
            sequence=new.sequence + known,
            body=body,
            digest=b"",
        )
        batch = msgspec.structs.replace(unsealed, digest=seal(self.head.digest, unsealed, body_digest))
        self.head = Head(batch.last, batch.digest, batch.recorded_at, self.head.epoch)
        self._positions[new.producer] = new.sequence + known + count - 1
        self._versions[new.stream] = version + count
        append.receipt = Receipt(batch.last, version + count, known)
        return batch

    async def _same(self, append: Append, known: int, sealed: list[Batch]) -> tuple[int, int]:
        """Offset and version of the last of the first `known` events as written before, which must be the same events."""
        new = append.new
        last = new.sequence + known - 1
        expected = new.sequence
        offset = version = 0
        async with aclosing(self._written(new.producer, expected, last, sealed)) as batches:
            async for batch in batches:
                for i, event in enumerate(batch.events):
                    sequence = batch.sequence + i
                    if not expected <= sequence <= last:
                        continue
                    if batch.stream != new.stream or not _equal(event, append.events[sequence - new.sequence]):
                        raise SequenceConflict(new.producer, sequence)
                    offset, version, expected = batch.offset + i, batch.version + i, sequence + 1
        if expected <= last:
            raise Corrupt(f"producer {new.producer!r} has no sequence {expected}, though it has later ones")
        return offset, version

    async def _written(self, producer: str, first: int, last: int, sealed: list[Batch]) -> AsyncGenerator[Batch, None]:
        """What the producer wrote as first..last and maybe more, page by page: from the store, then what is sealed and not yet there."""
        end = sealed[0].sequence - 1 if sealed else last
        while first <= min(last, end):
            page = await self._store.written(producer, first, min(last, end))
            if not page or page[-1].sequence + page[-1].count <= first:
                return
            first = page[-1].sequence + page[-1].count
            page.reverse()
            while page:
                yield page.pop()
        for batch in sealed:
            yield batch


def pack(plain: bytes) -> tuple[bytes, bytes]:
    """The stored body of a msgpack array, and its sha256."""
    body = compress(plain)
    return body, sha256(body).digest()


def check_names(new: New) -> None:
    """Raise InvalidEvent when the log could not keep the names, or the sequence, of `new`."""
    for what, name in (("stream", new.stream), ("producer", new.producer), ("actor", new.actor or "-")):
        try:
            size = len(name.encode())
        except UnicodeEncodeError as error:
            raise InvalidEvent(f"the {what} {name!r} is not valid text") from error
        if not 0 < size <= NAME_LIMIT or not name.isprintable():
            raise InvalidEvent(f"the {what} {name[:80]!r} must be 1 to {NAME_LIMIT} bytes without control characters")
    if new.sequence < 1:
        raise InvalidEvent(f"sequences are counted from 1, not {new.sequence}")
    if not new.events:
        raise InvalidEvent("an append needs at least one event")


def _equal(stored: AnyEvent, wanted: AnyEvent) -> bool:
    # As bytes: NaN is equal to itself there. A redacted event can no longer be compared.
    return isinstance(stored, Redacted) or encode_event(stored) == encode_event(wanted)


async def _number(known: OrderedDict[str, int], key: str, look_up: Callable[[str], Awaitable[int]]) -> int:
    found = known.get(key)
    if found is None:
        found = known[key] = await look_up(key)
        if len(known) > KNOWN:
            known.popitem(last=False)
    else:
        known.move_to_end(key)
    return found
