"""A full disk is an input like any other."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio import to_thread

from tests.crash.checker import History, judge, stored_events
from tests.crash.load import Server, Users, batch, made, users
from tests.crash.nursery import PATIENCE, Nursery, run
from tests.crash.proof import prove

pytestmark = pytest.mark.anyio
SIZE = 6 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of six megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small file system could be mounted: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path, leave: int = 0) -> Path:
    """Take all the space but `leave` bytes."""
    ballast = place / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(os.urandom(65536))
                file.flush()
        except OSError:
            pass
    if leave:
        os.truncate(ballast, max(0, ballast.stat().st_size - leave))
    return ballast


async def refused(them: Users, producer: str) -> tuple[int, str, str]:
    """Send batches until one is refused: its status, code and message."""
    first = 1
    with anyio.fail_after(PATIENCE):
        while True:
            wanted = batch(producer, first, 200)
            them.history.note("attempt", producer=producer, first=first, count=200)
            status, reply = await them.post(msgspec.msgpack.encode({"batches": [wanted]}))
            if status != 200:
                return status, reply["error"]["code"], reply["error"]["message"]
            them.history.note("acknowledged", producer=producer, first=first, count=200, offset=reply["offset"])
            them.offset = reply["offset"]
            first += 200


async def test_a_full_disk_refuses_writes_clearly_and_reads_go_on(
    nursery: Nursery, history: History, tmp_path: Path, small_disk: Path
) -> None:
    """Without space a server says so (507), answers reads, and records again once there is space; nothing acknowledged is lost."""
    server = Server(nursery, small_disk / "data")
    await server.start()
    async with users(server, history, producers=0, tails=1, seed=0) as them:
        await them.deliver(batch("before", 1, 50))
        ballast = fill(small_disk, leave=300_000)
        status, code, message = await refused(them, "filling")
        assert (status, code) == (507, "storage_full"), message
        assert (await refused(them, "another"))[0] == 507
        async with them.session.get(f"{server.url}/v1/events?after=0") as response:
            assert response.status == 200
            assert len((await response.text()).splitlines()) == them.offset
        ballast.unlink()
        await them.deliver(batch("after", 1, 50))
    assert await server.end(signal.SIGTERM) == 0
    assert judge(server.data, history, made) == []
    assert await prove(server.data) == []


async def test_a_server_on_a_full_disk_says_so_and_starts_when_there_is_space(
    nursery: Nursery, history: History, tmp_path: Path, small_disk: Path
) -> None:
    """A server killed on a full disk has lost nothing; started there it says in one sentence what is missing, and with space it goes on."""
    server = Server(nursery, small_disk / "data")
    await server.start()
    async with users(server, history, producers=0, tails=0, seed=0) as them:
        await them.deliver(batch("before", 1, 50))
        ballast = fill(small_disk, leave=200_000)
        await refused(them, "filling")
        await server.end(signal.SIGKILL)
        fill(small_disk)
        for _ in range(2):  # it must not get worse by trying
            started = await to_thread.run_sync(run, "serve", "--data", str(server.data), "--port", "0")
            assert started.returncode == 1
            assert "is full" in started.stderr
            assert "Traceback" not in started.stderr
        ballast.unlink()
        await server.start()
        await them.deliver(batch("after", 1, 50))
    assert await server.end(signal.SIGTERM) == 0
    assert judge(server.data, history, made) == []
    assert await prove(server.data) == []


async def test_a_job_whose_journal_has_no_space_goes_on_and_counts_what_it_missed(
    nursery: Nursery, tmp_path: Path, small_disk: Path
) -> None:
    """Without space for its journal a job goes on; with space again it records how many events are missing, and has the rest in order."""
    server = Server(nursery, tmp_path / "data")
    await server.start()
    await server.end(signal.SIGTERM)  # so that everything has to wait in the journal
    ballast = fill(small_disk, leave=500_000)
    limit = 60_000
    job = nursery.spawn("crowded job", uri=server.url, journals=str(small_disk / "journals"), uid="r", limit=limit)
    assert await to_thread.run_sync(job.line) == "full"
    await to_thread.run_sync(job.stopped)
    ballast.unlink()
    await server.start()
    job.send(signal.SIGCONT)
    assert await to_thread.run_sync(job.line) == "committed"
    assert await to_thread.run_sync(job.wait) == 0
    assert await server.end(signal.SIGTERM) == 0
    events, faults = stored_events(server.data)
    assert faults == []
    steps = [event.event["step"] for event in events if event.event["type"] == "metric.logged"]
    missed = [event.event["count"] for event in events if event.event["type"] == "events.missed"]
    kept = [step for step in steps if step <= limit]
    assert steps in (kept, [*kept, limit + 1])  # what was said before the journal was tried again is missed, too
    assert kept == list(range(1, len(kept) + 1))
    assert missed
    assert len(steps) + sum(missed) == limit + 1
    assert await prove(server.data) == []
