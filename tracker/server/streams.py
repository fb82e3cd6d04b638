"""Replies without a known end: items as NDJSON or server-sent events, bytes as they are.

One task writes what the source yields, waiting whenever the reader is slow, so that a follower costs one item and a socket's buffers.
Beside it another says now and then that the stream is alive, but only while nothing else is being written.
"""

import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any

import anyio
from aiohttp import web

from tracker.server.connections import follow
from tracker.service.replies import Content, Item, Items, Piece
from tracker.wire import encode_json

EVENTS = "text/event-stream"
NDJSON = "application/x-ndjson"


def wants_events(accept: str) -> bool:
    """Whether an Accept header asks for server-sent events."""
    return EVENTS in accept


async def send_items(request: web.BaseRequest, response: web.StreamResponse, items: Items, *, sse: bool, alive: float) -> None:
    """Write a stream of items."""
    if items.follow:
        follow(request)
    frame = _sse_item if sse else _line
    await _send(request, response, items.source, frame, alive if items.follow else 0, b": alive\n\n" if sse else b"\n")


async def send_bytes(
    request: web.BaseRequest, response: web.StreamResponse, content: Content, span: tuple[int, int | None], *, sse: bool, alive: float
) -> None:
    """Write the bytes of `span`, raw or as server-sent events. A raw stream cannot say that it is alive: its bytes are all data."""
    if content.follow:
        follow(request)
    frame = _sse_piece if sse else _raw
    await _send(request, response, content.read(*span), frame, alive if sse and content.follow else 0, b": alive\n\n")


async def _send(
    request: web.BaseRequest,
    response: web.StreamResponse,
    source: AsyncGenerator[Any, None],
    frame: Callable[[Any], bytes],
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
            await anyio.sleep(max(alive - silent, 0.05))

    async with aclosing(source), anyio.create_task_group() as tasks:
        await response.prepare(request)
        if request.method != "HEAD":
            if alive:
                tasks.start_soon(beat)
            async for part in source:
                writing = True
                await response.write(frame(part))
                writing, last = False, monotonic()
        tasks.cancel_scope.cancel()
    await response.write_eof()


def _line(item: Item) -> bytes:
    return encode_json(item.data) + b"\n"


def _sse_item(item: Item) -> bytes:
    return f"id: {item.id}\nevent: {item.kind}\ndata: ".encode() + encode_json(item.data) + b"\n\n"


def _raw(piece: Piece) -> bytes:
    return piece.data


def _sse_piece(piece: Piece) -> bytes:
    """Bytes as base64, since an event's data is text and a console's need not be. The id is the offset to go on from."""
    return f"id: {piece.end}\nevent: bytes\ndata: ".encode() + base64.b64encode(piece.data) + b"\n\n"
