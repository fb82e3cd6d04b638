"""Bodies of requests, read under limits: of size, counted after decompression, and of time, so that nobody holds a place with a trickle.

Who asks before sending (`Expect: 100-continue`) is invited when the body is wanted, not before: what is refused is never sent.
"""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from time import monotonic

import anyio
import zstandard
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from tracker.errors import InvalidRequest, TooLarge, Unsupported
from tracker.filling import Chunk
from tracker.server import intake
from tracker.server.intake import SLOWEST
from tracker.settings import Settings


async def read_body(request: web.BaseRequest, settings: Settings) -> bytes:
    """The whole body, decompressed. Raises TooLarge, Unsupported, InvalidRequest, and TimeoutError when it comes too slowly."""
    limit = settings.max_body
    content = request.content
    if content.is_eof():
        body = content.read_nowait(-1)
        if len(body) > limit:
            raise _too_large(limit)
    else:
        await _invite(request, limit)
        body = b"".join([chunk async for chunk in _parsed(request, settings, limit)])
    encoding = request.headers.get("Content-Encoding")
    return body if encoding is None else _decompress(body, encoding.strip().lower(), limit)


async def chunks(request: web.BaseRequest, settings: Settings, limit: int) -> AsyncGenerator[Chunk, None]:
    """The body as it comes. Must be closed. Raises TooLarge, InvalidRequest when it breaks off, TimeoutError when it is too slow."""
    await _invite(request, limit)
    connection = intake.connection_for(request)
    source = _parsed(request, settings, limit) if connection is None else intake.parts(connection, request, settings.body_grace)
    async with aclosing(source):
        async for chunk in source:
            yield chunk


async def _invite(request: web.BaseRequest, limit: int) -> None:
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _parsed(request: web.BaseRequest, settings: Settings, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    waited = 0.0  # for the client; what we take to keep a chunk is not its fault
    while True:
        chunk = b""
        began = monotonic()
        async with _payload():
            with anyio.fail_after(max(0.0, settings.body_grace + size / SLOWEST - waited)):
                chunk, _ = await request.content.readchunk()  # as it was received, not joined with others
        waited += monotonic() - began
        if not chunk:
            if request.content.at_eof():
                return
            continue  # the end of a part of a chunked body
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


@asynccontextmanager
async def _payload() -> AsyncIterator[None]:
    try:
        yield
    except RequestPayloadError as error:
        raise InvalidRequest(f"the body is malformed: {error}") from None


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    try:
        if encoding == "identity":
            return body
        if encoding == "gzip":
            stream = zlib.decompressobj(wbits=31)
            plain = stream.decompress(body, limit + 1)
            whole = stream.eof or len(plain) > limit
            if stream.unused_data:
                raise InvalidRequest("something follows the compressed body")
        elif encoding == "zstd":
            plain = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(body, read_across_frames=True).read(limit + 1)
            whole = True  # a frame that breaks off gives half a document, which its reader refuses
        else:
            raise Unsupported("the Content-Encoding is not spoken here: use zstd, gzip or none")
    except (zlib.error, zstandard.ZstdError) as error:
        raise InvalidRequest(f"the body does not decompress: {error}") from None
    if not whole:
        raise InvalidRequest("the compressed body breaks off")
    if len(plain) > limit:
        raise _too_large(limit)
    return plain


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body has more than {limit} bytes: send it in parts", limit=limit)
