"""Bytes of artifacts: kept, asked for, read in any part."""

from collections.abc import AsyncGenerator, AsyncIterable

import msgspec

from tracker.directory import App
from tracker.errors import NotFound
from tracker.filling import Chunk
from tracker.service.replies import Content, Piece


class BlobName(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Bytes by their sha256."""

    digest: str


class Kept(msgspec.Struct, kw_only=True):
    """Bytes that are here now; `known` when they were before."""

    digest: str
    size: int
    known: bool


async def put_blob(app: App, request: BlobName, _actor: str, chunks: AsyncIterable[Chunk]) -> Kept:
    """Keep the bytes of a body. Raises DigestMismatch when they are others, and then keeps nothing."""
    known = await app.blobs.size(request.digest)
    if known is not None:
        async for _ in chunks:  # a client that is not asked to stop must be able to finish
            pass
        return Kept(digest=request.digest, size=known, known=True)
    size = await app.blobs.put(request.digest, chunks, limit=app.settings.max_blob)
    return Kept(digest=request.digest, size=size, known=False)


async def get_blob(app: App, request: BlobName) -> Content:
    """The bytes, to be saved, never to be shown by a browser. Raises NotFound."""
    return await blob_content(app, request.digest, filename=f"{request.digest[:16]}.bin")


async def blob_content(app: App, digest: str, *, filename: str) -> Content:
    """The bytes of a blob as a reply."""
    size = await app.blobs.size(digest)
    if size is None:
        raise NotFound(f"the bytes of {digest} are not here", digest=digest)

    async def read(start: int, end: int | None) -> AsyncGenerator[Piece, None]:
        position = start
        async for chunk in app.blobs.read(digest, start, end):
            position += len(chunk)
            yield Piece(position, chunk)

    return Content(read=read, start=0, end=size, size=size, ranged=True, digest=digest, filename=filename)
