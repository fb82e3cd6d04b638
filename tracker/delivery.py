"""From journals to a transport: in order, exactly once, and never stuck on one bad event.

A request the target refuses is halved until the event at fault stands alone. That event goes to `<producer>.rejected`, one line of
JSON, and an `EventRefused` takes its sequence, so that the rest goes on. A target that knows less than it once acknowledged (restored
from an older copy) gets placeholders for what is gone here. Files that artifacts need are sent before the events that name them.
"""

import base64
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from events.errors import InvalidEvent, SequenceConflict, SequenceGap
from events.types import EventRefused
from tracker.digests import digests_in
from tracker.errors import Conflict, DigestMismatch, InvalidRequest, TooLarge
from tracker.journal_reader import Damage, JournalReader, Piece, array_head, following, scan

REFUSALS = (InvalidEvent, InvalidRequest, TooLarge, Conflict, SequenceConflict, DigestMismatch)
MAX_EVENTS = 10_000  # in one request
_raws = msgspec.msgpack.Decoder(list[msgspec.Raw])


class Report(msgspec.Struct, kw_only=True):
    """What became of a journal."""

    producer: str
    uri: str = ""
    delivered: int = 0  # events that are at the target now, known before or not
    refused: int = 0  # of these, stand-ins for events the target would not take
    damages: list[Damage] = []
    offset: int = 0  # of the target's log, which holds all of it


class Reopen(Exception):
    """Said by a sink that should be closed and opened again, because what it can do has changed; with a text, if a person should know."""


class Sink(Protocol):
    """The part of a transport that delivery needs."""

    async def send(self, pieces: Sequence[Piece]) -> int:
        """Record events in order, exactly once; returns the log's offset that holds all of them."""
        ...

    async def put_blob(self, digest: str, path: Path) -> None:
        """Keep a file under its sha256."""
        ...


class Shipper:
    """Sends pieces into a sink, whatever it thinks of single events."""

    def __init__(self, transport: Sink, directory: Path, uri: str) -> None:
        self._transport, self._directory, self._uri = transport, directory, uri  # the target's, as the journal names it
        self.refused = 0

    async def ship(self, pieces: list[Piece]) -> int:
        """Record the pieces; returns the log's offset. Raises what may pass with time, and what a person must cure."""
        try:
            await self._send_blobs(pieces)
            return await self._transport.send(pieces)
        except SequenceGap as gap:
            first = pieces[0]
            if not 0 < gap.expected < first.sequence:
                if len(pieces) > 1:
                    return await self._one_by_one(pieces)
                raise
            await self._fill(first, gap.expected)
            return await self.ship(pieces)
        except REFUSALS as refusal:
            if len(pieces) > 1:
                return await self._one_by_one(pieces)
            if pieces[0].count > 1:
                return await self._one_by_one(list(_halves(pieces[0])))
            return await self._refuse(pieces[0], refusal)

    async def _one_by_one(self, pieces: list[Piece]) -> int:
        offset = 0
        for piece in pieces:
            offset = await self.ship([piece])
        return offset

    async def _fill(self, first: Piece, expected: int) -> None:
        one = _refused("", "acknowledged before, and gone when the server was restored from an older copy", 0)
        while expected < first.sequence:
            n = min(MAX_EVENTS, first.sequence - expected)
            await self._transport.send([Piece(first.stream, first.producer, expected, n, one * n)])
            expected += n

    async def _refuse(self, piece: Piece, refusal: Exception) -> int:
        event: dict[str, Any] = msgspec.msgpack.decode(piece.events)
        self.refused += 1
        self._note(piece, event, str(refusal))
        if isinstance(refusal, SequenceConflict):  # its sequence is taken by another event, there is nothing to stand in for
            return 0
        reason = f"{type(refusal).__name__}: {refusal}"[:1000]
        stand_in = _refused(str(event.get("type", "")), reason, int(event.get("time", 0)))
        try:
            return await self._transport.send([msgspec.structs.replace(piece, events=stand_in)])
        except REFUSALS:  # then it is the stream itself that is not allowed
            stream = f"run/refused/{piece.producer}"
            return await self._transport.send([msgspec.structs.replace(piece, stream=stream, events=stand_in)])

    def _note(self, piece: Piece, event: dict[str, Any], reason: str) -> None:
        line = {
            "sequence": piece.sequence,
            "stream": piece.stream,
            "was": event.get("type"),
            "reason": reason,
            "event": base64.b64encode(piece.events).decode(),
        }
        with (self._directory / f"{piece.producer}.rejected").open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    async def _send_blobs(self, pieces: list[Piece]) -> None:
        """Upload what was staged for the artifacts named in `pieces`. What is staged no more was uploaded before."""
        for piece in pieces:
            if b"artifact.logged" not in piece.events:
                continue
            for event in msgspec.msgpack.decode(array_head(piece.count) + piece.events):
                for digest in sorted(digests_in(event)):
                    if (staged := staged_path(self._directory, self._uri, digest)).exists():
                        await self._transport.put_blob(digest, staged)
                        staged.unlink(missing_ok=True)


def staging(directory: Path) -> Path:
    """Where bytes of artifacts wait beside the journals for their upload."""
    return directory / "blobs"


def staged_path(directory: Path, uri: str, digest: str) -> Path:
    """Where the bytes of an artifact wait for their upload to a target: one that has them says nothing about another."""
    return staging(directory) / hashlib.sha256(uri.encode()).hexdigest()[:16] / digest


def _refused(was: str, reason: str, time: int) -> bytes:
    return msgspec.msgpack.encode(EventRefused(time=time, was=was, reason=reason))


def _halves(piece: Piece) -> Iterator[Piece]:
    events = _raws.decode(array_head(piece.count) + piece.events)
    middle = piece.count // 2
    for first, part in ((0, events[:middle]), (middle, events[middle:])):
        yield Piece(piece.stream, piece.producer, piece.sequence + first, len(part), b"".join(bytes(raw) for raw in part))


def requests(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """The pieces in groups that fit one request each."""
    group: list[Piece] = []
    count = 0
    for piece in pieces:
        for part in _fitting(piece):
            if count + part.count > MAX_EVENTS and group:
                yield group
                group, count = [], 0
            group.append(part)
            count += part.count
    if group:
        yield group


def _fitting(piece: Piece) -> Iterator[Piece]:
    if piece.count <= MAX_EVENTS:
        yield piece
        return
    for half in _halves(piece):
        yield from _fitting(half)


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Hold a dead producer's last segment against other deliverers; False when its producer lives, or another delivers it already."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(fd) and not following(path).exists()  # a full segment is let go while its producer writes the next
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def deliver(journal: Path, transport: Sink, *, progress: Callable[[int], None] | None = None) -> Report | None:
    """Deliver the journal of a dead producer, given by any of its segments, and unlink it; None when its producer lives (it delivers
    itself) or another process is delivering it. A damaged journal is delivered as far as it can be read, and kept aside as `.damaged`.
    Raises what the transport raises; everything not yet delivered then stays for the next time."""
    producer = journal.name.split(".")[0]
    segments = scan(journal.parent).get(producer, [])
    if not segments:
        return None
    with claim(segments[-1]) as mine:
        if not mine:
            return None
        reader = JournalReader(segments[0])
        report = Report(producer=producer, uri=reader.header.uri)
        shipper = Shipper(transport, journal.parent, report.uri)
        try:
            while pieces := reader.read(dead=True):
                for request in requests(pieces):
                    report.offset = max(report.offset, await shipper.ship(request))
                    report.delivered += sum(piece.count for piece in request)
                    if progress is not None:
                        progress(sum(piece.count for piece in request))
        finally:
            reader.close()
        report.refused, report.damages = shipper.refused, reader.damages
        finish(segments, reader.damages)
        return report


def finish(segments: list[Path], damages: list[Damage]) -> None:
    """Unlink delivered segments; those in which events were damaged stay, under another name, for a person to look at."""
    bad = {damage.path for damage in damages if damage.count or not damage.position}
    for segment in segments:
        if str(segment) in bad:
            segment.rename(segment.with_suffix(".damaged"))
        else:
            segment.unlink(missing_ok=True)
