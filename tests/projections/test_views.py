"""The views database: what it promises to whoever applies and to whoever reads."""

import sqlite3
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from events import types as e
from events.record import Batch
from projections.base import Rows, Table
from projections.lifecycle import Runs
from projections.projects import Projects
from projections.runs import RUNS, VALUES
from projections.views import Views, get, open_views
from tests.oracle.histories import Told

pytestmark = pytest.mark.anyio

BOUND = 10.0  # seconds; for what should take milliseconds


class Mark(msgspec.Struct):
    """A row of the projection under test."""

    key: str
    value: Any


MARKS = Table("marks", Mark, key=("key",))


class Fragile:
    """Keeps results, and cannot bear the key "poison"."""

    name, version, tables = "fragile", 1, (MARKS,)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """See Projection."""
        for event in batch.events:
            if isinstance(event, e.ResultLogged):
                if event.key == "poison":
                    raise ValueError("a bug of this projection")
                rows.put(MARKS, Mark(event.key, event.value))


def results(told: Told, **values: Any) -> Batch:
    """A batch of results of one run."""
    return told.say("run/p/u", *[e.ResultLogged(time=1, key=key, value=value) for key, value in values.items()])


async def held(views: Views) -> dict[str, Any]:
    """The rows of the fragile projection."""
    return dict(await views.fetch("SELECT key, value FROM marks"))


async def test_views_go_on_where_they_were(tmp_path: Path) -> None:
    """Opened again, the views have what was applied, know how far they are, and fold nothing twice."""
    told = Told()
    first, second = results(told, a=1), told.say("run/p/u", e.MetricLogged(time=2, key="loss", value=0.5))
    async with open_views(tmp_path / "v.db", (Runs(), Projects())) as views:
        await views.apply([first])
    async with open_views(tmp_path / "v.db", (Runs(), Projects())) as views:
        assert views.offset == 1
        await views.apply([first, second])
        run = await views.get(RUNS, "p", "u", 0)
        assert (run.id, run.offset, run.results, views.offset) == (1, 2, {"a": 1}, 2)
        assert [(row.key, row.value) for row in await views.select(VALUES, "ORDER BY key")] == [("a", 1), ("loss", 0.5)]


@pytest.mark.parametrize("poison", [{"poison": 1}, {"unstorable": {1, 2}}], ids=["fold raises", "row cannot be stored"])
async def test_a_fold_that_fails_stops_only_its_own_projection(tmp_path: Path, poison: dict[str, Any]) -> None:
    """It stops just before the batch it cannot fold, health says which and why, and the other projections go on."""
    told = Told()
    batches = [results(told, a=1), results(told, b=2), results(told, c=3, **dict.fromkeys(poison, 0)), results(told, d=4)]
    bad = [e.ResultLogged(time=1, key="c", value=3), *[e.ResultLogged(time=1, key=k, value=v) for k, v in poison.items()]]
    batches[2].__dict__["events"] = bad
    async with open_views(tmp_path / "v.db", (Fragile(), Projects())) as views:
        await views.apply(batches)
        stopped = views.health["fragile"]
        assert (stopped.offset, stopped.failed_at) == (2, 3)
        assert stopped.error
        assert await held(views) == {"a": 1, "b": 2}
        assert views.health["projects"].offset == views.offset == 5
        await views.apply([results(told, e=5)])
        assert (views.health["fragile"].offset, views.offset) == (2, 6)


async def test_what_had_stopped_is_tried_again(tmp_path: Path) -> None:
    """After a restart, a stopped projection begins at its own checkpoint, and catches up when it can."""
    told = Told()
    batches = [results(told, a=1), results(told, poison=2), results(told, c=3)]
    async with open_views(tmp_path / "v.db", (Fragile(), Projects())) as views:
        await views.apply(batches)
        assert await held(views) == {"a": 1}
    fixed = batches[1]
    fixed.__dict__["events"] = [e.ResultLogged(time=1, key="cured", value=2)]
    async with open_views(tmp_path / "v.db", (Fragile(), Projects())) as views:
        assert views.offset == 1
        await views.apply(batches[1:])
        assert await held(views) == {"a": 1, "cured": 2, "c": 3}
        assert not views.health["fragile"].error
        assert (await views.fetch("SELECT offset FROM projects")) == [(3,)]


async def test_whoever_wrote_can_wait_to_read_it(tmp_path: Path) -> None:
    """`wait` returns as soon as the offset is folded, and says no after its bound."""
    told = Told()
    async with open_views(tmp_path / "v.db", (Runs(),)) as views, anyio.create_task_group() as tasks:
        assert not await views.wait(1, timeout=0.01)
        found: list[Any] = []

        async def read_own_write() -> None:
            assert await views.wait(2, timeout=BOUND)
            found.append((await views.get(RUNS, "p", "u", 0)).results)

        tasks.start_soon(read_own_write)
        await anyio.wait_all_tasks_blocked()
        await views.apply([results(told, a=1)])
        await anyio.wait_all_tasks_blocked()
        assert found == []
        await views.apply([results(told, b=2)])
        assert await views.changed(1) == 2
    assert found == [{"a": 1, "b": 2}]


async def test_a_read_sees_one_moment(tmp_path: Path) -> None:
    """Statements of one query agree with each other, whatever is applied between them."""
    told = Told()
    async with open_views(tmp_path / "v.db", (Runs(),)) as views, anyio.create_task_group() as tasks:
        await views.apply([results(told, n=1)])

        async def write() -> None:
            for n in range(2, 100):
                await views.apply([results(told, n=n)])

        def look(db: sqlite3.Connection) -> tuple[int, Any]:
            run = get(db, RUNS, "p", "u", 0)
            return run.results["n"], db.execute("SELECT value FROM run_values WHERE key = 'n'").fetchone()[0]

        tasks.start_soon(write)
        while views.offset < 99:
            in_row, in_index = await views.query(look)
            assert in_row == in_index


async def test_a_reader_that_left_holds_nothing(tmp_path: Path) -> None:
    """When whoever asked is gone, even an endless query ends and its connection serves the next."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    async with open_views(tmp_path / "v.db", (Runs(),)) as views:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(views.fetch, endless)
            await anyio.sleep(0.05)  # some run, some wait
            tasks.cancel_scope.cancel()
        with anyio.fail_after(BOUND):
            assert [await views.fetch("SELECT 1") for _ in range(5)] == [[(1,)]] * 5


async def test_a_cancelled_apply_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """Whatever moment a task is cancelled at, the views know exactly what they hold."""
    told = Told()
    batches = [results(told, **{f"k{n}": n}) for n in range(60)]
    async with open_views(tmp_path / "v.db", (Runs(),)) as views:
        for n in range(0, 60, 3):
            with anyio.move_on_after(n / 30_000):
                await views.apply(batches[n : n + 3])
            await views.apply(batches[max(views.offset, 0) : n + 3])
        assert (await views.get(RUNS, "p", "u", 0)).results == {f"k{n}": n for n in range(60)}


async def test_many_rows_of_one_transaction(tmp_path: Path) -> None:
    """A transaction of thousands of runs with their values reads back complete, and changed again, changed."""
    told = Told()
    runs = [
        told.say(f"run/p/r{n}", e.RunCreated(time=n, name=f"n{n}", parameters={f"p{i}": n + i for i in range(7)})) for n in range(1_000)
    ]
    async with open_views(tmp_path / "v.db", (Runs(),)) as views:
        await views.apply(runs)
        assert await views.fetch("SELECT count(*), count(DISTINCT run), sum(value) FROM run_values") == [(7_000, 1_000, 3_517_500)]
        await views.apply([told.say(f"run/p/r{n}", e.ParameterSet(time=n, key="p0", value=-1)) for n in range(1_000)])
        assert await views.fetch("SELECT count(*) FROM run_values WHERE value = -1") == [(1_000,)]
        assert (await views.get(RUNS, "p", "r999", 0)).parameters["p0"] == -1
