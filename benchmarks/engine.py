"""The log and its views in this process, as the server opens them, without HTTP: for figures of the engine itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from events.log import EventLog, open_log
from events.sqlite import open_sqlite
from projections.registry import PROJECTIONS
from projections.runner import run as follow
from projections.views import Views, open_views


@asynccontextmanager
async def engine(directory: Path) -> AsyncIterator[tuple[EventLog, Views]]:
    """A log at `directory`/log.db and views beside it that follow it."""
    directory.mkdir(parents=True, exist_ok=True)
    async with (
        open_sqlite(directory / "log.db", write=True) as store,
        open_log(store) as log,
        open_views(directory / "views.db", PROJECTIONS) as views,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(follow, log, views)
        yield log, views
        tasks.cancel_scope.cancel()


def on_disk(directory: Path, name: str) -> int:
    """Bytes of a database with its WAL."""
    return sum(path.stat().st_size for path in directory.glob(f"{name}*") if path.suffix != ".db-shm")
