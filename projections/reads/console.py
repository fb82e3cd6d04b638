"""Reading what a run printed, from any byte."""

import sqlite3
from collections.abc import Iterator

import msgspec

from projections.console import CONSOLES, ConsoleRow
from projections.views import Views, get

MOST = 1024 * 1024  # bytes of one read, unless more are asked for

_TEXTS = """SELECT start, length(data), time, source, iteration, attempt, substr(data, 1 + max(0, :at - start), :size) FROM console_texts
WHERE console = :console AND start >= (SELECT max(start) FROM console_texts WHERE console = :console AND start <= :at) AND start < :end
ORDER BY start"""


class ConsolePiece(msgspec.Struct, frozen=True):
    """Bytes of one write, from position `start` on, with what is known of them. `time` is in nanoseconds by the clock of the job."""

    start: int
    time: int
    source: str
    iteration: int
    attempt: str
    data: bytes

    @property
    def end(self) -> int:
        """The position after them."""
        return self.start + len(self.data)


class ConsolePart(msgspec.Struct, frozen=True):
    """Bytes of a console. `offset` is the position of the first byte looked at, `next` that after the last, `size` that of the end.
    A read that goes on begins at `next`; with a source, bytes of others between the two are left out of `data`."""

    data: bytes
    offset: int
    next: int
    size: int


async def read_console(views: Views, project: str, uid: str, offset: int = 0, size: int = MOST, *, source: str = "") -> ConsolePart:
    """At most `size` bytes from position `offset`; a negative one counts from the end, and from the beginning when it passes it.

    From the end or beyond, nothing, with `offset` and `next` as asked. `source` ("" = all) chooses among the bytes of that part.
    """

    def read(db: sqlite3.Connection) -> ConsolePart:
        console: ConsoleRow | None = get(db, CONSOLES, project, uid)
        total = 0 if console is None else console.size
        begin = max(0, total + offset) if offset < 0 else offset
        end = max(begin, min(begin + max(0, size), total))
        found = pieces(db, console, begin, end) if console is not None else ()
        return ConsolePart(b"".join(p.data for p in found if source in ("", p.source)), begin, end, total)

    return await views.query(read)


def pieces(db: sqlite3.Connection, console: ConsoleRow, begin: int, end: int) -> Iterator[ConsolePiece]:
    """The bytes from `begin` to `end` (without it), write by write, each read when it is asked for; for use within `Views.query`."""
    if begin >= min(end, console.size):
        return
    rows = db.execute(_TEXTS, {"console": console.id, "at": begin, "end": end, "size": end - begin})
    try:
        for start, length, time, source, iteration, attempt, data in rows:
            at = max(begin, start)
            yield ConsolePiece(at, time, source, iteration, attempt, data[: max(0, min(start + length, end) - at)])
    finally:
        rows.close()
