"""One directory, one writer: whoever comes second, comes from the future, or wakes from a long sleep changes nothing."""

import signal
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from events.schema import FORMAT
from tests.crash.checker import History, judge, stored_events
from tests.crash.load import Server, made, users
from tests.crash.nursery import Nursery, run

pytestmark = pytest.mark.anyio


def fingerprints(directory: Path) -> dict[str, tuple[int, str]]:
    """What every file of a directory holds, and when it was changed."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): (path.stat().st_mtime_ns, sha256(path.read_bytes()).hexdigest()) for path in files}


async def test_a_second_writer_is_refused_and_told_who_writes(nursery: Nursery, history: History, tmp_path: Path) -> None:
    """A second server on a directory ends at once, naming the process that has it; the first one goes on, and loses nothing."""
    server = Server(nursery, tmp_path / "data")
    await server.start()
    async with users(server, history, producers=2, tails=1, seed=1) as them:
        await them.more(100)
        second = run("serve", "--data", str(server.data), "--port", "0")
        assert second.returncode != 0
        assert f"process {server.alive.pid}" in second.stderr, second.stderr
        await them.more(100)
    assert await server.end(signal.SIGTERM) == 0
    assert judge(server.data, history, made) == []


@pytest.mark.parametrize("journal", ["clean", "WAL"])
async def test_a_directory_of_a_newer_version_is_refused_and_not_touched(
    nursery: Nursery, history: History, tmp_path: Path, journal: str
) -> None:
    """An older tracker refuses a newer log by saying which version it needs; not a byte of the directory changes, after a crash or not."""
    server = Server(nursery, tmp_path / "data")
    await server.start()
    async with users(server, history, producers=1, tails=0, seed=1) as them:
        await them.more(100)
    await server.end(signal.SIGTERM if journal == "clean" else signal.SIGKILL)
    with closing(sqlite3.connect(server.data / "log.db")) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
        if journal == "clean":
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = fingerprints(server.data)
    older = run("serve", "--data", str(server.data), "--port", "0")
    assert older.returncode != 0
    assert f"format {FORMAT + 1}" in older.stderr
    assert {name: found for name, found in fingerprints(server.data).items() if name != "lease"} == {
        name: found for name, found in before.items() if name != "lease"
    }


def test_a_writer_that_wakes_after_it_was_replaced_can_write_nothing(nursery: Nursery, tmp_path: Path) -> None:
    """A writer sleeps (a laptop's lid, a debugger) and its directory is taken over: when it wakes, it commits nothing and says why."""
    (tmp_path / "data").mkdir()
    sleeper = nursery.spawn("append", data=str(tmp_path / "data"), count=1000, producer="sleeper")
    assert sleeper.line() == "ready"
    sleeper.stopped()
    (tmp_path / "data" / "lease").unlink()  # as an administrator does who thinks it dead
    heir = nursery.spawn("append", data=str(tmp_path / "data"), count=20, producer="heir")
    assert heir.line() == "ready"
    heir.stopped()
    heir.send(signal.SIGCONT)
    assert heir.wait() == 0
    sleeper.send(signal.SIGCONT)
    assert sleeper.line() == "Fenced"
    assert sleeper.wait() == 1
    events, faults = stored_events(tmp_path / "data")
    assert faults == []
    assert [event.producer for event in events] == ["heir"] * 20


def test_a_stopped_writer_keeps_its_directory(nursery: Nursery, tmp_path: Path) -> None:
    """While a writer only sleeps, nobody takes its directory: it goes on where it was."""
    (tmp_path / "data").mkdir()
    sleeper = nursery.spawn("append", data=str(tmp_path / "data"), count=5)
    assert sleeper.line() == "ready"
    sleeper.stopped()
    second = nursery.spawn("append", data=str(tmp_path / "data"), count=5, producer="second")
    assert second.line() == "DirectoryBusy"
    sleeper.send(signal.SIGCONT)
    assert sleeper.wait() == 0
    events, faults = stored_events(tmp_path / "data")
    assert faults == []
    assert len(events) == 5
