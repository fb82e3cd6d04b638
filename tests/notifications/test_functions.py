"""Notifications and secrets of functions that are run, in this process and in others."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.notifications import handlers
from tests.notifications.conftest import Receiver, Server, until
from tracker import aio
from tracker.errors import RunFailed
from tracker.model.notification import Notification

pytestmark = pytest.mark.anyio


def hook(receiver: Receiver) -> Notification:
    """A notification of all ends."""
    return Notification(
        kind="webhook",
        name="hook",
        when=["running", "completed", "error", "aborted"],
        message="{{ state }} {{ error }}",
        secret_params={"url": receiver.url + "/canary-hook"},
    )


def told(server: Server, uid: str, count: int) -> list[tuple[str, str]]:
    """States that were told, and how that went, once there are so many."""

    def found() -> list[tuple[str, str]]:
        events = [e["event"] for e in server.events(uid, "default") if e["event"]["type"] == "notification.sent"]
        return [(event["state"], event["status"]) for event in events] if len(events) >= count else []

    events: list[tuple[str, str]] = until(found)
    return events


@pytest.mark.parametrize(
    "how", [{}, {"subprocess": True}, {"hyperparams": {"lr": [0.1, 0.2]}}, {"hyperparams": {"lr": [0.1, 0.2]}, "subprocess": True}]
)
async def test_a_run_is_told_once(server: Server, receiver: Receiver, how: dict[str, Any]) -> None:
    """Wherever a function runs, and however many iterations it has, its run's states are told once each, by who runs it."""
    run = await aio.run_function(handlers.train, notifications=[hook(receiver)], uri=server.uri, **how)
    assert told(server, run.uid(), 2) == [("running", "sent"), ("completed", "sent")]
    assert [body["state"] for body in receiver.bodies] == ["running", "completed"]


@pytest.mark.parametrize("apart", [False, True])
async def test_a_failure_is_told_without_its_secrets(server: Server, receiver: Receiver, apart: bool) -> None:
    """A function's error is told as the run has it, with the values of secrets masked, in the error that is raised, too."""
    with pytest.raises(RunFailed) as caught:
        await aio.run_function(
            handlers.fails,
            notifications=[hook(receiver)],
            secrets=[{"kind": "inline", "source": {"PASSWORD": "canary-password"}}],
            subprocess=apart,
            uri=server.uri,
        )
    assert "canary" not in str(caught.value)
    assert "no access with ***" in str(caught.value)
    assert told(server, caught.value.run.uid(), 2) == [("running", "sent"), ("error", "sent")]
    assert receiver.bodies[1]["message"] == "error ValueError: no access with ***"


async def test_a_death_is_told(server: Server, receiver: Receiver) -> None:
    """When the process of a function is killed, who started it tells so."""
    run = await aio.run_function(handlers.dies, notifications=[hook(receiver)], subprocess=True, uri=server.uri, raise_on_failure=False)
    assert told(server, run.uid(), 2)[-1] == ("error", "sent")
    assert "SIGKILL" in receiver.bodies[-1]["message"]
    assert [body["state"] for body in receiver.bodies].count("error") == 1


async def test_a_threshold_is_told(server: Server, receiver: Receiver) -> None:
    """A function that is stopped for taking too long is told to be aborted, once."""
    run = await aio.run_function(
        handlers.hangs, notifications=[hook(receiver)], state_thresholds={"executing": "1s"}, uri=server.uri, raise_on_failure=False
    )
    assert told(server, run.uid(), 2) == [("running", "sent"), ("aborted", "sent")]


SLEEPER = """
import sys
import anyio, tracker

async def sleeper(context):
    await anyio.sleep(60)

hook = {"name": "hook", "kind": "webhook", "when": ["lost"], "message": "{{ error }}", "params": {"url": sys.argv[1]}}
tracker.run_function(sleeper, notifications=[hook])
"""


def test_a_run_that_was_lost_is_told(tmp_path: Path, receiver: Receiver) -> None:
    """When a machine sleeps and its server finds the run lost, that is told as soon as the run's process hears of it."""
    server = Server(tmp_path / "data")
    server.start(TRACKER_LOST_AFTER="3")
    job = subprocess.Popen([sys.executable, "-c", SLEEPER, receiver.url], env={**os.environ, "TRACKER_URI": server.uri}, cwd=tmp_path)
    try:
        uid = until(lambda: (runs := server.get("/v1/projects/default/runs")) and runs["runs"])[0]["uid"]
        until(lambda: any(event["event"]["type"] == "attempt.started" for event in server.events(uid, "default")))
        job.send_signal(signal.SIGSTOP)
        until(lambda: any(event["event"]["type"] == "run.lost" for event in server.events(uid, "default")))
        job.send_signal(signal.SIGCONT)
        assert told(server, uid, 1) == [("lost", "sent")]
        assert receiver.bodies[0]["message"] == "no sign of life for 3 s"
    finally:
        assert server.process is not None
        for process in (job, server.process):
            process.kill()
            process.wait(15)


async def test_an_abort_from_elsewhere_is_told(server: Server, receiver: Receiver) -> None:
    """A run that somebody else aborts is told to be aborted, with the reason, by who runs it."""
    runs: list[str] = []

    async def work(context: aio.Context) -> None:
        runs.append(context.uid)
        await anyio.sleep(60)

    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await aio.run_function(work, notifications=[hook(receiver)], uri=server.uri, raise_on_failure=False)

        tasks.start_soon(run)
        await anyio.to_thread.run_sync(until, lambda: runs and server.run(runs[0], "default"))
        request = urllib.request.Request(
            f"{server.uri}/v1/projects/default/runs/{runs[0]}/abort", b'{"reason": "enough"}', {"Content-Type": "application/json"}
        )
        await anyio.to_thread.run_sync(lambda: urllib.request.urlopen(request, timeout=10).close())
    assert await anyio.to_thread.run_sync(told, server, runs[0], 2) == [("running", "sent"), ("aborted", "sent")]
    assert receiver.bodies[-1]["message"] == "aborted enough"


@pytest.mark.parametrize("how", [{}, {"subprocess": True}, {"hyperparams": {"lr": [0.1, 0.2]}, "subprocess": True}])
async def test_secrets_reach_every_process_and_no_record(server: Server, how: dict[str, Any]) -> None:
    """A function gets its secrets in whatever process it runs, parameters arrive unmasked, and no event holds a value."""
    secrets = [{"kind": "inline", "source": {"PASSWORD": "canary-password"}}]
    run = await aio.run_function(handlers.leaks, secrets=secrets, uri=server.uri, watch=False, **how)
    uid = run.uid()
    until(lambda: (shown := server.run(uid, "default")) and shown["state"] == "completed")
    events = str(server.events(uid, "default"))
    assert "canary" not in events
    assert server.bytes(f"/v1/projects/default/runs/{uid}/log").count(b"marker and ***") == (2 if "hyperparams" in how else 1)
