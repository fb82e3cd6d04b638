"""Runs that fall silent, and runs that are only quiet."""

import anyio
import pytest

from tests.http.conftest import Client, Serving

pytestmark = pytest.mark.anyio

STARTED = [{"type": "run.created", "name": "n"}, {"type": "attempt.started", "attempt": "a1"}]


async def state(client: Client, uid: str) -> str:
    """The state of a run."""
    return str((await client.get(f"/v1/projects/p/runs/{uid}"))["state"])


async def until(client: Client, uid: str, wanted: str) -> None:
    """Return when the run is in a state."""
    with anyio.fail_after(20):
        while await state(client, uid) != wanted:  # noqa: ASYNC110 - the condition is in another process or a clock
            await anyio.sleep(0.05)


async def test_silent_run_is_lost(serving: Serving) -> None:
    """A running run without a sign of life is marked lost with the evidence, and a later event revives it; one that ended is left alone."""
    async with serving(lost_after=0.5) as client:
        await client.record("run/p/silent", STARTED, producer="p1")
        await client.record("run/p/ended", [*STARTED, {"type": "state.changed", "state": "completed"}], producer="p2")
        await until(client, "silent", "lost")
        async with client.session.get(client.url + "/v1/projects/p/runs/silent/events?types=run.lost") as reply:
            event = (await reply.json(content_type=None))["event"]
        assert event["last_sign"] > 0
        assert "0.5 s" in event["reason"]
        await client.record("run/p/silent", [{"type": "metric.logged", "key": "k", "value": 1}], sequence=3, producer="p1")
        await until(client, "silent", "running")
        assert await state(client, "ended") == "completed"


async def test_heartbeats_keep_a_quiet_run(serving: Serving) -> None:
    """A run that has nothing to say but sends heartbeats is not lost, while its silent neighbour is."""
    async with serving(lost_after=2.0) as client:
        await client.record("run/p/quiet", STARTED, producer="p1")
        await client.record("run/p/silent", STARTED, producer="p2")
        with anyio.fail_after(20):
            while await state(client, "silent") != "lost":
                assert (await client.ask("POST", "/v1/heartbeats", {"producer": "p1", "runs": [{"project": "p", "uid": "quiet"}]}))[
                    0
                ] == 200
                await anyio.sleep(0.1)
        assert await state(client, "quiet") == "running"


async def test_lease_after_restart(serving: Serving) -> None:
    """A run left running when the server stopped gets a whole lease after its start, and is lost when that runs out."""
    async with serving() as client:
        await client.record("run/p/u", STARTED)
    async with serving(lost_after=1.5) as client:
        assert await state(client, "u") == "running"
        await until(client, "u", "lost")
