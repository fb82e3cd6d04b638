"""Bytes of artifacts, each kept once under the sha256 of its content.

A blob is written to a temporary file, hashed on the way, synced, and linked to its name only when the hash is the promised one: so a blob
that has a name is whole, whatever killed its writer. Nothing a client says becomes a part of a path but 64 hex digits. All file work is
done in worker threads.
"""

import errno
import fcntl
import hashlib
import mmap
import os
import stat
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread

from events.durable import sync_directory
from tracker.errors import DigestMismatch, NotFound
from tracker.filling import Chunk, fill
from tracker.names import check_digest

CHUNK = 256 * 1024
LEAVE = 8 * 1024 * 1024  # bytes that are sent to the disk at once
DIRECT = getattr(os, "O_DIRECT", 0)


class Blobs:
    """The blobs under one directory. Readers and writers may be many, also from several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Make the directories; remove what writers that died left behind."""
        temporary = self._path / "tmp"
        for directory in (self._path, temporary):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        sweep(temporary)

    async def size(self, digest: str) -> int | None:
        """The bytes a blob has, None when it is not here."""
        return await anyio.to_thread.run_sync(self._size, self._file(digest))

    async def put(self, digest: str, chunks: AsyncIterable[Chunk], *, limit: int) -> int:
        """Keep the bytes that come in `chunks`; returns how many. Raises DigestMismatch or TooLarge, and then keeps nothing."""
        target = self._file(digest)
        with anyio.CancelScope(shield=True):  # whoever leaves at this moment must not leave an open file behind
            draft = await anyio.to_thread.run_sync(Draft, self._path / "tmp")
        try:
            await fill(draft, chunks, limit)
            if draft.digest != digest:
                raise DigestMismatch(f"the bytes have sha256 {draft.digest}, not {digest}: nothing was kept", found=draft.digest)
            await anyio.to_thread.run_sync(draft.finish, target)
        finally:
            draft.discard()
        return draft.size

    async def put_file(self, digest: str, source: Path) -> int:
        """Keep a file of this machine, read once, never whole in memory."""

        async def chunks() -> AsyncIterator[bytes]:
            async with await anyio.open_file(source, "rb") as file:
                while chunk := await file.read(CHUNK * 4):
                    yield chunk

        if (known := await self.size(digest)) is not None:
            return known
        return await self.put(digest, chunks(), limit=2**63)

    async def read(self, digest: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but without `end`. Raises NotFound."""
        with anyio.CancelScope(shield=True):
            descriptor = await anyio.to_thread.run_sync(self._open, self._file(digest))
        try:
            position = start
            while end is None or position < end:
                size = CHUNK if end is None else min(CHUNK, end - position)
                chunk = await anyio.to_thread.run_sync(os.pread, descriptor, size, position)
                if not chunk:
                    return
                position += len(chunk)
                yield chunk
        finally:
            os.close(descriptor)

    async def remove(self, digest: str) -> int | None:
        """Remove a blob; returns the bytes it had, None when it is not here. Who reads it now still gets all of it."""
        return await anyio.to_thread.run_sync(self._remove, self._file(digest))

    def _file(self, digest: str) -> Path:
        check_digest(digest, "digest")
        return self._path / digest[:2] / digest

    @staticmethod
    def _size(file: Path) -> int | None:
        try:
            found = os.lstat(file)
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    @classmethod
    def _remove(cls, file: Path) -> int | None:
        size = cls._size(file)
        if size is not None:
            file.unlink()
            sync_directory(file.parent)
        return size

    @staticmethod
    def _open(file: Path) -> int:
        try:
            return os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"there is no blob {file.name}") from None


class Draft:
    """A temporary file on its way to a name, hashed as it grows. It is locked while its writer lives, which tells it from what the dead
    left."""

    def __init__(self, directory: Path) -> None:
        self._descriptor, self._path = _locked_draft(directory)
        self._hash = hashlib.sha256()
        self._direct, self._may_direct = False, DIRECT != 0
        self._leaving = 0  # so much is on its way to the disk
        self.size = 0

    @property
    def path(self) -> Path:
        """Where it is while it has no other name."""
        return self._path

    @property
    def digest(self) -> str:
        """The sha256 of what was written."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self.hash(chunk)
        self.append(chunk)

    def hash(self, chunk: Chunk) -> None:
        """Count the next bytes into the digest."""
        self._hash.update(chunk)

    def append(self, chunk: Chunk) -> None:
        """Write the next bytes. A view is of whole pages of memory; where it has nothing but whole ones it goes from there to the disk."""
        view = memoryview(chunk)
        self.size += len(view)
        self._go_direct(direct=isinstance(chunk, memoryview) and len(view) % mmap.PAGESIZE == 0)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                if not self._direct or error.errno != errno.EINVAL:
                    raise
                self._go_direct(direct=False)
                self._may_direct = False
        if not self._direct and self.size - self._leaving >= LEAVE:
            self._let_go()

    def _go_direct(self, *, direct: bool) -> None:
        """Write past the cache of the system, or through it. Past it costs a third of the processor's time; not every file system can."""
        if direct != self._direct and (self._may_direct or not direct):
            try:
                flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
                fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | DIRECT if direct else flags & ~DIRECT)
                self._direct = direct
            except OSError:
                self._may_direct = False

    def _let_go(self) -> None:
        """Have the system begin to write the newest part to the disk, and free the memory of the one before, which is there by now. So
        little is left to wait for in the end, and a large file takes no memory from others."""
        if hasattr(os, "posix_fadvise"):
            start = max(0, self._leaving - LEAVE * 2)
            os.posix_fadvise(self._descriptor, start, self.size - start, os.POSIX_FADV_DONTNEED)
        self._leaving = self.size

    def finish(self, target: Path) -> None:
        """Give the file its name, durably. An equal file that is there already stays."""
        os.fsync(self._descriptor)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            os.link(self._path, target)
        except FileExistsError:
            return
        for directory in (target.parent, target.parent.parent):
            sync_directory(directory)

    def discard(self) -> None:
        """Close and remove the temporary name; the file, when it got another one, stays."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _locked_draft(directory: Path) -> tuple[int, Path]:
    """A new file under a lock, and its path."""
    while True:
        descriptor, path = tempfile.mkstemp(dir=directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(path)
        os.close(descriptor)  # taken for a dead one's before it was locked


def sweep(directory: Path) -> None:
    """Remove the drafts of writers that died."""
    for entry in directory.iterdir():
        if entry.is_file() and not entry.is_symlink():
            with suppress(FileNotFoundError):
                _remove_unlocked(entry)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
