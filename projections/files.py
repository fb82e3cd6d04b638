"""Which views file a directory has: `views-<fingerprint>.db`, and `views-<fingerprint>-<n>.db` for the n-th rebuild of the same shape.

A file serves when it is ready (it was once as far as the log), believed (see trust.py), and of this log: the digests at its checkpoints
are the log's own. A file of another fingerprint serves reads, as far as it goes, until the new one is built: what its tables lack
appears with the value of a field never set.
"""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from events.connection import connect
from events.errors import Corrupt
from events.reading import LogReader
from projections.applier import Health, read_health
from projections.base import Projection
from projections.shape import shape_of
from projections.trust import believed

_LAYOUT = 1  # of the tables beside the projections' own, and of how columns are stored
_NAME = re.compile(r"views-([0-9a-f]{16})(?:-(\d{1,9}))?\.db")


def fingerprint(projections: Sequence[Projection]) -> str:
    """16 hex digits that change with any projection's version, tables or columns."""
    shapes = [
        (
            p.name,
            p.version,
            [(t.name, t.key, t.indexes, t.rowid, [(f.name, str(f.type)) for f in msgspec.structs.fields(t.row)]) for t in p.tables],
        )
        for p in projections
    ]
    return sha256(msgspec.msgpack.encode((_LAYOUT, shapes))).hexdigest()[:16]


def views_files(directory: Path) -> list[tuple[str, int, Path]]:
    """(fingerprint, generation, path) of each views file, the newest generation first."""
    found = [(match[1], int(match[2] or 0), path) for path in directory.iterdir() if (match := _NAME.fullmatch(path.name))]
    return sorted(found, key=lambda each: (each[1], each[0]), reverse=True)


def fresh_path(directory: Path, print_: str) -> Path:
    """A name for a file of this fingerprint that is not taken."""
    taken = [generation for found, generation, _ in views_files(directory) if found == print_]
    return directory / (f"views-{print_}-{max(taken) + 1}.db" if taken else f"views-{print_}.db")


async def choose(log: LogReader, directory: Path, print_: str, *, trusting: bool) -> tuple[Path | None, bool]:
    """The file to serve from, None when there is none, and whether it is of this fingerprint.
    `trusting`: another process keeps it, and has looked at its note."""
    stale = None
    for found, _, path in views_files(directory):
        if (trusting or believed(path)) and await _serves(log, path):
            if found == print_:
                return path, True
            stale = stale or path
    return stale, False


async def _serves(log: LogReader, path: Path) -> bool:
    try:
        async with connect(path, write=False) as db:
            ready, health = await db.run(_look)
    except (sqlite3.Error, Corrupt):
        return False
    return ready and await _of_this_log(log, health)


def _look(db: sqlite3.Connection) -> tuple[bool, Mapping[str, Health]]:
    return db.execute("SELECT 1 FROM about WHERE key = 'ready'").fetchone() is not None, read_health(db)


def mark_ready(db: sqlite3.Connection) -> None:
    """The file may serve from now on."""
    db.execute("INSERT OR IGNORE INTO about VALUES ('ready', 1)")


async def _of_this_log(log: LogReader, health: Mapping[str, Health]) -> bool:
    for offset, digest in {(each.offset, each.digest) for each in health.values() if each.offset}:
        if offset > log.head.offset:
            await log.refresh()  # another process may have written both just now
        there = [batch async for batch in log.read(offset - 1, until=offset)]
        if not there or there[0].last != offset or there[0].digest != digest:
            return False
    return True


def bridge(db: sqlite3.Connection, projections: Sequence[Projection]) -> str:
    """SQL that makes a connection show today's tables over those of an older file, as temporary views of the same names."""
    made = []
    for table in (table for projection in projections for table in projection.tables):
        there = {row[1] for row in db.execute(f'PRAGMA table_info("{table.name}")')}
        held = shape_of(table).defaults()
        if there.issuperset(held):
            continue
        columns = ", ".join(f'"{name}"' if name in there else f'{_literal(value)} AS "{name}"' for name, value in held.items())
        source = f'FROM main."{table.name}"' if there else "WHERE 0"
        made.append(f'CREATE TEMP VIEW "{table.name}" AS SELECT {columns} {source};')
    return "".join(made)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
