"""Ending a run from elsewhere: its job hears of it and stops, wherever it works and wherever it records."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import tracker
from tests.executors.conftest import Running, Server, run_at, started
from tests.sdk.conftest import Job, job
from tracker import aio
from tracker.errors import Conflict, InvalidRequest, NotFound

__all__ = ["job"]


def endless(context: tracker.Context) -> None:
    """Work for ever."""
    context.log_result("started", 1)
    while True:
        time.sleep(0.01)


async def endless_too(context: aio.Context) -> None:
    """Wait for ever."""
    context.log_result("started", 1)
    await asyncio.sleep(600)


@pytest.mark.parametrize("handler", [endless, endless_too])
@pytest.mark.parametrize("subprocess", [False, True])
def test_abort(handler: Callable[..., Any], subprocess: bool) -> None:
    """A run that works, in process or out of it, is aborted with a reason, keeps what it recorded, and cannot be aborted again."""
    running = Running(handler, "aaa", subprocess=subprocess)
    started("aaa")
    tracker.abort_run("aaa", "p", reason="enough")
    run = running.ended()
    assert (run.status.state, run.status.error) == ("aborted", "enough")
    shown = run_at("aaa")
    assert (shown["state"], shown["error"], shown["results"]) == ("aborted", "enough", {"started": 1})
    with pytest.raises(Conflict, match="has ended: it is aborted"):
        tracker.abort_run("aaa", "p")


@pytest.mark.anyio
async def test_abort_in_async_code() -> None:
    """The async twin aborts a run of the same loop."""
    task = {"metadata": {"uid": "aaa", "project": "p"}}
    run: Any = None

    async def work() -> None:
        nonlocal run
        run = await aio.run_function(endless_too, task, raise_on_failure=False)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        await asyncio.to_thread(started, "aaa")
        await aio.abort_run("aaa", "p", reason="enough")
    assert (run.status.state, run.status.error) == ("aborted", "enough")


def test_abort_through_a_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that records to a server hears of an abort that somebody asked the server for."""
    running = Running(endless, "bbb", uri=server.uri)
    started("bbb", uri=server.uri)
    tracker.abort_run("bbb", "p", reason="over there", uri=server.uri)
    assert running.ended().status.error == "over there"


def test_abort_by_a_process_that_does_not_hold_the_directory(job: Job, tmp_path: Any) -> None:
    """The run of a process that holds the directory is aborted by another one, and the other way round."""
    uri = str(tmp_path / "data")
    running = Running(endless, "ccc")
    started("ccc")
    other = job(uri, "import tracker\ntracker.abort_run('ccc', 'p', reason='from outside')\n")
    assert running.ended().status.error == "from outside"
    assert other.wait(60) == 0, other.stderr.read() if other.stderr else ""
    code = """
        import time, tracker
        def endless(context):
            context.log_result("started", 1)
            while True:
                time.sleep(0.01)
        task = {"metadata": {"uid": "ddd", "project": "p"}}
        run = tracker.run_function(endless, task, raise_on_failure=False)
        print(run.status.state, run.status.error)
    """
    other = job(uri, code)
    started("ddd")
    tracker.abort_run("ddd", "p", reason="from inside")
    out, error = other.communicate(timeout=60)
    assert "aborted from inside" in out, error


def test_abort_of_one_iteration() -> None:
    """One iteration is aborted alone; the others go on, and the run ends after them."""

    def work(context: tracker.Context, x: int) -> None:
        context.log_result("started", x)
        while x == 1:
            time.sleep(0.01)

    running = Running(work, "eee", hyperparams={"x": [1, 2]})
    started("eee", iteration=1)
    tracker.abort_run("eee", "p", iter=1, reason="this one only")
    running.ended()
    assert [run_at("eee", iteration=n)["state"] for n in (1, 2)] == ["aborted", "completed"]


def test_abort_of_what_is_not_there() -> None:
    """An unknown run is not found; a bad name or number is refused."""
    tracker.run_function(lambda: None, project="p", name="other")
    with pytest.raises(NotFound):
        tracker.abort_run("nobody", "p")
    with pytest.raises(InvalidRequest):
        tracker.abort_run("../x", "p")
    with pytest.raises(InvalidRequest):
        tracker.abort_run("aaa", "p", iter=-1)


def test_a_run_whose_target_is_away_goes_on() -> None:
    """Nobody can be heard while the server is away; the work is done all the same."""
    run = tracker.run_function(lambda: 7, project="p", uri="http://127.0.0.1:9", raise_on_failure=False)
    assert (run.status.state, run.status.results) == ("completed", {"return": 7})
