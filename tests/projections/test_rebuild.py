"""The views of a directory: which file serves, and how a new one takes its place."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from events import types as e
from events.errors import Corrupt
from events.log import EventLog, LogReader, open_log, open_reader
from events.record import Batch, New
from events.sqlite import open_sqlite
from projections.artifacts import Artifacts
from projections.base import Projection, Rows, Table
from projections.files import views_files
from projections.lifecycle import Runs
from projections.projects import PROJECTS, Projects
from projections.reads.runs import get_run
from projections.rebuild import keep_views, rebuild
from projections.registry import PROJECTIONS
from projections.runs import RUNS
from projections.trust import note_of
from projections.views import Views
from tests.oracle.histories import rows_of

pytestmark = pytest.mark.anyio

BOUND = 20.0


class Later(Runs):
    """The same fold, said to have changed its mind."""

    version = 1_000


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[EventLog]:
    """A log on disk."""
    async with open_sqlite(path / "log.db", write=True) as store, open_log(store) as log:
        yield log


async def record(log: EventLog, n: int, uid: str = "u") -> int:
    """Record result `n`; its offset."""
    event = e.ResultLogged(time=n, key="n", value=n)
    at = await log.position(uid)
    return (await log.append(New(stream=f"run/p/{uid}", events=[event], producer=uid, sequence=at + 1))).offset


async def tables(views: Views) -> dict[str, Any]:
    """All rows of all tables."""
    return await views.query(lambda db: rows_of(db, views.projections))


async def folded_anew(log: LogReader, tmp_path: Path, projections: tuple[Projection, ...]) -> dict[str, Any]:
    """What views built from nothing say."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with keep_views(log, scratch, projections) as views:
        assert await views.wait(log.head.offset, BOUND)
        found = await tables(views)
    shutil.rmtree(scratch)
    return found


async def test_a_restart_goes_on(tmp_path: Path) -> None:
    """After a clean end or a killed process, the same file serves at once, from where it was."""
    async with opened(tmp_path) as log:
        async with keep_views(log, tmp_path) as views:
            assert await views.wait(await record(log, 1), BOUND)
            killed = tmp_path / "killed"
            shutil.copytree(tmp_path, killed)  # what a killed process leaves behind, its write-ahead log included
            first = views.path
        for directory in (tmp_path, killed):
            async with keep_views(log, directory) as views:
                assert (Path(views.path).name, views.offset) == (Path(first).name, 1)
                assert (await views.get(RUNS, "p", "u", 0)).results == {"n": 1}
        assert len(views_files(tmp_path)) == 1


async def test_a_changed_projection_is_built_beside(tmp_path: Path) -> None:
    """With another fingerprint, the old file answers until the new one is there; then only the new one is left."""
    async with opened(tmp_path) as log:
        async with keep_views(log, tmp_path, (Runs(), Projects())) as views:
            for n in range(50):
                offset = await record(log, n, f"u{n % 5}")
            assert await views.wait(offset, BOUND)
            before, old = await tables(views), views.path
        async with keep_views(log, tmp_path, (Later(), Projects())) as views:
            assert views.path == old
            assert await tables(views) == before
            offset = await record(log, 99)
            assert await views.wait(offset, BOUND)
            assert views.path != old
            assert (await views.get(RUNS, "p", "u", 0)).results == {"n": 99}
            assert views.rebuilding is None
        assert [path for _, _, path in views_files(tmp_path)] == [Path(views.path)]
        assert not Path(old).exists()


async def test_an_older_file_answers_todays_reads(tmp_path: Path) -> None:
    """Tables and columns that an older file lacks look like tables without rows and fields never set, until the rebuild is done."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(PROJECTS.row)}
    row = msgspec.defstruct(
        "OlderRow", [(name, kinds[name]) for name in ("id", "name", "created_at", "labels", "parameters")], kw_only=True
    )
    table = Table("projects", row, key=("name",), rowid="id")

    class Older:
        name, version, tables = "projects", 1, (table,)

        def fold(self, rows: Rows, batch: Batch) -> None:
            if rows.get(table, "p") is None:
                rows.put(table, row(id=batch.offset, name="p", created_at=7, labels={"a": "b"}, parameters={}))

    async with opened(tmp_path) as log:
        async with keep_views(log, tmp_path, (Older(),)) as views:
            assert await views.wait(await record(log, 1), BOUND)
        async with keep_views(log, tmp_path, (Projects(), Artifacts())) as views:
            project = await views.get(PROJECTS, "p")
            assert (project.created_at, project.labels, project.description, project.offset) == (7, {"a": "b"}, "", 0)
            assert await views.fetch("SELECT * FROM artifacts") == []
            assert await views.wait(await record(log, 2), BOUND)
            assert (await views.get(PROJECTS, "p")).offset == 2


async def test_a_rebuild_under_reads_and_writes(tmp_path: Path) -> None:
    """While the views are rebuilt, reads answer, what was acknowledged stays visible, and in the end all is as if folded anew."""
    async with opened(tmp_path) as log, keep_views(log, tmp_path) as views:
        for n in range(300):
            await record(log, n, f"u{n % 7}")
        seen, done = 0, anyio.Event()

        async def write() -> None:
            n = 300
            while not done.is_set():
                assert await views.wait(await record(log, n, "live"), BOUND)
                run = await get_run(views, "p", "live")
                assert run is not None
                assert run.results == {"n": n}
                n += 1

        async def read() -> None:
            nonlocal seen
            while not done.is_set():
                ((offset,),) = await views.fetch("SELECT min(offset) FROM checkpoint")
                assert offset >= seen
                seen = offset

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            tasks.start_soon(read)
            told: list[tuple[int, int]] = []
            for _ in range(3):
                old = views.path
                await rebuild(log, views, tmp_path, lambda *progress: told.append(progress))
                assert views.path != old
                assert not Path(old).exists()
            done.set()
        assert told[-1][0] >= 300
        assert await views.wait(log.head.offset, BOUND)
        assert await tables(views) == await folded_anew(log, tmp_path, PROJECTIONS)


async def test_a_rebuild_that_is_cut_short_changes_nothing(tmp_path: Path) -> None:
    """Cancelled in the middle, a rebuild leaves no file, and the views serve as before."""
    async with opened(tmp_path) as log, keep_views(log, tmp_path) as views:
        for n in range(100):
            offset = await record(log, n)
        assert await views.wait(offset, BOUND)
        files = views_files(tmp_path)
        with anyio.CancelScope() as scope:
            await rebuild(log, views, tmp_path, lambda *_: scope.cancel())
        assert scope.cancelled_caught
        assert views_files(tmp_path) == files
        assert await views.wait(await record(log, 100), BOUND)


async def test_rebuilds_at_the_same_time_are_one_after_the_other(tmp_path: Path) -> None:
    """Whoever asks for a rebuild while another goes on, the one an upgrade needs included, gets one; each leaves one whole file."""
    async with opened(tmp_path) as log:
        async with keep_views(log, tmp_path) as views:
            for n in range(200):
                offset = await record(log, n, f"u{n % 7}")
            assert await views.wait(offset, BOUND)
        later = (Later(), *PROJECTIONS[1:])
        async with keep_views(log, tmp_path, later) as views:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(rebuild, log, views, tmp_path)
            assert await views.wait(await record(log, 200), BOUND)
            assert [path for _, _, path in views_files(tmp_path)] == [Path(views.path)]
            assert await tables(views) == await folded_anew(log, tmp_path, later)


async def test_a_rebuild_ends_though_every_projection_fails(tmp_path: Path) -> None:
    """When no fold can go on, the rebuild is done all the same, and health says where each stopped."""

    class Failing(Projects):
        def fold(self, rows: Rows, batch: Batch) -> None:
            if batch.offset > 2:
                raise ValueError("a bug of this projection")
            super().fold(rows, batch)

    async with opened(tmp_path) as log, keep_views(log, tmp_path, (Failing(),)) as views:
        for n in range(5):
            await record(log, n)
        with anyio.fail_after(BOUND):
            await rebuild(log, views, tmp_path)
        assert [(health.offset, health.failed_at) for health in views.health.values()] == [(2, 3)]
        assert (await views.get(PROJECTS, "p")).offset == 2


async def test_after_a_power_cut_the_log_is_believed(tmp_path: Path) -> None:
    """A file written before the machine's last start without a clean end is built again, even when it looks whole."""
    async with opened(tmp_path) as log:
        async with keep_views(log, tmp_path) as views:
            assert await views.wait(await record(log, 1), BOUND)
            path = Path(views.path)
        note_of(path).write_text("the boot before")
        _overwrite(path, b'"n"', b'"m"')
        async with keep_views(log, tmp_path) as views:
            assert await views.wait(1, BOUND)
            assert (await views.get(RUNS, "p", "u", 0)).results == {"n": 1}


async def test_views_of_another_log_are_never_served(tmp_path: Path) -> None:
    """When the log was replaced, by a backup or by another, its views are made from it."""
    one, other = tmp_path / "one", tmp_path / "other"
    for n, directory in enumerate((one, other)):
        directory.mkdir()
        async with opened(directory) as log, keep_views(log, directory) as views:
            assert await views.wait(await record(log, n), BOUND)
    (one / "log.db").unlink()
    shutil.copy(other / "log.db", one / "log.db")
    async with opened(one) as log, keep_views(log, one) as views:
        assert await views.wait(1, BOUND)
        assert (await views.get(RUNS, "p", "u", 0)).results == {"n": 1}


@pytest.mark.parametrize("whole_pages", [3, 30], ids=["all of it", "some of it"])
async def test_a_damaged_file_is_built_again(tmp_path: Path, whole_pages: int) -> None:
    """Damage found at the opening, by a read or by the fold is repaired from the log, while the process goes on."""
    async with opened(tmp_path) as log:
        async with keep_views(log, tmp_path) as views:
            for n in range(300):
                offset = await record(log, n, f"u{n}")
            assert await views.wait(offset, BOUND)
            path = Path(views.path)
        content = path.read_bytes()
        whole = 4096 * whole_pages
        assert len(content) > 1.5 * whole
        path.write_bytes(content[:whole] + b"\xff" * (len(content) - whole))
        async with keep_views(log, tmp_path) as views:
            found: list[Any] = []
            with anyio.fail_after(BOUND):
                while found != [(300, 0, 299)]:
                    with suppress(Corrupt):
                        found = await views.fetch("SELECT count(*), min(value), max(value) FROM run_values CROSS JOIN runs ON id = run")
                    await anyio.sleep(0.01)
            assert await views.wait(offset, BOUND)
            assert await tables(views) == await folded_anew(log, tmp_path, PROJECTIONS)


async def test_another_process_reads_what_the_writer_keeps(tmp_path: Path) -> None:
    """Opened without writing, the views follow those of the directory's writer; with none there, they are folded in memory."""
    async with opened(tmp_path) as log:
        await record(log, 1)
        async with open_sqlite(tmp_path / "log.db", write=False) as store, open_reader(store, interval=0.01) as reader:
            async with keep_views(reader, tmp_path, write=False) as views:
                assert await views.wait(1, BOUND)
                assert views_files(tmp_path) == []
            async with keep_views(log, tmp_path) as kept:
                assert await kept.wait(1, BOUND)
                async with keep_views(reader, tmp_path, write=False) as views:
                    offset = await record(log, 2)
                    assert await views.wait(offset, BOUND)
                    assert (await views.get(RUNS, "p", "u", 0)).results == {"n": 2}
                    with pytest.raises(RuntimeError):
                        await views.apply([])
                    await rebuild(log, kept, tmp_path)
                    offset = await record(log, 3)
                    assert await views.wait(offset, BOUND)
                    assert (await views.get(RUNS, "p", "u", 0)).results == {"n": 3}


def _overwrite(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(old, new))
