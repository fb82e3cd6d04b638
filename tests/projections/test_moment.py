"""Time travel: the views as they were after any event."""

from pathlib import Path

import pytest

from events import types as e
from events.codec import AnyEvent
from events.log import EventLog, open_log
from events.record import New
from events.sqlite import open_sqlite
from projections.moment import views_at
from projections.reads.runs import get_run
from projections.registry import PROJECTIONS
from tests.oracle.histories import fold, rows_of

pytestmark = pytest.mark.anyio

STORY: list[tuple[str, list[AnyEvent]]] = [
    ("run/p/u", [e.RunCreated(time=1, name="first"), e.AttemptStarted(time=2, attempt="A")]),
    ("run/p/other", [e.RunCreated(time=3, name="other")]),
    ("run/p/u", [e.MetricLogged(time=n, key="loss", value=1 / n, step=n) for n in range(1, 6)]),
    (
        "run/p/u",
        [e.ConsoleWritten(time=9, data=b"done\n"), e.ArtifactLogged(time=9, key="model"), e.StateChanged(time=9, state="completed")],
    ),
]


async def told(log: EventLog) -> None:
    """Record the story."""
    for n, (stream, events) in enumerate(STORY):
        await log.append(New(stream=stream, events=events, producer=f"p{n}", sequence=1))


async def test_every_moment_is_the_fold_of_what_was_before(tmp_path: Path) -> None:
    """After each single event, also within a batch, the views are what they were when it was the last one."""
    async with open_sqlite(tmp_path / "log.db", write=True) as store, open_log(store) as log:
        await told(log)
        whole = [batch async for batch in log.read()]
        for offset in range(log.head.offset + 1):
            async with views_at(log, offset) as views:
                found = await views.query(rows_of)
                assert views.offset == offset
            at = [batch for batch in whole if batch.last <= offset]
            if offset in {batch.last for batch in whole}:
                assert found == rows_of(fold(at, [2])), offset
        async with views_at(log, 5) as views:
            run = await get_run(views, "p", "u")
            assert run is not None
            assert (run.state, run.metrics, run.offset) == ("running", {"loss": 0.5}, 5)


async def test_a_moment_of_one_run(tmp_path: Path) -> None:
    """Folded from the run's own stream alone, it is the run as it was, and nothing else is there."""
    async with open_sqlite(tmp_path / "log.db", write=True) as store, open_log(store) as log:
        await told(log)
        async with views_at(log, log.head.offset, stream="run/p/u") as views, views_at(log, log.head.offset) as all_views:
            assert await get_run(views, "p", "u") == await get_run(all_views, "p", "u")
            assert await get_run(views, "p", "other") is None
            assert views.offset == log.head.offset
            assert set(views.health) == {projection.name for projection in PROJECTIONS}
