"""The files of a data directory, opened for a command: for reading beside whoever writes them, or for writing under the lease."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio

from events.lease import hold
from events.log import EventLog, open_log, open_reader
from events.reading import LogReader
from events.sqlite import SqliteStore, open_sqlite
from projections import trust
from projections.applier import read_health
from projections.files import fingerprint, fresh_path, views_files
from projections.rebuild import keep_views
from projections.registry import PROJECTIONS
from projections.views import Views


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


@asynccontextmanager
async def keeping(data: Path) -> AsyncIterator[tuple[EventLog, Views]]:
    """The log and the views for writing. Raises DirectoryBusy while a server or a job holds the directory."""
    async with writing(data) as log, keep_views(log, data) as views:
        yield log, views


def views_file(data: Path) -> Path:
    """The file of the present views, whether or not it exists yet."""
    print_ = fingerprint(PROJECTIONS)
    mine = [path for found, _, path in views_files(data) if found == print_]
    return mine[0] if mine else fresh_path(data, print_)


def views_health(data: Path) -> dict[str, dict[str, Any]]:
    """How far each projection of the present views is, and what stopped it; empty when there are none."""
    path = views_file(data)
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return {name: {"offset": health.offset, "error": health.error} for name, health in read_health(db).items()}


def forget_views(data: Path) -> None:
    """Delete the views; the next start folds them anew. For the holder of the lease."""
    for _, _, path in views_files(data):
        trust.remove(path)
