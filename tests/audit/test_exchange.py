"""A log can be carried away as text and brought back, whole, and a file that is not whole is noticed."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events import types as t
from events.log import EventLog, open_log
from events.record import Batch, New
from events.sqlite import open_sqlite
from tracker.audit.exchange import Header, Imported, export, merge, open_source, restore
from tracker.audit.ndjson import Malformed

pytestmark = pytest.mark.anyio


async def fill(log: EventLog, producer: str = "p1") -> None:
    """Two runs by one producer, with values JSON cannot say and an event of a newer version."""
    created: list[t.Event | t.Unknown] = [t.RunCreated(time=1, name="r", parameters={"lr": math.nan, "raw": b"\xff"})]
    await log.append(New(stream="run/p/a", producer=producer, sequence=1, events=created))
    await log.append(New(stream="run/p/b", producer=producer, sequence=2, events=created, actor="ada"))
    points: list[t.Event | t.Unknown] = [t.MetricLogged(time=i, key="m", value=i / 7, step=i) for i in range(1500)]
    await log.append(New(stream="run/p/a", producer=producer, sequence=3, events=points))
    newer: list[t.Event | t.Unknown] = [t.Unknown(type="run.teleported", data={"type": "run.teleported", "time": 4, "to": b"\x00"})]
    await log.append(New(stream="run/p/a", producer=producer, sequence=1503, events=newer))


async def exported(path: Path, stream: str | None = None, after: int = 0) -> list[bytes]:
    """The lines of an export of the log at `path`."""
    async with open_sqlite(path, write=True) as store, open_log(store) as log:
        header = Header(run_tracker_export=1, after=after, until=log.head.offset, stream=stream)
        text = b"".join([chunk async for chunk in export(log.read(after, stream=stream), header)])
    return text.splitlines(keepends=True)


async def every(lines: list[bytes]) -> AsyncIterator[bytes]:
    """The lines, one by one, as a file gives them."""
    for line in lines:
        yield line


async def merged(lines: list[bytes], path: Path) -> Imported:
    """Import the lines into the log at `path`."""
    async with open_sqlite(path, write=True) as store, open_log(store) as log:
        return await merge(await open_source(every(lines)), log)


async def stored(path: Path) -> list[Batch]:
    """All batches of the log at `path`."""
    async with open_sqlite(path, write=False) as store:
        return await store.read(0, 10_000)


@pytest.fixture
async def lines(tmp_path: Path) -> list[bytes]:
    """A whole export."""
    async with open_sqlite(tmp_path / "log.db", write=True) as store, open_log(store) as log:
        await fill(log)
    return await exported(tmp_path / "log.db")


async def test_a_backup_restored_is_the_log_it_was_taken_from(lines: list[bytes], tmp_path: Path) -> None:
    """Into an empty directory a whole export comes back byte for byte: places, times, actors, bodies and chain."""
    async with open_sqlite(tmp_path / "new.db", write=True) as store:
        done = await restore(await open_source(every(lines)), store)
    assert done == Imported(events=1503, duplicates=0, restored=True, same_chain=True)
    assert await stored(tmp_path / "new.db") == await stored(tmp_path / "log.db")


async def test_importing_twice_changes_nothing(lines: list[bytes], tmp_path: Path) -> None:
    """Into a log that has events, each event is recorded once, however often the file is imported."""
    async with open_sqlite(tmp_path / "new.db", write=True) as store, open_log(store) as log:
        await log.append(New(stream="run/p/z", producer="other", sequence=1, events=[t.RunCreated(time=1, name="z")]))
    assert await merged(lines, tmp_path / "new.db") == Imported(events=1503, duplicates=0, restored=False)
    assert await merged(lines, tmp_path / "new.db") == Imported(events=0, duplicates=1503, restored=False)
    bodies = [e.event for batch in await stored(tmp_path / "new.db") for e in batch.recorded() if e.stream != "run/p/z"]
    assert [repr(e) for e in bodies] == [repr(e.event) for batch in await stored(tmp_path / "log.db") for e in batch.recorded()]


async def test_one_run_can_be_carried_to_another_log(lines: list[bytes], tmp_path: Path) -> None:
    """A run exported alone arrives whole, once, though its producer also wrote other runs; never onto the run it came from."""
    del lines
    alone = await exported(tmp_path / "log.db", stream="run/p/b")
    assert (await merged(alone, tmp_path / "new.db")).events == 1
    assert (await merged(alone, tmp_path / "new.db")).duplicates == 1
    with pytest.raises(Malformed, match="not of this export"):
        await merged(alone, tmp_path / "log.db")


async def test_what_came_later_is_added_to_what_was_there(lines: list[bytes], tmp_path: Path) -> None:
    """A later part of a log follows an earlier backup; without the earlier one it is refused and says so."""
    async with open_sqlite(tmp_path / "new.db", write=True) as store:
        await restore(await open_source(every(lines)), store)
    async with open_sqlite(tmp_path / "log.db", write=True) as store, open_log(store) as log:
        await log.append(New(stream="run/p/a", producer="p1", sequence=1504, events=[t.RunCommitted(time=9)]))
    later = await exported(tmp_path / "log.db", after=1503)
    assert (await merged(later, tmp_path / "new.db")).events == 1
    with pytest.raises(Malformed, match="import the part before it first"):
        await merged(later, tmp_path / "other.db")


@pytest.mark.parametrize("cut", [0, 1, 2, 700, -1])
async def test_a_file_cut_short_is_never_taken_for_a_whole_one(lines: list[bytes], tmp_path: Path, cut: int) -> None:
    """An export without its end is refused, naming the line where it stops."""
    with pytest.raises(Malformed, match="line"):
        await merged(lines[:cut], tmp_path / "new.db")


@pytest.mark.parametrize("gone", [1, 2, 800])
async def test_a_missing_line_is_noticed(lines: list[bytes], tmp_path: Path, gone: int) -> None:
    """A line taken out of the middle is located, both ways of importing."""
    holed = lines[:gone] + lines[gone + 1 :]
    with pytest.raises(Malformed):
        await merged(holed, tmp_path / "new.db")
    with pytest.raises(Malformed, match="was expected here"):
        async with open_sqlite(tmp_path / "other.db", write=True) as store:
            await restore(await open_source(every(holed)), store)
