"""The bytes of an artifact, from the job to where they wait or stay: hashed while they are copied, never whole in memory.

For a data directory they go straight among its blobs. For a server they are staged beside the journal under their sha256 and uploaded by
the sender before the event that names them. Either way they are on disk, under their digest, before the event is recorded.
"""

import io
from pathlib import Path
from typing import Any, BinaryIO

from tracker.blobs import Draft
from tracker.connection import Connection
from tracker.delivery import staged_path, staging
from tracker.errors import InvalidRequest
from tracker.journal import make_private

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
    drafts = connection.target.path / "blobs" / "tmp" if connection.local else staging(connection.recorder.directory) / "tmp"
    make_private(drafts)
    draft = Draft(drafts)
    try:
        while chunk := content.read(CHUNK):
            if not isinstance(chunk, bytes):
                raise InvalidRequest("the artifact's file was opened as text: open it with mode 'rb'", field="body")
            draft.write(chunk)
        if connection.local:
            home = drafts.parent / draft.digest[:2] / draft.digest
        else:
            home = staged_path(connection.recorder.directory, connection.recorder.uri, draft.digest)
        draft.finish(home)
    finally:
        draft.discard()
    return draft.digest, draft.size
