"""Replies without a known end: items as NDJSON or server-sent events, bytes as they are.

One task writes what the source yields, waiting whenever the reader is slow, so that a follower costs one write and a socket's buffers.
Items that come together share a write.
Beside it another says now and then that the stream is alive, but only while nothing else is being written.
"""

import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic

import anyio
from aiohttp import web

from tracker.server.connections import follow
from tracker.service.replies import Content, Item, Items, Piece
from tracker.wire import encode_json

EVENTS = "text/event-stream"
NDJSON = "application/x-ndjson"
WRITE = 32 * 1024  # bytes of items in one write, about


def wants_events(accept: str) -> bool:
    """Whether an Accept header asks for server-sent events."""
    return EVENTS in accept


async def send_items(request: web.BaseRequest, response: web.StreamResponse, items: Items, *, sse: bool, alive: float) -> None:
    """Write a stream of items."""
    if items.follow:
        follow(request)
    frames = _frames(items.source, _sse_item if sse else _line)
    await _send(request, response, frames, alive if items.follow else 0, b": alive\n\n" if sse else b"\n")


async def send_bytes(
    request: web.BaseRequest, response: web.StreamResponse, content: Content, span: tuple[int, int | None], *, sse: bool, alive: float
) -> None:
    """Write the bytes of `span`, raw or as server-sent events. A raw stream cannot say that it is alive: its bytes are all data."""
    if content.follow:
        follow(request)
    frames = _pieces(content.read(*span), _sse_piece if sse else _raw)
    await _send(request, response, frames, alive if sse and content.follow else 0, b": alive\n\n")


async def _send(
    request: web.BaseRequest,
    response: web.StreamResponse,
    frames: AsyncGenerator[bytes, None],
    alive: float,
    heartbeat: bytes,
) -> None:
    writing = False
    last = monotonic()

    async def beat() -> None:
        while True:
            silent = monotonic() - last
            if silent >= alive and not writing:
                await response.write(heartbeat)
                silent = 0.0
            await anyio.sleep(alive - silent if silent < alive else alive)

    async with aclosing(frames), anyio.create_task_group() as tasks:
        await response.prepare(request)
        if request.method != "HEAD":
            if alive:
                tasks.start_soon(beat)
            async for frame in frames:
                writing = True
                await response.write(frame)
                writing, last = False, monotonic()
        tasks.cancel_scope.cancel()
    await response.write_eof()


async def _frames(source: AsyncGenerator[Item, None], frame: Callable[[Item], bytes]) -> AsyncGenerator[bytes, None]:
    async with aclosing(source) as items:
        waiting = bytearray()
        async for item in items:
            waiting += frame(item)
            if not item.more or len(waiting) >= WRITE:
                yield bytes(waiting)
                waiting.clear()


async def _pieces(source: AsyncGenerator[Piece, None], frame: Callable[[Piece], bytes]) -> AsyncGenerator[bytes, None]:
    async with aclosing(source) as pieces:
        async for piece in pieces:
            yield frame(piece)


def _line(item: Item) -> bytes:
    return encode_json(item.data) + b"\n"


def _sse_item(item: Item) -> bytes:
    return f"id: {item.id}\nevent: {item.kind}\ndata: ".encode() + encode_json(item.data) + b"\n\n"


def _raw(piece: Piece) -> bytes:
    return piece.data


def _sse_piece(piece: Piece) -> bytes:
    """Bytes as base64, since an event's data is text and a console's need not be. The id is the offset to go on from."""
    return f"id: {piece.end}\nevent: bytes\ndata: ".encode() + base64.b64encode(piece.data) + b"\n\n"
