"""The views: what the log means now, in one disposable SQLite file that one process writes and many may read.

The writer has a connection of its own; folds run inside its thread, one hop for any number of batches, and rows and checkpoints are one
transaction. synchronous=OFF: what a power cut may spoil is rebuilt from the log (see trust.py). Readers see whole transactions only.
`offset` tells how far the views are; `wait` and `changed` are pulses within the process; another process's views are looked at in turns.
A rebuilt file takes the place of the present one by `flip`, under live reads: each read ends on the file it began on.
"""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio

from events.connection import SCRATCH, Connection, connect
from events.errors import Corrupt
from events.record import Batch
from projections.applier import Applier, Health, read_health
from projections.base import Projection, Table
from projections.shape import shape_of

T = TypeVar("T")

READERS = 3
_WRITER = (
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=2000; PRAGMA journal_size_limit=67108864;"
    "PRAGMA cache_size=-32768;"
)
_READER = "PRAGMA cache_size=-8192;"
_LOOK_EVERY = 0.05  # seconds between looks at the file of another process


class _Readers:
    """A few connections, each lent to one read at a time."""

    def __init__(self, connections: Sequence[Connection], *, interruptible: bool) -> None:
        self._interruptible = interruptible
        self._idle = list(connections)
        self._count = len(connections)
        self._free = anyio.Semaphore(self._count)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._free:
            connection = self._idle.pop()
            try:
                return await connection.run(work)
            except anyio.get_cancelled_exc_class():
                if self._interruptible:
                    connection.interrupt()  # nobody waits for the answer any more
                raise
            finally:
                self._idle.append(connection)

    async def drain(self) -> None:
        """Wait for the reads that have begun; none may begin any more."""
        for _ in range(self._count):
            await self._free.acquire()


class ViewsFile:
    """One views database, open: its applier when we write it, its readers, and how far it is."""

    def __init__(self, path: str, stack: AsyncExitStack, readers: _Readers, health: Mapping[str, Health]) -> None:
        self.path, self.stack, self.readers, self.health = path, stack, readers, health
        self.writer: Connection | None = None
        self.applier: Applier | None = None
        self.followed = False  # another process writes it

    @property
    def offset(self) -> int:
        """The checkpoint of the slowest projection that goes on."""
        going = [health.offset for health in self.health.values() if not health.error]
        return min(going or [health.offset for health in self.health.values()], default=0)

    async def apply(self, batches: Sequence[Batch], upto: int = 0) -> None:
        """See `Views.apply`."""
        writer, applier = self.writer, self.applier
        if writer is None or applier is None:
            raise RuntimeError("these views are open for reading only")
        with anyio.CancelScope(shield=True):  # what is committed must be known
            self.health = await writer.run(lambda _: applier.apply(batches, upto))

    async def close(self) -> None:
        """Close it after the reads that have begun."""
        with anyio.CancelScope(shield=True):
            await self.readers.drain()
            await self.stack.aclose()


async def open_file(path: Path | str, projections: Sequence[Projection], *, write: bool, setup: str = "") -> ViewsFile:
    """The file at `path`, opened; to be closed by the caller. `setup` is SQL run on each reader."""
    async with AsyncExitStack() as stack:
        writer = applier = None
        if write:
            writer = await stack.enter_async_context(connect(path, write=True, setup=_WRITER))
            applier = await writer.run(lambda db: Applier(db, projections))
        if path == SCRATCH and writer is not None:
            readers = [writer]
        else:
            readers = [await stack.enter_async_context(connect(path, write=False, setup=_READER + setup)) for _ in range(READERS)]
        health = applier.health if applier is not None else await readers[0].run(read_health)
        file = ViewsFile(str(path), stack.pop_all(), _Readers(readers, interruptible=writer not in readers), health)
        file.writer, file.applier = writer, applier
        return file


class Views:
    """What the log means now."""

    def __init__(self, file: ViewsFile, projections: Sequence[Projection]) -> None:
        self.projections = tuple(projections)
        self.trouble = ""  # why they cannot be written now, "" when they can
        self.rebuilding: tuple[int, int] | None = None  # how far a rebuild is, and how far it must go
        self.building = anyio.Lock()  # of rebuilds: they would take the same new file
        self.damaged = anyio.Event()  # set when the file was found to be damaged
        self._file = file
        self._turn = anyio.Lock()  # of apply and flip
        self._moved = anyio.Event()
        self._wanted = anyio.Event()

    @property
    def offset(self) -> int:
        """How far all projections are that go on."""
        return self._file.offset

    @property
    def health(self) -> Mapping[str, Health]:
        """How far each projection is, and what stopped it."""
        return self._file.health

    @property
    def path(self) -> str:
        """The file, "" when it is one for us alone."""
        return self._file.path

    @property
    def writable(self) -> bool:
        """Whether `apply` can bring these views forward."""
        return self._file.applier is not None

    async def apply(self, batches: Sequence[Batch], upto: int = 0) -> None:
        """Fold consecutive batches of the log, then move on to `upto` when nothing else up to there concerns these views.
        Batches, or parts of them, that a projection already knows are not folded again."""
        async with self._turn:
            self._wanted = anyio.Event()  # who still waits afterwards says so again
            with self._watching():
                await self._file.apply(batches, upto)
        self.trouble = ""
        self._pulse()

    async def wait(self, offset: int, timeout: float = 10.0) -> bool:
        """Until the views have folded `offset`; whether they have within `timeout` seconds."""
        if self._file.offset >= offset:
            return True
        with anyio.move_on_after(timeout):
            await self.changed(offset - 1)
        return self._file.offset >= offset

    async def changed(self, after: int) -> int:
        """Until the views are past `after`; how far they are then."""
        while self._file.offset <= after:
            moved = self._moved
            if self._file.followed:
                await self.refresh()
                if self._file.offset <= after:
                    await anyio.sleep(_LOOK_EVERY)
            else:
                self._wanted.set()
                await moved.wait()
        return self._file.offset

    async def wanted(self) -> None:
        """Until somebody waits for more than there is."""
        await self._wanted.wait()

    async def refresh(self) -> int:
        """How far the views are by their file; for views another process writes."""
        file = self._file
        if file.followed:
            file.health = await file.readers.run(read_health)
        return self._file.offset

    async def fetch(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        return await self._read(lambda db: db.execute(sql, params).fetchall())

    async def query(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of several statements that all see the same moment."""

        def snapshot(db: sqlite3.Connection) -> T:
            db.execute("BEGIN")
            try:
                return work(db)
            finally:
                db.execute("ROLLBACK")  # nothing was written

        return await self._read(snapshot)

    async def get(self, table: Table, *key: Any) -> Any:
        """The row with this key, or None."""
        shape = shape_of(table)
        found = await self.fetch(shape.select, key)
        return shape.decode(found[0]) if found else None

    async def select(self, table: Table, rest: str = "", params: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """The rows of a table; `rest` is SQL from WHERE on."""
        return await self._read(lambda db: select(db, table, rest, params))

    async def flip(self, fresh: ViewsFile, catch_up: Callable[[int], Awaitable[None]]) -> None:
        """Put a rebuilt file in the place of the present one, which is closed after its last read. `catch_up(offset)` is awaited while the
        present one stands still, and brings the fresh one as far."""
        async with self._turn:
            await catch_up(self._file.offset)
            old, self._file = self._file, fresh
        self._pulse()
        await old.close()

    async def close(self) -> None:
        """Close the file, after the reads that have begun."""
        await self._file.close()

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._watching():
            return await self._file.readers.run(work)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except Corrupt:
            self.damaged.set()
            raise

    def _pulse(self) -> None:
        moved, self._moved = self._moved, anyio.Event()
        moved.set()


def get(db: sqlite3.Connection, table: Table, *key: Any) -> Any:
    """The row with this key, or None; for use within `Views.query`."""
    shape = shape_of(table)
    columns = db.execute(shape.select, key).fetchone()
    return None if columns is None else shape.decode(columns)


def select(db: sqlite3.Connection, table: Table, rest: str = "", params: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
    """The rows of a table; `rest` is SQL from WHERE on; for use within `Views.query`."""
    shape = shape_of(table)
    return [shape.decode(columns) for columns in db.execute(f'SELECT {shape.all} FROM "{table.name}" {rest}', params)]  # noqa: S608


@asynccontextmanager
async def open_views(path: Path | str, projections: Sequence[Projection], *, write: bool = True) -> AsyncIterator[Views]:
    """The views in the file at `path` (or SCRATCH, for us alone). Without `write` another process keeps them up."""
    file = await open_file(path, projections, write=write)
    file.followed = not write
    views = Views(file, projections)
    try:
        yield views
    finally:
        await views.close()
