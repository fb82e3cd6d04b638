"""One SQLite connection in one thread of its own.

Work is a plain function over the `sqlite3` connection and takes one hop into the thread, however many statements it runs. So
whoever waits for it may be cancelled at any moment and yet no transaction stays open: the thread finishes what it began.
aiosqlite owns the thread, the queue and the futures; its public methods hop once per statement, hence the one use here of
`_execute`. Stored bytes that SQLite cannot read are raised as Corrupt.
"""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import aiosqlite
from anyio import CancelScope

from events.errors import Corrupt, LogClosed

T = TypeVar("T")

BUSY_SECONDS = 5.0  # how long a statement waits for another process's lock
SCRATCH = ""  # a database of one connection: in its cache, and what does not fit there in a file without a name

_ALWAYS = "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Connection:
    """A connection whose statements run in its own thread."""

    def __init__(self, inner: aiosqlite.Connection, name: str) -> None:
        self._inner = inner
        self._name = name
        self.closing = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, called with the raw connection inside its thread. Runs to its end even when the caller is cancelled.
        Raises Corrupt, LogClosed when the connection is being closed, or what `work` raises."""
        self._refuse_when_closing()
        try:
            result: T = await self._inner._execute(work, self._inner._conn)  # type: ignore[no-untyped-call]
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            self._refuse_when_closing()
            if is_damage(error):
                raise Corrupt(f"{self._name} is damaged: {error}") from error
            raise
        return result

    def _refuse_when_closing(self) -> None:
        if self.closing:
            raise LogClosed(f"{self._name} is closed")

    def interrupt(self) -> None:
        """End the statement that runs now, if any, with an error. For a reader whose caller has gone."""
        self._inner._conn.interrupt()


def is_damage(error: Exception) -> bool:
    """Whether an error of SQLite, or of its module, says that the file does not hold what was written."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.DatabaseError) and ("decode to UTF-8" in str(error) if code is None else (code & 0xFF) in _CORRUPT)


@asynccontextmanager
async def connect(path: Path | str, *, write: bool, setup: str = "", immutable: bool = False) -> AsyncIterator[Connection]:
    """A connection to the database at `path` (or SCRATCH), which `setup` (SQL) prepares, in autocommit mode (see `transaction`).
    A reader can change nothing, and needs the file; when nobody writes it (`immutable`), not even a file appears beside it."""
    uri = _uri(path, write=write, immutable=immutable)
    if write and path != SCRATCH:
        _create(path)
    setup = setup if write else f"{setup} PRAGMA query_only=ON;"
    inner = await aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256)
    connection = Connection(inner, str(path))
    try:
        await connection.run(lambda db: db.executescript(_ALWAYS + setup))
        yield connection
    finally:
        connection.closing = True
        with CancelScope(shield=True):
            await inner.close()


def _uri(path: Path | str, *, write: bool, immutable: bool) -> str:
    if path == SCRATCH:
        return "file:"
    return f"{Path(path).absolute().as_uri()}?mode={'rwc' if write else 'ro'}{'&immutable=1' if immutable else ''}"


def _create(path: Path | str) -> None:
    """Make a new file nobody else's to read; those that SQLite makes beside it get its mode. One that exists is not opened: closing it
    would drop the locks that SQLite has on it in this process."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All statements inside, or none. For use within the connection's thread."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # some errors have rolled back already; what matters is the first one
            db.execute("ROLLBACK")
        raise
