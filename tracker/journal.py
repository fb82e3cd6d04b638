"""The SDK's durable local outbox: files to which events are appended before anything else happens to them.

A journal belongs to one producer (one process recording to one target) and is a chain of segments `<producer>.<n>.journal`.
A segment is a header (magic, then one checked msgpack struct) and frames: mark, length, crc32, then the sequence of the first
event, the number of events, and the events' msgpack bytes as they will stand in the log. One call is one frame is one write(2),
so what a killed process had said survives it. The file is locked (flock) while its producer lives.
A segment is unlinked when all in it is acknowledged, which needs no free space. Reading is in `journal_reader.py`.
"""

import errno
import fcntl
import os
import socket
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from events.durable import sync_directory

MAGIC = b"run-tracker journal 1\n"
MARK = b"\xa5J"
PREFIX = struct.Struct("<2sII")  # mark, length of the rest, crc32 of the rest
INNER = struct.Struct("<QIH")  # sequence of the first event, count of events, length of the stream's name
FRAME = struct.Struct("<2sIIQIH")  # both at once, for reading
SUFFIX = ".journal"

SEGMENT_BYTES = 16 * 1024 * 1024
MAX_FRAME = 8 * 1024 * 1024


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the first bytes of a segment say."""

    producer: str
    uri: str  # where the events are to go
    first: int  # sequence of the first event
    segment: int = 1
    pid: int = 0
    host: str = ""
    parent: str = ""  # the producer this process was forked from
    created: int = 0  # nanoseconds


def segment_path(directory: Path, producer: str, segment: int) -> Path:
    """Where a segment lies."""
    return directory / f"{producer}.{segment:06d}{SUFFIX}"


def make_private(directory: Path) -> None:
    """Make a directory, and the ones above it that are missing, nobody else's to look into."""
    for missing in reversed([path for path in (directory, *directory.parents) if not path.exists()]):
        missing.mkdir(exist_ok=True, mode=0o700)


class Journal:
    """The writing side. Not thread-safe: the recorder's lock is around every call but `sync`. Calls that fail with OSError
    leave the journal as it was, so they can be tried again."""

    def __init__(self, directory: Path, uri: str, producer: str, *, parent: str = "", segment_bytes: int = SEGMENT_BYTES) -> None:
        self.directory, self.uri, self.producer, self.parent = directory, uri, producer, parent
        self.written = 0  # sequence of the last event in the file
        self._segment_bytes = segment_bytes
        self._segment = 0
        self._size = 0
        self._retired: list[int] = []  # file descriptors of full segments, not yet synced
        self._closed_segments: list[tuple[int, Path]] = []  # (last sequence, path) of full segments, oldest first
        self.dirty = False
        self._fd = -1
        make_private(directory)
        self._open_segment()

    @property
    def path(self) -> Path:
        """The segment being written."""
        return segment_path(self.directory, self.producer, self._segment)

    def append(self, stream: bytes, count: int, events: bytes) -> int:
        """Write `count` events, given as their concatenated msgpack bytes; returns the sequence of the last."""
        if self._size >= self._segment_bytes:
            self._rotate()
        body = INNER.pack(self.written + 1, count, len(stream)) + stream + events
        frame = PREFIX.pack(MARK, len(body), zlib.crc32(body)) + body
        start, before = self.written, self._size
        try:
            if os.write(self._fd, frame) != len(frame):
                _cut_short()
            self._size, self.written, self.dirty = before + len(frame), start + count, True
        except BaseException:
            # Asked of the file, since a full disk or KeyboardInterrupt may have come before, within or after the write.
            if os.fstat(self._fd).st_size == before + len(frame):
                self._size, self.written, self.dirty = before + len(frame), start + count, True
            else:
                os.ftruncate(self._fd, before)
            raise
        return self.written

    def sync(self) -> None:
        """Make all that was written survive a power cut. May run in another thread than `append`."""
        while self._retired:
            fd = self._retired.pop()
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        if self.dirty:
            self.dirty = False
            fd = os.dup(self._fd)  # a rotation meanwhile must not close it under us
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)

    def restore(self) -> bool:
        """Write the segment anew under its name, from what is still held open, if somebody deleted it; whether that was so."""
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(self.path.stat(), os.fstat(self._fd)):
                return False
        make_private(self.directory)
        deleted, self._fd = self._fd, _create(self.path, self._content())
        self._retired.append(deleted)
        return True

    def acknowledge(self, sequence: int) -> None:
        """Unlink the full segments whose events are all stored at the target."""
        while self._closed_segments and self._closed_segments[0][0] <= sequence:
            self._closed_segments.pop(0)[1].unlink(missing_ok=True)

    def close(self, acknowledged: int = 0) -> None:
        """Sync and close; leaves no file when all in it is acknowledged."""
        if self._fd < 0:
            return
        self.acknowledge(acknowledged)
        if acknowledged >= self.written:
            self.path.unlink(missing_ok=True)
        else:
            self.sync()
        self.abandon()

    def abandon(self) -> None:
        """Let go of the files without a word, as a forked child must: the lock is its parent's."""
        for fd in (*self._retired, self._fd):
            if fd >= 0:
                os.close(fd)
        self._retired, self._fd = [], -1

    def _rotate(self) -> None:
        previous, path = self._fd, self.path
        self._open_segment()
        self._closed_segments.append((self.written, path))
        self._retired.append(previous)

    def _open_segment(self) -> None:
        header = Header(
            producer=self.producer,
            uri=self.uri,
            first=self.written + 1,
            segment=self._segment + 1,
            pid=os.getpid(),
            host=socket.gethostname(),
            parent=self.parent,
            created=time.time_ns(),
        )
        packed = msgspec.msgpack.encode(header)
        head = MAGIC + struct.pack("<II", len(packed), zlib.crc32(packed)) + packed
        path = segment_path(self.directory, self.producer, header.segment)
        self._fd, self._size, self._segment = _create(path, [head]), len(head), header.segment

    def _content(self) -> Iterator[bytes]:
        position = 0
        while chunk := os.pread(self._fd, MAX_FRAME, position):
            position += len(chunk)
            yield chunk


def _create(path: Path, content: Iterable[bytes]) -> int:
    """Write a segment under a temporary name; it appears in the directory whole, synced and locked. Returns its descriptor."""
    draft = path.with_suffix(".new")
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for part in content:
            if os.write(fd, part) != len(part):
                _cut_short()
        os.fsync(fd)
        draft.rename(path)
        sync_directory(path.parent)
    except BaseException:
        os.close(fd)
        draft.unlink(missing_ok=True)
        raise
    return fd


def _cut_short() -> NoReturn:
    raise OSError(errno.ENOSPC, "no space for a whole frame")
