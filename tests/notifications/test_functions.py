"""Notifications and secrets of functions that are run, in this process and in others."""

from typing import Any

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


@pytest.mark.parametrize("subprocess", [False, True])
async def test_a_failure_is_told_without_its_secrets(server: Server, receiver: Receiver, subprocess: bool) -> None:
    """A function's error is told as the run has it, with the values of secrets masked, in the error that is raised, too."""
    with pytest.raises(RunFailed) as caught:
        await aio.run_function(
            handlers.fails,
            notifications=[hook(receiver)],
            secrets=[{"kind": "inline", "source": {"PASSWORD": "canary-password"}}],
            subprocess=subprocess,
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
