"""The bytes of an artifact that the tracker keeps, read by ranges over its transport.

Reading runs one piece ahead of its reader and holds two pieces at most. Versions are never changed: writing and deleting are refused
with a word on what to do instead.
"""

import io
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import PurePosixPath
from typing import IO, Any, Protocol

import anyio

from tracker.connection import PROCESS, Connection
from tracker.dataitem.files import CHUNK
from tracker.dataitem.place import Stat
from tracker.dataitem.resolving import Stored, StoredFile, in_portal
from tracker.errors import InvalidRequest, NotFound, Unavailable

AHEAD = 1024 * 1024  # bytes that an open file asks for at least
AGAIN = 0.2  # seconds until a range is asked for again


class StoredPlace:
    """An artifact, or one file of it."""

    kind = "store"

    def __init__(self, url: str, connection: Connection, stored: Stored, file: StoredFile | None = None) -> None:
        self.url, self._connection, self._stored = url, connection, stored
        self._files = [] if file else stored.files
        self.digest, self._size = (file.digest, file.size) if file else (stored.digest, stored.size)
        self.name = PurePosixPath(file.path if file else stored.path or stored.key)

    def stat(self) -> Stat:
        """Size, time and type."""
        import mimetypes

        size = sum(file.size for file in self._files) if self._files else self._size
        kind = "inode/directory" if self._files else mimetypes.guess_type(self.name.name)[0] or self._stored.content_type
        return Stat(size, self._stored.created_at / 1e9, kind or "application/octet-stream")

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to but without `end`."""
        self._check_content()
        stop = self._size if end is None else min(end, self._size)
        position = start
        ahead: Future[bytes] | None = None
        while position < stop:
            here = ahead or self._ask(position, min(position + CHUNK, stop))
            position = min(position + CHUNK, stop)
            ahead = self._ask(position, min(position + CHUNK, stop)) if position < stop else None
            try:
                yield here.result()
            except BaseException:
                if ahead is not None:
                    ahead.cancel()
                raise

    def read(self, start: int, end: int) -> bytes:
        """One range."""
        stop = min(end, self._size)
        return in_portal(self._range(start, stop)) if start < stop else b""

    def open(self, mode: str = "rb", **options: Any) -> IO[Any]:
        """An open file, for reading; `options` are encoding, errors and newline of text."""
        if mode not in ("r", "rt", "rb"):
            raise _immutable(self.url)
        self._check_content()
        binary = io.BufferedReader(_Reader(self, self._size), AHEAD)
        return binary if "b" in mode else io.TextIOWrapper(binary, **{"encoding": "utf-8", **options})

    def write(self, chunks: object, append: bool = False) -> None:  # noqa: ARG002 - that of every place
        """Refused."""
        raise _immutable(self.url)

    def delete(self, recursive: bool = False) -> None:  # noqa: ARG002 - that of every place
        """Refused."""
        raise _immutable(self.url)

    def names(self) -> list[str]:
        """The paths of the files of an artifact of several, or its own name."""
        return sorted(file.path for file in self._files) if self._files else [self.name.name]

    def at(self, path: str) -> "StoredPlace":
        """One file of an artifact of several. Raises FileNotFoundError."""
        found = next((file for file in self._files if file.path == path), None)
        if found is None:
            raise FileNotFoundError(2, f"the artifact has no file {path!r}, it has {', '.join(self.names()[:20])}", self.url)
        return StoredPlace(self.url, self._connection, self._stored, found)

    def local(self) -> None:
        """Never a path: what the tracker keeps is read through it."""
        return

    def here(self) -> bool:
        """Whether the tracker has the bytes."""
        if not self._size:
            return True
        try:
            self.read(0, 1)
        except NotFound:
            return False
        return True

    def _check_content(self) -> None:
        if self._files:
            raise IsADirectoryError(21, f"the artifact has several files, read one: {', '.join(self.names()[:20])}", self.url)
        if not self.digest:
            raise NotFound(f"{self.url} has no content: it was logged without a body, a file or a place")

    def _ask(self, start: int, end: int) -> "Future[bytes]":
        return PROCESS.portal.submit(self._range(start, end))

    async def _range(self, start: int, end: int) -> bytes:
        """One range; a target that is away for a moment is waited for, as long as everywhere."""
        patience = self._connection.settings.patience
        until = time.monotonic() + patience
        while True:
            try:
                transport = await self._connection.sender.ready(patience)
                data = b"".join([chunk async for chunk in transport.get_blob(self.digest, start, end)])
            except Unavailable:
                if time.monotonic() > until:
                    raise
                await anyio.sleep(AGAIN)
            else:
                if len(data) == end - start:
                    return data
                raise Unavailable(f"{self.url}: {len(data)} bytes came instead of {end - start}")


class _Source(Protocol):
    def read(self, start: int, end: int) -> bytes: ...


class _Reader(io.RawIOBase):
    """A file over ranges."""

    def __init__(self, source: _Source, size: int) -> None:
        self._source, self._size, self._position = source, size, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill what there is room for."""
        data = self._source.read(self._position, self._position + min(len(buffer), 2 * CHUNK))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _immutable(url: str) -> InvalidRequest:
    return InvalidRequest(f"{url} is a version of an artifact, which never changes: log a new one with context.log_artifact", field="url")
