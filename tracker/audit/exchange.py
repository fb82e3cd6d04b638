"""Export and import: a log, or a part of it, as one file of lines.

The file begins with a header that says which part it is, and ends with a trailer that counts: a file cut short is noticed, never taken
for a whole one. Import knows two ways. Into an empty log a whole export is *restored*: same places, same times, same batches, so that
the chain comes out with the digests it had and signed checkpoints still hold. Into a log that has events it is *merged*: each event
is appended under its own producer and sequence, so that what is there already is skipped, and importing twice changes nothing. In a
part of a log (one run, say) the producers' sequences have gaps; there, each producer gets a name for that stream, counted anew, the
same at each import.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from hashlib import sha256
from typing import Any

import msgspec
from anyio import create_task_group

from events.chain import seal
from events.codec import AnyEvent, encode
from events.errors import EventsError, SequenceGap
from events.log import EventLog
from events.record import Batch, Head, New
from events.store import Store
from tracker.audit.ndjson import Line, Malformed, event_of, lines, parse
from tracker.digests import digests_in

_PER_INSERT = 4000  # events of one transaction of a restore
_PER_APPEND = 1000  # events of one append of a merge
_AT_ONCE = 64  # appends of a merge that wait together


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line. A whole export has `after` 0 and neither stream nor prefix."""

    run_tracker_export: int
    after: int
    until: int
    stream: str | None = None
    prefix: str | None = None

    @property
    def complete(self) -> bool:
        """Whether it holds every event after `after`, so that its producers' sequences have no gaps of its making."""
        return not self.stream and not self.prefix

    @property
    def whole(self) -> bool:
        """Whether it holds every event of its log up to `until`."""
        return self.after == 0 and self.complete


class Trailer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last line: how many events came before it, and the log's digest after them (only of a whole export)."""

    end_of_export: int
    digest: str = ""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. `same_chain`: a restored log has the digest the exported one had; None when it was merged."""

    events: int
    duplicates: int
    restored: bool
    same_chain: bool | None = None


_json = msgspec.json.Encoder()
_header, _trailer = msgspec.json.Decoder(Header), msgspec.json.Decoder(Trailer)


async def export(batches: AsyncIterable[Batch], header: Header, progress: Callable[[int], None] = lambda _: None) -> AsyncIterator[bytes]:
    """The lines of an export, in chunks; `progress` hears the offset reached."""
    yield _json.encode(header) + b"\n"
    count, digest = 0, b""
    async for batch in batches:
        text = [*lines(batch, header.after)]
        count, digest = count + len(text), batch.digest
        yield b"".join(text)
        progress(batch.last)
    yield _json.encode(Trailer(end_of_export=count, digest=digest.hex() if header.whole else "")) + b"\n"


class Source:
    """The lines of an export file: `header`, then `items()`, then `trailer`, which is set when the file was whole. `digests` gathers those
    of the artifacts that the events so far name."""

    def __init__(self, text: AsyncIterator[bytes], header: Header) -> None:
        self._text = text
        self.header = header
        self.trailer: Trailer | None = None
        self.number = 1
        self.digests: set[str] = set()

    async def items(self) -> AsyncIterator[Line]:
        """The events, with `number` at the line of each. Raises Malformed, also when the file ends early."""
        count = 0
        async for text in self._text:
            self.number += 1
            if text.startswith(b'{"end_of_export"'):
                self.trailer = _decoded(_trailer, text, self.number)
                break
            count += 1
            line = parse(text, self.number)
            self.digests |= digests_in(line.event)
            yield line
        if self.trailer is None:
            raise Malformed(self.number, "the file ends here, before the export did: some of it is missing")
        if self.trailer.end_of_export != count:
            raise Malformed(self.number, f"the export had {self.trailer.end_of_export} events, the file has {count}")


async def open_source(text: AsyncIterator[bytes]) -> Source:
    """The export whose lines are `text`. Raises Malformed when it does not begin as one."""
    first = await anext(text, b"")
    if not first.startswith(b'{"run_tracker_export"'):
        raise Malformed(1, "this is no export: `tracker export` writes one")
    header: Header = _decoded(_header, first, 1)
    if header.run_tracker_export != 1:
        raise Malformed(1, f"an export of format {header.run_tracker_export}, this version knows 1: upgrade run-tracker")
    return Source(text, header)


def _decoded(decoder: msgspec.json.Decoder[Any], text: bytes, number: int) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(number, f"not a line of an export: {error}") from None


async def restore(source: Source, store: Store, progress: Callable[[int], None] = lambda _: None) -> Imported:
    """Write a whole export into an empty log, batch by batch as it was. The caller holds the log's lease and has no EventLog open."""
    head = start = await store.head()
    waiting: list[Batch] = []
    end = start
    async for batch in _batches(source, start):
        waiting.append(batch)
        end = Head(batch.last, batch.digest, batch.recorded_at, head.epoch)
        if end.offset - head.offset >= _PER_INSERT:
            await store.insert(waiting, head)
            head, waiting = end, []
            progress(head.offset)
    if waiting:
        await store.insert(waiting, head)
    same = source.trailer is not None and source.trailer.digest == (end.digest.hex() if end.offset else "")
    return Imported(events=end.offset, duplicates=0, restored=True, same_chain=same)


async def _batches(source: Source, head: Head) -> AsyncIterator[Batch]:
    """The batches a whole export was made of, chained anew. Raises Malformed where one is not whole or not in place."""
    held: list[Line] = []
    events: list[AnyEvent] = []
    async for line in source.items():
        first = held[0] if held else line
        if line.offset != head.offset + 1 + len(held) or (line.version, line.sequence) != (
            first.version + len(held),
            first.sequence + len(held),
        ):
            raise Malformed(source.number, f"event {head.offset + 1 + len(held)} was expected here, not {line.offset}")
        held.append(line)
        events.append(event_of(line, source.number))
        if len(held) == max(first.count, 1):
            batch = _sealed(first, events, head)
            yield batch
            head = Head(batch.last, batch.digest, batch.recorded_at, head.epoch)
            held, events = [], []
    if held:
        raise Malformed(source.number, f"the batch at offset {held[0].offset} has {held[0].count} events, {len(held)} are here")


def _sealed(first: Line, events: list[AnyEvent], head: Head) -> Batch:
    body = encode(events)
    original = bytes.fromhex(first.original) or None
    place: dict[str, Any] = {
        "offset": first.offset,
        "count": len(events),
        "stream": first.stream,
        "version": first.version,
        "recorded_at": first.recorded_at,
        "actor": first.actor,
        "producer": first.producer,
        "sequence": first.sequence,
    }
    batch = Batch(**place, body=body, original=original, digest=b"")
    return msgspec.structs.replace(batch, digest=seal(head.digest, batch, original or sha256(body).digest()))


async def merge(source: Source, log: EventLog, progress: Callable[[int], None] = lambda _: None) -> Imported:
    """Append the events of an export that the log does not have yet. Raises Malformed at the first that cannot be: all before it stay."""
    count = duplicates = 0
    held: list[New] = []
    async for new in _appends(source, log):
        held.append(new)
        if len(held) == _AT_ONCE:
            duplicates += await _append_all(held, log, source.number)
            count += sum(len(new.events) for new in held)
            held = []
            progress(count)
    duplicates += await _append_all(held, log, source.number)
    count += sum(len(new.events) for new in held)
    return Imported(events=count - duplicates, duplicates=duplicates, restored=False)


async def _append_all(news: list[New], log: EventLog, number: int) -> int:
    """Append all, in order but in few commits. The number of duplicates among them."""
    duplicates = 0
    failures: list[EventsError] = []

    async def append(new: New) -> None:
        nonlocal duplicates
        try:
            receipt = await log.append(new)
            duplicates += receipt.duplicates
        except EventsError as error:
            failures.append(error)

    async with create_task_group() as tasks:
        for new in news:
            tasks.start_soon(append, new)
    if failures:
        raise Malformed(number, _reason(failures[0])) from failures[0]
    return duplicates


def _reason(error: EventsError) -> str:
    if isinstance(error, SequenceGap):
        there = f"this log has it up to {error.expected - 1}"
        return f"producer {error.producer} goes on at {error.got}, but {there}: import the part before it first"
    return str(error)


async def _appends(source: Source, log: EventLog) -> AsyncIterator[New]:
    """Events that stand together, as appends of a good size."""
    renumber = _Renumber(log)
    new: New | None = None
    async for line in source.items():
        producer, sequence = line.producer, line.sequence
        if not source.header.complete:
            producer, sequence = await renumber.place(line, source.number)
        event = event_of(line, source.number)
        if new is not None and _follows(new, line, producer, sequence):
            new.events.append(event)
            continue
        if new is not None:
            yield new
        new = New(stream=line.stream, events=[event], producer=producer, sequence=sequence, actor=line.actor)
    if new is not None:
        yield new


def _follows(new: New, line: Line, producer: str, sequence: int) -> bool:
    count = len(new.events)
    together = (new.stream, new.producer, new.actor, new.sequence + count) == (line.stream, producer, line.actor, sequence)
    return together and count < _PER_APPEND


class _Renumber:
    """Places for the events of a part of a log: per stream and producer a name of its own, counted from 1. The same at each import."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._counted: dict[tuple[str, str], int] = {}
        self._streams: set[str] = set()

    async def place(self, line: Line, number: int) -> tuple[str, int]:
        name = f"{line.producer[:80]}.{sha256(f'{line.producer} {line.stream}'.encode()).hexdigest()[:12]}"
        if line.stream not in self._streams:
            self._streams.add(line.stream)
            # A run recorded here under its producers' own names must not get the same events again under these.
            if await self._log.version(line.stream) and not await self._log.position(name):
                raise Malformed(number, f"{line.stream} has events here that are not of this export: it cannot be merged into them")
        count = self._counted[line.producer, line.stream] = self._counted.get((line.producer, line.stream), 0) + 1
        return name, count
