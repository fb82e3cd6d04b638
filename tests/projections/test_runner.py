"""The task that keeps views up to a log."""

import sqlite3
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from events import types as e
from events.log import EventLog, open_log
from events.record import New
from events.sqlite import open_sqlite
from projections.console import Console
from projections.moment import views_at
from projections.projects import Projects
from projections.registry import PROJECTIONS
from projections.runner import run
from projections.runs import RUNS
from projections.views import Views, open_views
from tests.projections.test_views import Fragile

pytestmark = pytest.mark.anyio

BOUND = 10.0


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[EventLog]:
    """A log on disk."""
    async with open_sqlite(path / "log.db", write=True) as store, open_log(store) as log:
        yield log


async def results(log: EventLog, *values: tuple[str, object], sequence: int) -> int:
    """Record results of one run; the offset of the last."""
    events = [e.ResultLogged(time=1, key=key, value=value) for key, value in values]
    return (await log.append(New(stream="run/p/u", events=list(events), producer="job", sequence=sequence))).offset


async def test_what_is_recorded_is_soon_to_be_read(tmp_path: Path) -> None:
    """Events recorded before and after the views were opened are visible as soon as `wait` says so."""
    async with opened(tmp_path) as log:
        await results(log, ("a", 1), sequence=1)
        async with open_views(tmp_path / "v.db", PROJECTIONS) as views, anyio.create_task_group() as tasks:
            tasks.start_soon(run, log, views)
            for n in range(2, 50):
                offset = await results(log, ("a", n), sequence=n)
                assert await views.wait(offset, BOUND)
                assert (await views.get(RUNS, "p", "u", 0)).results == {"a": n}
            tasks.cancel_scope.cancel()


async def test_a_stopped_projection_holds_nobody_up(tmp_path: Path) -> None:
    """After a restart with a stopped projection, the others are served as before, and reads wait only for those."""
    async with opened(tmp_path) as log:
        await results(log, ("a", 1), sequence=1)
        await results(log, ("poison", 2), sequence=2)
        for _ in range(2):
            async with open_views(tmp_path / "v.db", (Fragile(), Projects())) as views, anyio.create_task_group() as tasks:
                tasks.start_soon(run, log, views)
                head = await results(log, ("b", 3), sequence=log.head.offset + 1)
                assert await views.wait(head, BOUND)
                assert views.health["fragile"].failed_at == 2
                tasks.cancel_scope.cancel()


async def test_catching_up_takes_little_memory_whatever_the_log_holds(tmp_path: Path) -> None:
    """Views far behind a log of which 256 MiB take next to nothing on disk catch up in a fraction of that, and so does a past moment."""
    async with opened(tmp_path) as log:
        for n in range(256):
            events = [e.ConsoleWritten(time=n, data=bytes(1024 * 1024))]
            await log.append(New(stream="run/p/u", events=[*events], producer="job", sequence=n + 1), checked=True)
    async with opened(tmp_path) as log, open_views(tmp_path / "v.db", (Console(),)) as views:
        tracemalloc.start()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, log, views)
                assert await views.wait(256, 4 * BOUND)
                tasks.cancel_scope.cancel()
            async with views_at(log, 256, stream="run/p/u", projections=(Console(),)) as then:
                assert (await then.fetch("SELECT size FROM consoles")) == [(256 * 1024 * 1024,)]
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 64 * 1024 * 1024


async def test_a_full_disk_is_waited_out(tmp_path: Path) -> None:
    """While the views cannot be written, reads show the last good state and health says why; then they catch up by themselves."""
    async with opened(tmp_path) as log, open_views(tmp_path / "v.db", PROJECTIONS) as views, anyio.create_task_group() as tasks:
        tasks.start_soon(run, log, views)
        assert await views.wait(await results(log, ("a", 1), sequence=1), BOUND)
        await _limit(views, pages=1)  # no smaller than it is: it may not grow
        offset = await results(log, ("big", "x" * 500_000), sequence=2)
        with anyio.fail_after(BOUND):
            while not views.trouble:  # noqa: ASYNC110 - the disk tells nobody
                await anyio.sleep(0.01)
        assert (await views.get(RUNS, "p", "u", 0)).results == {"a": 1}
        await _limit(views, pages=1_000_000)
        assert await views.wait(offset, BOUND)
        assert not views.trouble
        assert (await views.get(RUNS, "p", "u", 0)).results.keys() == {"a", "big"}
        tasks.cancel_scope.cancel()


async def _limit(views: Views, pages: int) -> None:
    """Let the file have no more pages than this, or than it has."""
    writer = views._file.writer
    assert writer is not None

    def limit(db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA max_page_count = {pages}")

    await writer.run(limit)
