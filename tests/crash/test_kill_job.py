"""kill -9 of a job, again and again: what a call of the SDK has taken is stored in the end, once, wherever the job records to."""

import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from tests.crash.checker import Stored, stored_events
from tests.crash.load import Server
from tests.crash.nursery import Nursery, run
from tests.crash.proof import prove

pytestmark = pytest.mark.anyio
KILLS = int(os.environ.get("TRACKER_JOB_KILLS", "30"))
CALLS = 4000  # of log_metric in one job; their counts fit into a pipe, so that the job never waits for the test


def kill_jobs(nursery: Nursery, uri: str, journals: Path, kills: int = KILLS, broken: str = "") -> dict[str, int]:
    """Jobs that record, each killed at some moment; by run, how many calls had returned."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    returned: dict[str, int] = {}
    for number in range(kills):
        uid = f"run-{number}"
        child = nursery.spawn("job", uri=uri, journals=str(journals), uid=uid, limit=CALLS, broken=broken)
        if chance.random() < 0.9:
            assert child.line() == "ready"
            last = chance.randrange(CALLS)
            while int(child.line()) < last:
                pass
        child.kill()
        said = child.last_line()
        child.close()
        returned[uid] = int(said) if said.isdigit() else CALLS if said == "committed" else 0
    return returned


def unkept(events: list[Stored], returned: dict[str, int]) -> list[str]:
    """What is not as the jobs were told."""
    faults = []
    for uid, count in returned.items():
        points = [event.event for event in events if event.stream == f"run/p/{uid}" and event.event["type"] == "metric.logged"]
        steps = [(point["step"], point["value"]) for point in points]
        if steps != [(step, step / 2) for step in range(1, len(steps) + 1)]:
            faults.append(f"{uid}: its points are not 1, 2, 3 ..., each once: {steps[:20]}")
        if not count <= len(steps) <= count + 1:
            faults.append(f"{uid}: {count} calls had returned, {len(steps)} points are stored")
    return faults


@asynccontextmanager
async def dying(server: Server) -> AsyncIterator[None]:
    """A server that is killed and started again for as long as the block lasts."""

    async def die() -> None:
        while True:
            with anyio.CancelScope(shield=True):
                await server.end(signal.SIGKILL)
                await server.start()
            await anyio.sleep(0.2)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(die)
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def away(server: Server) -> AsyncIterator[None]:
    """A server that is down for as long as the block lasts."""
    await server.end(signal.SIGTERM)
    yield
    await server.start()


@pytest.mark.parametrize("trouble", [nullcontext, away, dying])
async def test_what_a_killed_job_had_logged_reaches_the_server(
    nursery: Nursery, tmp_path: Path, trouble: Callable[[Server], AbstractAsyncContextManager[None]]
) -> None:
    """After log_metric has returned, kill -9 loses nothing, whether the server runs, is away, or is killed as well: the next job, or
    `tracker sync`, delivers it, once."""
    server = Server(nursery, tmp_path / "data")
    await server.start()
    async with trouble(server):
        returned = await to_thread.run_sync(kill_jobs, nursery, server.url, tmp_path / "journals")
    synced = await to_thread.run_sync(lambda: run("sync", "--uri", server.url, TRACKER_JOURNALS=str(tmp_path / "journals")))
    assert synced.returncode == 0, synced.stderr + synced.stdout
    assert list((tmp_path / "journals").glob("*.journal")) == []
    assert await server.end(signal.SIGTERM) == 0
    events, faults = stored_events(server.data)
    assert [*faults, *unkept(events, returned)] == []
    assert await prove(server.data) == []


async def test_what_a_killed_job_had_logged_into_a_directory_is_stored(nursery: Nursery, tmp_path: Path) -> None:
    """A job that records to a directory without a server is killed: what it had logged is stored by whoever opens the directory next."""
    data = tmp_path / "data"
    returned = await to_thread.run_sync(kill_jobs, nursery, str(data), tmp_path / "journals")
    synced = await to_thread.run_sync(run, "sync", "--uri", str(data))
    assert synced.returncode == 0, synced.stderr + synced.stdout
    assert list((data / "journals").glob("*.journal")) == []
    events, faults = stored_events(data)
    assert [*faults, *unkept(events, returned)] == []
    assert await prove(data, caught_up=False) == []


async def test_an_sdk_that_writes_late_is_found_out(nursery: Nursery, tmp_path: Path) -> None:
    """These tests fail on an SDK that returns before its journal is written: so they would notice if ours ever did."""
    data = tmp_path / "data"
    returned = await to_thread.run_sync(kill_jobs, nursery, str(data), tmp_path / "journals", 5, "write the journal late")
    await to_thread.run_sync(run, "sync", "--uri", str(data))
    events, _ = stored_events(data)
    assert any("calls had returned" in fault for fault in unkept(events, returned))
