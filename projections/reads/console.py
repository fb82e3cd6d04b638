"""Reading what a run printed: from a byte, from the end, or only of one source."""

import sqlite3
from collections.abc import Iterable

import msgspec

from projections.console import CONSOLES, TEXTS, ConsoleRow, TextRow
from projections.views import Views, get, select

MOST = 1024 * 1024  # bytes of one read, unless more are asked for


class ConsolePart(msgspec.Struct, frozen=True):
    """Bytes of a console. `offset` is the position of the first byte looked at, `next` that after the last, `size` that of the end.
    A read that goes on begins at `next`; with a source or an iteration, bytes of others between the two are left out of `data`."""

    data: bytes
    offset: int
    next: int
    size: int


class ConsolePiece(msgspec.Struct, frozen=True):
    """Bytes as one call wrote them, with what is known of them. `time` is in nanoseconds by the clock of the job."""

    start: int
    time: int
    source: str
    iteration: int
    attempt: str
    data: bytes


async def console_size(views: Views, project: str, uid: str) -> int:
    """How many bytes the console of the run has; 0 when it never printed."""
    row = await views.get(CONSOLES, project, uid)
    return 0 if row is None else int(row.size)


async def read_console(
    views: Views, project: str, uid: str, offset: int = 0, size: int = MOST, *, source: str = "", iteration: int | None = None
) -> ConsolePart:
    """At most `size` bytes from position `offset`; a negative one counts from the end, and from the beginning when it passes it.

    From the end or beyond, nothing, with `offset` and `next` as asked. `source` ("" = all) and `iteration` (None = all) choose among
    the bytes of that part of the console.
    """

    def read(db: sqlite3.Connection) -> ConsolePart:
        console: ConsoleRow | None = get(db, CONSOLES, project, uid)
        total = 0 if console is None else console.size
        begin = max(0, total + offset) if offset < 0 else offset
        end = max(begin, min(begin + max(0, size), total))
        if console is None or begin == end:
            return ConsolePart(b"", begin, begin, total)
        rows = _texts(db, console, begin, end)
        chosen = [t for t in rows if (not source or t.source == source) and (iteration is None or t.iteration == iteration)]
        return ConsolePart(_joined(chosen, begin, end), begin, end, total)

    return await views.query(read)


async def console_pieces(
    views: Views, project: str, uid: str, offset: int = 0, size: int = MOST, *, source: str = "", iteration: int | None = None
) -> list[ConsolePiece]:
    """The whole writes that the bytes `offset` to `offset + size` belong to, in order."""

    def read(db: sqlite3.Connection) -> list[ConsolePiece]:
        console: ConsoleRow | None = get(db, CONSOLES, project, uid)
        if console is None:
            return []
        begin = max(0, console.size + offset) if offset < 0 else offset
        return [
            ConsolePiece(t.start, t.time, t.source, t.iteration, t.attempt, t.data)
            for t in _texts(db, console, begin, begin + size)
            if (not source or t.source == source) and (iteration is None or t.iteration == iteration)
        ]

    return await views.query(read)


def _texts(db: sqlite3.Connection, console: ConsoleRow, begin: int, end: int) -> list[TextRow]:
    if begin >= min(end, console.size):
        return []
    first = "SELECT max(start) FROM console_texts WHERE console = :id AND start <= :begin"
    where = f"WHERE console = :id AND start >= ({first}) AND start < :end ORDER BY start"
    return select(db, TEXTS, where, {"id": console.id, "begin": begin, "end": end})


def _joined(texts: Iterable[TextRow], begin: int, end: int) -> bytes:
    return b"".join(t.data[max(0, begin - t.start) : max(0, end - t.start)] for t in texts)
