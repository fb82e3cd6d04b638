"""Reading journals: what a producer wrote, in order, while it lives or long after it died.

A `JournalReader` gives `Piece`s: consecutive events of one stream as raw msgpack, gapless in sequence. Nothing is decoded.
It may be asked again as the journal grows. An incomplete frame at the end is not there yet while the producer lives, and is
a torn tail, cut and reported, once it is dead. Damage elsewhere never shortens a journal silently: it is located in `damages`,
and `EventRefused` events take the sequences that cannot be read, so that what follows it can still be recorded.
"""

import fcntl
import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from events.types import EventRefused
from tracker.journal import FRAME, INNER, MAGIC, MARK, MAX_FRAME, PREFIX, SUFFIX, Header, segment_path

_PREFIX_SIZE, _FRAME_SIZE = PREFIX.size, FRAME.size
_NAME = re.compile(r"([A-Za-z0-9_-]+)\.(\d{6})\.journal")
READ = 1024 * 1024  # bytes taken from the file at once
MAX_LOST = 10_000_000  # sequences a damaged place may hide
MAX_PLACEHOLDERS = 10_000  # events in one piece that stand for unreadable ones


class Piece(msgspec.Struct, frozen=True):
    """Consecutive events of one stream and one producer; `events` are their msgpack bytes, one after the other."""

    stream: str
    producer: str
    sequence: int  # of the first
    count: int
    events: bytes

    @property
    def last(self) -> int:
        """The sequence of the last event."""
        return self.sequence + self.count - 1

    def array(self) -> msgspec.Raw:
        """The events as one msgpack array, without decoding them."""
        return msgspec.Raw(array_head(self.count) + self.events)


class Damage(msgspec.Struct, frozen=True):
    """Bytes of a segment that are not what was written. `count` events cannot be read; 0 for a torn tail."""

    path: str
    position: int
    length: int
    count: int
    reason: str


def array_head(count: int) -> bytes:
    """The msgpack head of an array of `count` items."""
    if count < 16:
        return bytes((0x90 | count,))
    return struct.pack(">BH", 0xDC, count) if count < 65536 else struct.pack(">BI", 0xDD, count)


def append_of(pieces: Sequence[Piece]) -> dict[str, list[dict[str, Any]]]:
    """The body of an append (`POST /v1/events`) that records these pieces."""
    return {"batches": [{"stream": p.stream, "producer": p.producer, "sequence": p.sequence, "events": p.array()} for p in pieces]}


def read_header(path: Path) -> tuple[Header, int]:
    """The header of a segment and the position of its first frame. Raises ValueError when it is damaged."""
    with path.open("rb") as file:
        return parse_header(file.read(READ), path)


def parse_header(data: bytes, path: Path) -> tuple[Header, int]:
    """`read_header`, for the first bytes of a segment."""
    start = len(MAGIC) + 8
    if len(data) < start or not data.startswith(MAGIC):
        raise ValueError(f"{path} is not a journal of this version")
    length, crc = struct.unpack_from("<II", data, len(MAGIC))
    if zlib.crc32(data[start : start + length]) != crc:
        raise ValueError(f"the header of {path} is damaged")
    return msgspec.msgpack.decode(data[start : start + length], type=Header), start + length


def is_alive(path: Path) -> bool:
    """Whether some process (this one, too) holds the segment open as its producer, or is delivering it."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True  # delivered or rotated meanwhile: not ours to touch
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def scan(directory: Path) -> dict[str, list[Path]]:
    """The segments in a directory by producer, each producer's in order."""
    found: dict[str, list[Path]] = {}
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return found
    for name in names:
        if match := _NAME.fullmatch(name):
            found.setdefault(match[1], []).append(directory / name)
    return found


def following(path: Path) -> Path:
    """The segment after this one, whether or not it exists."""
    producer, number, _ = path.name.split(".")
    return segment_path(path.parent, producer, int(number) + 1)


class JournalReader:
    """Reads one producer's segments, from `first` on. A damaged header is noted, and the frames are read all the same."""

    def __init__(self, first: Path) -> None:
        self.damages: list[Damage] = []
        self.path = first
        self._fd = -1  # of the segment being read: it may be unlinked meanwhile, once all in it is acknowledged
        self.next = 0  # sequence of the next event to give; 0 = whichever comes first
        self._stream = b""  # of the last good frame; placeholders go there
        self._enter(first)

    @property
    def segments(self) -> list[Path]:
        """The segments read so far that still exist, in order; the last is the one being read."""
        return [path for path in scan(self.path.parent).get(self.header.producer, []) if path <= self.path]

    def read(self, *, limit: int = READ, dead: bool = False) -> list[Piece]:
        """The next pieces, about `limit` bytes of them; empty when all that is there was given. `dead`: the producer can
        write no more (to be found out before the call), so an incomplete end is a torn tail."""
        while True:
            after = following(self.path)
            ended = after.exists()  # asked first: what exists before the read ends this segment
            data = self._take(limit)
            pieces, used = self._parse(data)
            self._position += used
            if pieces:
                return pieces
            if not data:
                if not ended:
                    if self._reopen():
                        continue
                    return []
                if placeholders := self._enter(after):
                    return placeholders
                continue
            skipped = self._skip(last=not ended, dead=dead)
            if skipped is None:
                return []
            if skipped:
                return skipped

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _reopen(self) -> bool:
        """Whether the segment was deleted, and written anew by its producer; the new file is read on from the same place."""
        try:
            fd = os.open(self.path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return False
        same = os.path.samestat(os.fstat(fd), os.fstat(self._fd))
        if not same:
            fd, self._fd = self._fd, fd
        os.close(fd)
        return not same

    def _enter(self, path: Path) -> list[Piece]:
        """Begin a segment; placeholders for the events between it and the one before."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"{path} is not named as a journal is: <producer>.<number>{SUFFIX}")
        fd = os.open(path, os.O_RDONLY)
        self.close()
        self._fd = fd
        try:
            self.header, self._position = parse_header(os.pread(fd, READ, 0), path)
        except (ValueError, msgspec.DecodeError) as error:
            self.header, self._position = Header(producer=match[1], uri="", first=0, segment=int(match[2])), 0
            self.damages.append(Damage(str(path), 0, 0, 0, str(error)))
        previous, self.path = self.path, path
        missing = self.header.first - self.next if self.next and self.header.first else 0
        self.next = self.next or self.header.first
        if missing <= 0:
            return []
        self.damages.append(Damage(str(previous), previous.stat().st_size if previous.exists() else 0, 0, missing, "the end is missing"))
        return self._placeholders(missing)

    def _take(self, limit: int) -> bytes:
        """Bytes from the position on, at least one frame when it is there."""
        data = os.pread(self._fd, limit, self._position)
        if len(data) == limit and limit >= _PREFIX_SIZE:
            need = PREFIX.unpack_from(data)[1] + _PREFIX_SIZE
            if limit < need <= MAX_FRAME:
                data = os.pread(self._fd, need, self._position)
        return data

    def _parse(self, data: bytes) -> tuple[list[Piece], int]:
        """The good frames at the front of `data` that go on where the last one ended, merged by stream; and their size."""
        pieces: list[Piece] = []
        view, end, position = memoryview(data), len(data), 0
        stream, first, count = b"", 0, 0
        parts: list[memoryview] = []
        while position + _FRAME_SIZE <= end:
            mark, length, crc, sequence, n, name = FRAME.unpack_from(data, position)
            after = position + _PREFIX_SIZE + length
            inner = position + _FRAME_SIZE + name
            if mark != MARK or after > end or inner > after or sequence != (self.next or sequence):
                break
            if zlib.crc32(view[position + _PREFIX_SIZE : after]) != crc:
                break
            if data[position + _FRAME_SIZE : inner] != stream:
                if parts:
                    pieces.append(self._piece(stream, first, count, parts))
                stream, first, count, parts = data[position + _FRAME_SIZE : inner], sequence, 0, []
            parts.append(view[inner:after])
            count += n
            self.next, position = sequence + n, after
        if parts:
            pieces.append(self._piece(stream, first, count, parts))
            self._stream = stream
        return pieces, position

    def _piece(self, stream: bytes, first: int, count: int, parts: list[memoryview]) -> Piece:
        return Piece(stream.decode("utf-8", "replace"), self.header.producer, first, count, b"".join(parts))

    def _skip(self, *, last: bool, dead: bool) -> list[Piece] | None:
        """Get past bytes that are no frame; None when they may still become one."""
        rest = os.pread(self._fd, max(0, os.fstat(self._fd).st_size - self._position), self._position)
        good, sequence = self._find(rest)
        if good is None and last and not dead:
            return None
        start = self._position
        self._position += len(rest) if good is None else good
        if good is not None:
            count = sequence - self.next if self.next else 0
            if start:  # else it is the damaged header, noted already
                self.damages.append(Damage(str(self.path), start, good, count, "damaged"))
            return self._placeholders(count) if self.next else []
        torn = len(rest) < _PREFIX_SIZE or (rest[:2] == MARK and PREFIX.unpack_from(rest)[1] + _PREFIX_SIZE > len(rest))
        if torn and last:
            self.damages.append(Damage(str(self.path), start, len(rest), 0, "torn: the producer died while writing"))
            return []
        # At least one event; when a segment follows, its header tells how many more, and `_enter` stands in for them.
        self.damages.append(Damage(str(self.path), start, len(rest), 1, "damaged up to the end"))
        return self._placeholders(1)

    def _find(self, rest: bytes) -> tuple[int | None, int]:
        """Where the next good frame begins, and its sequence."""
        position = rest.find(MARK)
        while position >= 0 and position + _FRAME_SIZE <= len(rest):
            _, length, crc, sequence, _, name = FRAME.unpack_from(rest, position)
            after = position + _PREFIX_SIZE + length
            plausible = INNER.size + name <= length <= MAX_FRAME and self.next <= sequence < (self.next or sequence) + MAX_LOST
            if plausible and after <= len(rest) and zlib.crc32(memoryview(rest)[position + _PREFIX_SIZE : after]) == crc:
                if not self._stream:
                    self._stream = rest[position + _FRAME_SIZE : position + _FRAME_SIZE + name]
                return position, sequence
            position = rest.find(MARK, position + 1)
        return None, 0

    def _placeholders(self, count: int) -> list[Piece]:
        """Events that take the sequences of `count` unreadable ones; the same ones at every reading."""
        pieces: list[Piece] = []
        refused = EventRefused(time=self.header.created, was="", reason="unreadable in the journal")
        one = msgspec.msgpack.encode(refused)
        while count > 0 and self._stream:
            n = min(count, MAX_PLACEHOLDERS)
            pieces.append(Piece(self._stream.decode("utf-8", "replace"), self.header.producer, self.next, n, one * n))
            self.next += n
            count -= n
        return pieces
