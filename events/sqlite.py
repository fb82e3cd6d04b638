"""The store on SQLite: one file in WAL mode, one connection that writes, one that reads.

A commit returns after its fsync (synchronous=FULL). Only the writer checkpoints the WAL (up to 3.51.2 SQLite has a fault when two
connections do), in its own time: at the start of an insert, so that a checkpoint that fails refuses the insert which
follows, and never spoils one that was acknowledged. Readers open the file read-only and see whole commits only.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec

from events.connection import Connection, connect, transaction
from events.errors import Corrupt, DiskFull, Fenced, LogClosed
from events.record import Batch, Head
from events.schema import check_format, prepare

CHECKPOINT_FROM = 4 * 1024 * 1024  # estimated bytes of WAL
PAGES_OF_A_COMMIT = 24 * 1024  # bytes of WAL a commit takes beside its bodies: index pages, the head's page
PAGE = 8 * 1024 * 1024  # bytes of bodies read in one hop, unless other are asked for
SCAN = 65_536  # offsets looked through in one hop for a prefix
RARE = 20_000  # batches of a prefix: found by the index in a millisecond
_TYPES = (int, int, str, int, int, str, str, int, bytes, bytes)  # of the columns of a batch, as written
_TYPES_OF_HEAD = (int, bytes, int, int)
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)

_INSERT = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOVE = "UPDATE head SET offset = ?, digest = ?, recorded_at = ? WHERE epoch = ? AND offset = ? AND digest = ?"
# Each from the batch that holds the wanted number, which may begin before it.
_READ_ALL = """
    SELECT * FROM batch
    WHERE offset >= coalesce((SELECT offset FROM batch WHERE offset <= :next ORDER BY offset DESC LIMIT 1), 0)
      AND offset + count > :next
    ORDER BY offset LIMIT :limit"""
_READ_STREAM = """
    SELECT * FROM batch
    WHERE stream = :stream
      AND offset >= coalesce((SELECT offset FROM batch WHERE stream = :stream AND offset <= :next ORDER BY offset DESC LIMIT 1), 0)
      AND offset + count > :next
    ORDER BY offset LIMIT :limit"""
_READ_PREFIX = """
    SELECT * FROM batch
    WHERE offset >= coalesce((SELECT offset FROM batch WHERE offset <= :next ORDER BY offset DESC LIMIT 1), 0)
      AND offset + count > :next AND offset < :end AND substr(stream, 1, length(:prefix)) = :prefix
    ORDER BY offset LIMIT :limit"""
_FIND_PREFIX = """
    SELECT count(*), min(offset) FILTER (WHERE offset >= :next)
    FROM (SELECT offset FROM batch WHERE stream BETWEEN :prefix AND :prefix || char(1114111) LIMIT :most)"""
_WRITTEN = """
    SELECT * FROM batch
    WHERE producer = :producer AND sequence <= :last AND sequence >= coalesce(
      (SELECT sequence FROM batch WHERE producer = :producer AND sequence <= :first ORDER BY sequence DESC LIMIT 1), 0)
    ORDER BY sequence"""


class SqliteStore:
    """A `Store` over one SQLite file."""

    def __init__(self, path: Path, reader: Connection, writer: Connection | None) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self._wal = 0  # estimated bytes since the last checkpoint
        self._residue = False  # the WAL still holds a redacted body

    async def head(self) -> Head:
        """See Store."""
        return await self._reader.run(_head)

    async def insert(self, batches: Sequence[Batch], head: Head) -> None:
        """See Store."""
        rows = [msgspec.structs.astuple(batch) for batch in batches]
        last = batches[-1]
        move = (last.last, last.digest, last.recorded_at, head.epoch, head.offset, head.digest)
        size = PAGES_OF_A_COMMIT + sum(len(batch.body) + 256 for batch in batches)

        def work(db: sqlite3.Connection) -> None:
            self._checkpoint_when_due(db)
            with transaction(db):
                _move_head(db, move)
                db.executemany(_INSERT, rows)
            self._wal += size

        await self._run_writer(work)

    async def read(self, after: int, limit: int, *, size: int = PAGE, stream: str | None = None, prefix: str | None = None) -> list[Batch]:
        """See Store."""
        if prefix is None:
            sql = _READ_ALL if stream is None else _READ_STREAM
            wanted = {"next": after + 1, "limit": limit, "stream": stream}
            return await self._reader.run(partial(_page, sql=sql, wanted=wanted, size=size))
        return await self._read_prefix(after, limit, size, prefix)

    async def _read_prefix(self, after: int, limit: int, size: int, prefix: str) -> list[Batch]:
        """Look through the log stretch by stretch, so that others are served between; where a rare prefix goes on, the index tells."""
        start, end, asked = after + 1, (await self.head()).offset, False
        while start <= end:
            wanted = {"next": start, "end": start + SCAN, "limit": limit, "prefix": prefix}
            if found := await self._reader.run(partial(_page, sql=_READ_PREFIX, wanted=wanted, size=size)):
                return found
            start += SCAN
            if not asked:
                asked, place = True, {"next": start, "prefix": prefix, "most": RARE + 1}
                count, following = await self._reader.run(partial(_find, place=place))
                if count <= RARE:
                    start = end + 1 if following is None else following
        return []

    async def version(self, stream: str) -> int:
        """See Store."""
        return await self._number("SELECT version + count - 1 FROM batch WHERE stream = ? ORDER BY offset DESC LIMIT 1", stream)

    async def position(self, producer: str) -> int:
        """See Store."""
        return await self._number("SELECT sequence + count - 1 FROM batch WHERE producer = ? ORDER BY sequence DESC LIMIT 1", producer)

    async def _number(self, sql: str, key: str) -> int:
        # On the writer's connection where there is one: the committer must not wait behind long reads.
        row = await (self._writer or self._reader).run(lambda db: db.execute(sql, (key,)).fetchone())
        return 0 if row is None else int(row[0])

    async def written(self, producer: str, first: int, last: int) -> list[Batch]:
        """See Store."""
        wanted = {"producer": producer, "first": first, "last": last}
        return await (self._writer or self._reader).run(partial(_page, sql=_WRITTEN, wanted=wanted, size=PAGE))

    async def redact(self, batch: Batch, notice: Batch, head: Head) -> None:
        """See Store. The old body is overwritten in the file, and the WAL emptied of it."""
        move = (notice.last, notice.digest, notice.recorded_at, head.epoch, head.offset, head.digest)

        def work(db: sqlite3.Connection) -> None:
            db.execute("PRAGMA secure_delete=ON")
            with transaction(db):
                _move_head(db, move)
                db.execute("UPDATE batch SET body = ?, original = ? WHERE offset = ?", (batch.body, batch.original, batch.offset))
                db.execute(_INSERT, msgspec.structs.astuple(notice))
            self._residue = True
            self._wal = CHECKPOINT_FROM  # should it not work now, the next insert tries again
            try:
                self._checkpoint(db)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in _FULL:  # for want of space alone, what is committed must not be called refused
                    raise

        await self._run_writer(work)

    async def compact(self) -> None:
        """See Store. The copy that SQLite makes is a file without a name: in memory it would have the size of the log."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("PRAGMA temp_store=FILE")
            try:
                db.execute("VACUUM")
            finally:
                db.execute("PRAGMA temp_store=MEMORY")
            self._residue = True  # the WAL holds all pages of the file
            self._checkpoint(db)

        await self._run_writer(work)

    async def check(self) -> list[str]:
        """See Store."""
        async with connect(self._path, write=False) as db:  # its own, for it takes long
            rows = await db.run(lambda db: db.execute("PRAGMA integrity_check(20)").fetchall())
        return [row[0] for row in rows if row[0] != "ok"]

    async def _run_writer(self, work: Callable[[sqlite3.Connection], None]) -> None:
        if self._writer is None:
            raise LogClosed("the log was opened for reading only")
        await _write(self._writer, self._path, work)

    def _checkpoint_when_due(self, db: sqlite3.Connection) -> None:
        if self._wal >= CHECKPOINT_FROM:
            self._checkpoint(db)

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        mode = "TRUNCATE" if self._residue else "PASSIVE"
        (busy, _, _) = db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self._residue = self._residue and bool(busy)
        self._wal = 0


@asynccontextmanager
async def open_sqlite(path: Path, *, write: bool) -> AsyncIterator[SqliteStore]:
    """The log's store at `path`; `write` needs the directory's lease, makes a missing file, and fences any earlier writer.
    Raises NewerFormat before it changes a byte, Corrupt when the file is not a log, FileNotFoundError when there is none to read."""
    await check_format(path)
    if not write and not await anyio.Path(path).exists():
        raise FileNotFoundError(f"there is no log at {path}")
    async with AsyncExitStack() as stack:
        writer = None
        if write:
            writer = await stack.enter_async_context(
                connect(
                    path,
                    write=True,
                    setup="PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                    "PRAGMA journal_size_limit=16777216; PRAGMA cache_size=-16384;",
                )
            )
            await _write(writer, path, prepare)
        reader = await stack.enter_async_context(connect(path, write=False, setup="PRAGMA cache_size=-8192;"))
        yield SqliteStore(path, reader, writer)


async def _write(writer: Connection, path: Path, work: Callable[[sqlite3.Connection], None]) -> None:
    # No space is told before a byte is synced, and the transaction is rolled back: unlike after a failed fsync, one may go on.
    try:
        await writer.run(work)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in _FULL:
            raise DiskFull(str(path)) from error
        raise


def _move_head(db: sqlite3.Connection, move: tuple[Any, ...]) -> None:
    if db.execute(_MOVE, move).rowcount != 1:
        raise Fenced("another writer has taken this log over")


def _head(db: sqlite3.Connection) -> Head:
    row = db.execute("SELECT offset, digest, recorded_at, epoch FROM head").fetchone()
    if row is None or tuple(map(type, row)) != _TYPES_OF_HEAD:
        raise Corrupt("the log has lost its head row")
    return Head(*row)


def _find(db: sqlite3.Connection, place: dict[str, Any]) -> tuple[int, int | None]:
    count, following = db.execute(_FIND_PREFIX, place).fetchone()
    return count, following


def _page(db: sqlite3.Connection, sql: str, wanted: dict[str, Any], size: int) -> list[Batch]:
    found: list[Batch] = []
    cursor = db.execute(sql, wanted)
    try:
        for row in cursor:
            found.append(_batch(row))
            size -= len(row[8])
            if size <= 0:
                break
    except (sqlite3.DatabaseError, Corrupt):
        if not found:  # else the next read begins with what is damaged, and says so
            raise
    finally:
        cursor.close()  # or its read transaction would pin the WAL
    return found


def _batch(row: Sequence[Any]) -> Batch:
    if tuple(map(type, row[:10])) != _TYPES or not (row[10] is None or type(row[10]) is bytes):
        raise Corrupt(f"the batch at offset {row[0]} is not of the shape in which it was written", row[0] if type(row[0]) is int else 0)
    return Batch(
        offset=row[0],
        count=row[1],
        stream=row[2],
        version=row[3],
        recorded_at=row[4],
        actor=row[5],
        producer=row[6],
        sequence=row[7],
        body=row[8],
        digest=row[9],
        original=row[10],
    )
