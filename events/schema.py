"""The schema of the log's file: which files this version may open, and how a new or an older one comes to its format.

The format is the number of scripts in `sql/sqlite`, and the file's user_version; a script is never changed once it was released.
Whatever is not a log, or a later one, is found out by reading only, and left as it is.
"""

import sqlite3
from pathlib import Path

import anyio

from events.connection import Connection, connect, transaction
from events.errors import Corrupt, NewerFormat
from events.record import Batch, Head

APPLICATION_ID = 0x52756E54  # "RunT"
_SCRIPTS = sorted((Path(__file__).parent / "sql" / "sqlite").glob("*.sql"))
FORMAT = len(_SCRIPTS)
_FIELDS = ", ".join([f"b.{name}" for name in Batch.__struct_fields__] + [f"h.{name}" for name in Head.__struct_fields__])
_PROBE = f"SELECT {_FIELDS} FROM batch b, head h WHERE b.offset < 0"  # noqa: S608 - names of our own columns


async def check_format(path: Path) -> None:
    """Raise NewerFormat or Corrupt when there is a file at `path` that is not a log this version can open; change nothing either way."""
    if not await anyio.Path(path).exists():
        return
    unused = not await anyio.Path(f"{path}-wal").exists()
    async with connect(path, write=False, immutable=unused) as db:
        application, found, tables = await db.run(_identity)
        if (application, found) == (APPLICATION_ID, FORMAT):
            await _check_schema(db, path)
    if application not in (APPLICATION_ID, 0) or (application == 0 and tables):
        raise Corrupt(f"{path} is not a run tracker's log")
    if found > FORMAT:
        raise NewerFormat(str(path), found, FORMAT)


async def _check_schema(db: Connection, path: Path) -> None:
    # One flipped bit may rename a column: that is no fault of the statement which then cannot find it.
    try:
        await db.run(lambda db: db.execute(_PROBE).fetchone())
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        raise Corrupt(f"{path} is damaged: its schema is not as it was written ({error})") from error


def _identity(db: sqlite3.Connection) -> tuple[int, int, int]:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (found,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return application, found, tables


def prepare(db: sqlite3.Connection) -> None:
    """Bring the schema to this version's, and take the log over from any earlier writer."""
    with transaction(db):
        (found,) = db.execute("PRAGMA user_version").fetchone()
        for script in _SCRIPTS[found:]:
            for statement in _statements(script.read_text("utf-8")):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.execute("UPDATE head SET epoch = epoch + 1")


def _statements(script: str) -> list[str]:
    # executescript would commit first; a half-made schema must not stay.
    found, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return found
