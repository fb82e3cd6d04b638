"""Consoles: what a run printed, by byte position, up to now or as it comes.

A follower reads the views up to their end, and from the checkpoint of that very moment on it reads the log: no gap, nothing twice, and
no look at the database for every line. When much comes at once it goes back to the views. It holds one piece of at most 32 KiB and a
position, ends by itself when the run has ended and all its bytes are out, and needs nobody to be writing.
"""

import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import partial
from itertools import islice
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from events.record import Batch
from events.types import ConsoleWritten, StateChanged
from projections.applier import read_health
from projections.console import CONSOLES, Console, ConsoleRow
from projections.reads.console import pieces
from projections.runs import RUNS, TERMINAL
from projections.views import Views, get
from tracker.directory import App
from tracker.errors import InvalidRequest, OutOfRange
from tracker.names import run_stream
from tracker.service.asking import Offset, OfRun, the_run, views_of_run
from tracker.service.replies import Content, Piece

PIECE = 32 * 1024  # bytes at once
HEAVY = 64 * 1024  # bytes of console in a batch that a follower does not hold on to
ROWS = 256


class ReadConsole(OfRun, kw_only=True, forbid_unknown_fields=True):
    """Bytes of a run's console from `offset` on (negative: from the end), at most `size`, to the end when that is 0. With `source`, only
    what came from stdout, stderr or logger; positions count all bytes all the same."""

    offset: Annotated[int, Meta(gt=-(2**63), lt=2**63 - 1)] = 0
    size: Offset = 0
    follow: bool = False
    source: Literal["", "stdout", "stderr", "logger"] = ""


class _Look(msgspec.Struct, frozen=True):
    """What the views show of a console at one moment."""

    size: int
    ended: bool
    upto: int  # offset of the log that the console shows
    pieces: list[tuple[str, Piece]]  # with their sources
    position: int  # after the pieces


async def read_console(app: App, request: ReadConsole) -> Content:
    """The bytes a run printed. Raises NotFound, and OutOfRange when `offset` is beyond the end. Streams as server-sent events have base64
    data."""
    if request.follow and (request.size or request.at):
        raise InvalidRequest("follow goes on as long as the run does: it has neither a size nor a past moment", field="follow")
    async with views_of_run(app, request) as views:
        await the_run(app, views, request.project, request.uid)
        size = await _size(views, request)
        if request.offset > size and views is app.views:
            await app.seen(app.log.head.offset)
            size = await _size(views, request)
        if request.offset > size:
            raise OutOfRange(f"the console has {size} bytes", size=size)
        start = max(size + request.offset, 0) if request.offset < 0 else request.offset
        end = None if request.follow else size if not request.size else min(start + request.size, size)
        read = partial(_follow, app, request) if request.follow else partial(_history, app, request)
        state = (await the_run(app, views, request.project, request.uid)).state
    return Content(
        read=read,
        start=start,
        end=end,
        size=size,
        exact=not request.source,
        headers={"X-Log-Size": str(size), "X-Log-Offset": str(start), "X-Run-State": state},
    )


async def _size(views: Views, request: ReadConsole) -> int:
    row: ConsoleRow | None = await views.get(CONSOLES, request.project, request.uid)
    return 0 if row is None else row.size


async def _history(app: App, request: ReadConsole, start: int, end: int | None) -> AsyncGenerator[Piece, None]:
    position = start
    while end is None or position < end:
        async with views_of_run(app, request) as views:
            look = await _look(views, request, position, end)
        if look.position == position:
            return
        position = look.position
        for source, piece in look.pieces:
            if request.source in ("", source):
                yield piece


async def _follow(app: App, request: ReadConsole, start: int, _end: int | None) -> AsyncGenerator[Piece, None]:
    position, seen = start, 0
    while True:
        look = await _look(app.views, request, position, None)
        position = look.position
        for source, piece in look.pieces:
            if request.source in ("", source):
                yield piece
        if position < look.size:
            continue
        if look.ended:
            return
        async with aclosing(app.log.tail(look.upto, stream=run_stream(request.project, request.uid))) as batches:
            async for batch in batches:
                if batch.last > seen and _weight(batch) > HEAVY:
                    seen = batch.last  # the views give it piece by piece
                    break
                for source, piece in _live(batch, look.upto, position):
                    position = piece.end
                    if request.source in ("", source):
                        yield piece
                if _ends(batch, look.upto):
                    return
                del batch
        await app.views.wait(seen, app.settings.read_wait)


def _weight(batch: Batch) -> int:
    return sum(len(event.data) for event in batch.events if type(event) is ConsoleWritten)


def _live(batch: Batch, upto: int, position: int) -> Iterator[tuple[str, Piece]]:
    for offset, event in enumerate(batch.events, batch.offset):
        if type(event) is not ConsoleWritten or offset <= upto:
            continue
        for at in range(0, len(event.data), PIECE):
            part = event.data[at : at + PIECE]
            position += len(part)
            yield event.source, Piece(position, part)


def _ends(batch: Batch, upto: int) -> bool:
    """Whether the run is in a terminal state after this batch."""
    for offset, event in enumerate(reversed(batch.events)):
        if type(event) is StateChanged and event.iteration == 0 and batch.last - offset > upto:
            return event.state in TERMINAL
    return False


async def _look(views: Views, request: ReadConsole, position: int, end: int | None) -> _Look:
    return await views.query(lambda db: _look_at(db, request, position, end))


def _look_at(db: sqlite3.Connection, request: ReadConsole, position: int, end: int | None) -> _Look:
    console: ConsoleRow | None = get(db, CONSOLES, request.project, request.uid)
    run = get(db, RUNS, request.project, request.uid, 0)
    size = 0 if console is None else console.size
    upto = read_health(db)[Console.name].offset
    end = size if end is None else min(end, size)
    found: list[tuple[str, Piece]] = []
    if console is not None:
        for piece in islice(pieces(db, console, position, min(end, position + PIECE)), ROWS):
            found.append((piece.source, Piece(piece.end, piece.data)))
            position = piece.end
    return _Look(size=size, ended=run is not None and run.state in TERMINAL, upto=upto, pieces=found, position=position)
