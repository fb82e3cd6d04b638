"""The bytes of an artifact, from the job to where they wait or stay: hashed while they are copied, never whole in memory.

For a data directory they go straight among its blobs. For a server they are staged beside the journal under their sha256 and uploaded by
the sender before the event that names them. Either way they are on disk, under their digest, before the event is recorded.
"""

import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from tracker.connection import Connection
from tracker.errors import InvalidRequest

CHUNK = 1024 * 1024


def open_content(body: Any, local_path: Path | None) -> BinaryIO:
    """The content as a binary file: text, bytes, an open binary file, or the file at `local_path`. Raises InvalidRequest."""
    if isinstance(body, str):
        return io.BytesIO(body.encode())
    if isinstance(body, (bytes, bytearray, memoryview)):
        return io.BytesIO(body)
    if body is not None:
        if callable(getattr(body, "read", None)):
            return body  # type: ignore[no-any-return]
        raise InvalidRequest(f"an artifact's body is text, bytes or an open binary file, not {type(body).__name__}", field="body")
    assert local_path is not None
    if local_path.is_dir():
        raise InvalidRequest(f"{local_path} is a directory: log its files one by one", field="local_path")
    try:
        return local_path.open("rb")
    except OSError as error:
        raise InvalidRequest(f"the artifact's file cannot be read: {error}", field="local_path") from None


def keep(connection: Connection, content: BinaryIO) -> tuple[str, int]:
    """Copy the content to where it waits or stays; returns its sha256 and size. Blocks: for worker threads. Raises OSError."""
    if connection.local:
        root = connection.target.path / "blobs"
        work = root / "tmp"
    else:
        root = work = connection.recorder.directory / "blobs"
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size = hashlib.sha256(), 0
    fd, draft = tempfile.mkstemp(dir=work, prefix="draft-")
    try:
        with os.fdopen(fd, "wb", buffering=0) as file:
            while chunk := content.read(CHUNK):
                if not isinstance(chunk, bytes):
                    raise InvalidRequest("the artifact's file was opened as text: open it with mode 'rb'", field="body")
                digest.update(chunk)
                size += len(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) :]
            os.fsync(file.fileno())
        name = digest.hexdigest()
        home = root / name[:2] / name if connection.local else root / name
        home.parent.mkdir(exist_ok=True, mode=0o700)
        if not home.exists():
            Path(draft).rename(home)
    finally:
        Path(draft).unlink(missing_ok=True)
    return name, size
