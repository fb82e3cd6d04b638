"""The bytes of an artifact, from the job to where they wait or stay: hashed while they are written, never whole in memory.

For a data directory they go straight among its blobs. For a server they are staged beside the journal under their sha256 and uploaded by
the sender before the event that names them. Either way they are on disk, under their digest, before the event is recorded.
"""

import io
import os
import queue
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from tracker.blobs import Draft
from tracker.connection import Connection
from tracker.dataitem.progress import Step, silent
from tracker.delivery import staged_path, staging
from tracker.errors import InvalidRequest
from tracker.journal import make_private

CHUNK = 1024 * 1024
ALONE = 8 * CHUNK  # so much is written without the help of a thread
AHEAD = 8  # chunks that may wait for their writing

Copy = Callable[[Path, str], None]  # is given the written file and its digest, before they are kept


def open_content(body: Any) -> BinaryIO:
    """The content as a binary file: text, bytes, or an open binary file. Raises InvalidRequest."""
    if isinstance(body, str):
        try:
            return io.BytesIO(body.encode())
        except UnicodeEncodeError:
            raise InvalidRequest("an artifact's text holds half a surrogate pair, which is not Unicode", field="body") from None
    if isinstance(body, (bytes, bytearray, memoryview)):
        return io.BytesIO(body)
    if callable(getattr(body, "read", None)):
        return body  # type: ignore[no-any-return]
    raise InvalidRequest(f"an artifact's body is text, bytes or an open binary file, not {type(body).__name__}", field="body")


def open_file(path: Path, *, follow: bool = True) -> BinaryIO:
    """A regular file to be read. Anything else at this path, or nothing, or no leave to read it, raises InvalidRequest."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)  # a pipe without a writer must not hold us
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"the artifact's file cannot be read: {error}", field="local_path") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidRequest(f"{path} is no regular file: only files and directories can be kept", field="local_path")
    return open(path, "rb", buffering=0, opener=lambda *_: descriptor)


class Sheet(io.RawIOBase):
    """A draft as a file that libraries can write: forward only. What is long is hashed and written by a thread while more of it is made;
    `settle` waits for that, and must be called whatever happens. A `step` that raises ends the writing."""

    def __init__(self, draft: Draft, step: Step) -> None:
        super().__init__()
        self._draft, self._size, self._step = draft, 0, step
        self._waiting: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def writable(self) -> bool:
        """See RawIOBase."""
        return True

    def tell(self) -> int:
        """See RawIOBase."""
        return self._size

    def write(self, data: Any) -> int:
        """See RawIOBase. Raises what the thread ran into before."""
        chunk = data if isinstance(data, bytes) else bytes(memoryview(data).cast("B"))
        self._size += len(chunk)
        self._step(len(chunk))
        if self._thread is None and self._size < ALONE:
            self._draft.write(chunk)
            return len(chunk)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="tracker-draft", daemon=True)
            self._thread.start()
        if self._error is not None:
            raise self._error
        self._waiting.put(chunk)
        return len(chunk)

    def settle(self) -> None:
        """Wait until all is written. Raises OSError when it could not be."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error

    def _write_all(self) -> None:
        while (chunk := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    self._draft.write(chunk)
                except Exception as error:  # noqa: BLE001 - raised in the thread that writes; what still comes is let fall
                    self._error = error


def keep(connection: Connection, content: BinaryIO, *, step: Step = silent, copy: Copy | None = None) -> tuple[str, int]:
    """Copy the content to where it waits or stays; returns its sha256 and size. Blocks: for worker threads. Raises OSError."""

    def write(file: Any) -> None:
        while chunk := _read(content):
            if not isinstance(chunk, bytes):
                raise InvalidRequest("the artifact's file was opened as text: open it with mode 'rb'", field="body")
            file.write(chunk)

    return keep_written(connection, write, step=step, copy=copy)


def _read(content: BinaryIO) -> bytes:
    try:
        return content.read(CHUNK)
    except OSError as error:
        if error.filename is None and isinstance(name := getattr(content, "name", None), (str, Path)):
            error.filename = str(name)
        raise


def keep_written(
    connection: Connection, write: Callable[[Any], object], *, step: Step = silent, copy: Copy | None = None
) -> tuple[str, int]:
    """Keep what `write` writes into the file it is given; returns its sha256 and size. Blocks: for worker threads. Raises OSError, and
    what `step` raises; nothing is kept then."""
    drafts = connection.target.path / "blobs" / "tmp" if connection.local else staging(connection.recorder.directory) / "tmp"
    make_private(drafts)
    draft = Draft(drafts)
    try:
        sheet = Sheet(draft, step)
        try:
            write(sheet)
        finally:
            sheet.settle()
        digest = draft.digest
        if copy is not None:
            copy(draft.path, digest)
        draft.finish(home_of(connection, digest))
    finally:
        draft.discard()
    return digest, draft.size


def home_of(connection: Connection, digest: str) -> Path:
    """Where bytes that were kept are: for good, or until they are uploaded."""
    if connection.local:
        return connection.target.path / "blobs" / digest[:2] / digest
    return staged_path(connection.recorder.directory, connection.recorder.uri, digest)
