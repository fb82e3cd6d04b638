"""A purge removes all that a run in the trash held, and nothing else; the log still proves itself and keeps the receipt."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256, shake_256
from pathlib import Path

import anyio
import pytest

from events import types as t
from events.log import EventLog, open_log, open_reader
from events.record import New
from events.sqlite import open_sqlite
from projections.registry import PROJECTIONS
from projections.runs import RUNS, RunRow
from projections.views import open_views
from tracker.audit.purge import Receipt, purge
from tracker.audit.verify import verify
from tracker.blobs import Blobs
from tracker.errors import Conflict, NotFound

pytestmark = pytest.mark.anyio

SECRET = shake_256(b"secret").digest(60_000)
EVENTS = 2014  # of the run, without those that say it was deleted
MINE, SHARED = b"only mine " + SECRET, b"bytes of two runs"
STREAM = "run/p/u"


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[EventLog]:
    """The log of the directory, for writing."""
    async with open_sqlite(data / "log.db", write=True) as store, open_log(store) as log:
        yield log


def keep(data: Path, content: bytes) -> t.ArtifactLogged:
    """Put the bytes among the blobs; the event that names them."""
    digest = sha256(content).hexdigest()
    blob = data / "blobs" / digest[:2] / digest
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    return t.ArtifactLogged(time=8, key="file", digest=digest, size=len(content))


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """Two runs with an artifact in common; the first one holds secrets, was deleted, restored, and deleted again."""
    mine: list[list[t.Event | t.Unknown]] = [
        [t.RunCreated(time=1, name="r", parameters={"password": SECRET[:500]}), t.AttemptStarted(time=2, attempt="a")],
        [t.ConsoleWritten(time=3, data=SECRET[i : i + 10_000]) for i in range(0, 60_000, 10_000)],
        [t.IterationStarted(time=4, iteration=1), *(t.MetricLogged(time=5 + i, iteration=1, key="m", value=i / 7) for i in range(2000))],
        [keep(tmp_path, MINE), t.RunDeleted(time=9), t.RunRestored(time=10), keep(tmp_path, SHARED)],
        [t.StateChanged(time=11, state="completed"), t.RunDeleted(time=12, reason="no use"), t.ResultLogged(time=13, key="k", value=1)],
    ]
    async with opened(tmp_path) as log:
        sequence = 1
        for events in mine:
            await log.append(New(stream=STREAM, producer="p1", sequence=sequence, events=events))
            sequence += len(events)
        other: list[t.Event | t.Unknown] = [t.RunCreated(time=1, name="other"), keep(tmp_path, SHARED)]
        await log.append(New(stream="run/p/other", producer="p2", sequence=1, events=other))
    return tmp_path


async def purged(data: Path) -> Receipt:
    """Purge the run."""
    async with opened(data) as log:
        return await purge(log, Blobs(data / "blobs"), "p", "u", reason="the data had to go", actor="ann")


async def folded(data: Path) -> RunRow:
    """The run as views folded now have it, after all that verify asks was answered with yes."""
    (data / "views.db").unlink(missing_ok=True)
    async with open_sqlite(data / "log.db", write=False) as store, open_reader(store) as log:
        async with open_views(data / "views.db", PROJECTIONS, write=True) as views:
            await views.apply([batch async for batch in log.read()])
            assert await views.fetch("SELECT count(*) FROM artifacts WHERE uid = 'u'") == [(0,)]
            assert await views.fetch("SELECT count(*) FROM runs WHERE uid = 'u'") == [(1,)]
            run = await views.get(RUNS, "p", "u", 0)
        answers = await verify(log, data, data / "views.db")
    assert not [answer for answer in answers if answer.holds is not True and answer.question != "anchor"]
    assert isinstance(run, RunRow)
    return run


def holding(data: Path, secret: bytes) -> list[str]:
    """The files that hold any part of the secret."""
    parts = [secret[i : i + 16] for i in range(0, len(secret) - 16, 16)]
    files = [path for path in data.rglob("*") if path.is_file()]
    return [path.name for path in files if any(part in content for content in [path.read_bytes()] for part in parts)]


async def test_a_purged_run_is_nowhere(data: Path) -> None:
    """The bytes of its parameters, console and artifacts are in no file; what another run shares stays; the log's file got smaller."""
    before = (data / "log.db").stat().st_size
    assert holding(data, SECRET)
    async with opened(data) as log:
        receipt = await purge(log, Blobs(data / "blobs"), "p", "u", reason="the data had to go", actor="ann")
        assert holding(data, SECRET) == []
    assert (receipt.events, receipt.blobs, receipt.kept, receipt.compacted) == (EVENTS, 1, 1, True)
    assert receipt.bytes > len(MINE) + len(SECRET)
    assert (data / "log.db").stat().st_size < before - 60_000
    left = [path.read_bytes() for path in (data / "blobs").rglob("*") if path.is_file()]
    assert left == [SHARED]


async def test_what_is_left_is_an_empty_run_in_the_trash(data: Path) -> None:
    """Verify proves all of it; the view is a tombstone that counts nothing; the receipt says what went, why and by whom."""
    receipt = await purged(data)
    run = await folded(data)
    assert (run.deleted, run.purged > 0, run.late, run.unknown, run.name, run.parameters, run.children) == (12, True, 0, 0, "", {}, 0)
    async with opened(data) as log:
        batches = [batch async for batch in log.read(stream=STREAM)]
        (said,) = batches[-1].recorded()
        assert (said.offset, said.actor) == (receipt.offset, "ann")
        assert isinstance(said.event, t.RunPurged)
        assert (said.event.reason, said.event.events, said.event.blobs) == ("the data had to go", EVENTS, 1)
        assert said.event.bytes == receipt.bytes
        versions = [recorded.version for batch in batches for recorded in batch.recorded()]
        assert versions == list(range(1, len(versions) + 1))
        offsets = [recorded.offset async for batch in log.read() for recorded in batch.recorded()]
        assert offsets == list(range(1, log.head.offset + 1))
        kept = {type(event) for batch in batches for event in batch.events}
        assert kept == {t.Redacted, t.RunDeleted, t.RunPurged}


async def test_nothing_brings_a_purged_run_back(data: Path) -> None:
    """A restore recorded after all is kept and has no effect; what came late is purged by another purge, with a receipt of its own."""
    await purged(data)
    with pytest.raises(Conflict, match="was purged before"):
        await purged(data)
    async with opened(data) as log:
        late: list[t.Event | t.Unknown] = [t.RunRestored(time=20), t.ResultLogged(time=21, key="late", value=SECRET[:40])]
        await log.append(New(stream=STREAM, producer="p3", sequence=1, events=late))
    run = await folded(data)
    assert (run.deleted, run.late, list(run.results)) == (12, 1, ["late"])
    assert (await purged(data)).events == 2
    assert not (await folded(data)).results


async def test_only_the_trash_is_purged(data: Path) -> None:
    """A run that is not in the trash, or is none, is refused with a sentence, and nothing of it changes."""
    async with opened(data) as log:
        head = log.head
        with pytest.raises(Conflict, match="run p/other is not in the trash: delete it first"):
            await purge(log, Blobs(data / "blobs"), "p", "other", reason="x")
        with pytest.raises(NotFound, match="there is no run p/none"):
            await purge(log, Blobs(data / "blobs"), "p", "none", reason="x")
        assert log.head == head


@pytest.mark.parametrize("batches", [1, 2, 4, 5])
async def test_an_interrupted_purge_is_finished_by_the_next(data: Path, batches: int) -> None:
    """Whenever a purge is cancelled, all that is left verifies, and purging again removes the rest."""
    done = 0
    async with opened(data) as log:
        with anyio.CancelScope() as scope:

            def count(what: str, _done: int, _of: int) -> None:
                nonlocal done
                done += what == "removing events"
                if done == batches:
                    scope.cancel()

            await purge(log, Blobs(data / "blobs"), "p", "u", reason="x", progress=count)
        assert scope.cancelled_caught
        assert log.head.offset > 2018
    receipt = await purged(data)
    assert receipt.events < EVENTS
    assert (await folded(data)).purged
    assert holding(data, SECRET) == []
    assert [path.read_bytes() for path in (data / "blobs").rglob("*") if path.is_file()] == [SHARED]
