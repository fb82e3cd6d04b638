"""The files of a data directory, opened for a command: for reading beside whoever writes them, or for writing under the lease."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from events.lease import hold
from events.log import EventLog, open_log, open_reader
from events.reading import LogReader
from events.sqlite import SqliteStore, open_sqlite


@asynccontextmanager
async def reading(data: Path) -> AsyncIterator[LogReader]:
    """The log, read beside its writer."""
    async with open_sqlite(data / "log.db", write=False) as store, open_reader(store) as log:
        yield log


@asynccontextmanager
async def storing(data: Path) -> AsyncIterator[SqliteStore]:
    """The log's store for writing. Raises DirectoryBusy while a server or a job holds the directory."""
    await anyio.Path(data).mkdir(mode=0o700, parents=True, exist_ok=True)
    with hold(data / "lease"):
        async with open_sqlite(data / "log.db", write=True) as store:
            yield store


@asynccontextmanager
async def writing(data: Path) -> AsyncIterator[EventLog]:
    """The log for appends. Raises DirectoryBusy while a server or a job holds the directory."""
    async with storing(data) as store, open_log(store) as log:
        yield log


def views_file(data: Path) -> Path:
    """The file of the present views, whether or not it exists yet."""
    found = sorted(data.glob("views*.db"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else data / "views.db"
