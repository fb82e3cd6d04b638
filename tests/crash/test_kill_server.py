"""kill -9 of the server, again and again, under load."""

import os
import random
import signal
from pathlib import Path

import anyio
import pytest

from tests.crash.checker import History, judge
from tests.crash.load import Server, made, users
from tests.crash.nursery import Nursery
from tests.crash.proof import prove

pytestmark = pytest.mark.anyio
KILLS = int(os.environ.get("TRACKER_KILLS", "160"))


async def test_nothing_acknowledged_is_lost_however_often_the_server_is_killed(nursery: Nursery, history: History, tmp_path: Path) -> None:
    """What the server has acknowledged is stored, once, in order, and every tail that resumes sees all of it, whenever kill -9 comes."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = Server(nursery, tmp_path / "data")
    await server.start()
    async with users(server, history, producers=4, tails=2, seed=seed) as them:
        for _ in range(KILLS):
            await them.more(chance.choice((1, 50, 500, 2000)))
            await anyio.sleep(chance.random() * 0.02)  # no synchronisation: the moment of the kill
            assert await server.end(signal.SIGKILL) == -signal.SIGKILL
            await server.start()
        await them.more(1)
    assert await server.end(signal.SIGTERM) == 0
    assert judge(server.data, history, made) == []
    assert await prove(server.data) == []
