"""The console of a run, followed across the deaths of its server."""

import os
import random
import signal
from hashlib import sha256
from pathlib import Path

import aiohttp
import anyio
import pytest

from tests.crash.checker import History, stored_events
from tests.crash.load import CUT, Server, users
from tests.crash.nursery import Nursery
from tests.crash.proof import prove

pytestmark = pytest.mark.anyio
KILLS = int(os.environ.get("TRACKER_CONSOLE_KILLS", "25"))
STREAM = "run/p/console"


class Tail:
    """Follows a console from a byte on, resuming at the byte after the last it got."""

    def __init__(self, server: Server, start: int) -> None:
        self.start, self.got = start, b""
        self._server = server

    async def follow(self, session: aiohttp.ClientSession) -> None:
        """Until the server says that the run has ended and all is out."""
        while True:
            await self._server.running.wait()
            url = f"{self._server.url}/v1/projects/p/runs/console/log?follow=true&offset={self.start + len(self.got)}"
            try:
                async with session.get(url) as response:
                    if not self.got and response.status in (404, 416):  # there is no such byte yet
                        await anyio.sleep(0.01)
                        continue
                    assert response.status == 200, (response.status, await response.text())
                    async for chunk in response.content.iter_any():
                        self.got += chunk
                return
            except CUT:
                await anyio.sleep(0.005)


async def test_a_console_followed_across_kills_is_the_console(nursery: Nursery, history: History, tmp_path: Path) -> None:
    """Bytes received equal bytes stored, though the server is killed again and again: a tail resumes at its byte, in the middle of a
    character too, and ends by itself when the run has ended."""
    chance = random.Random()
    server = Server(nursery, tmp_path / "data")
    await server.start()
    printed = b""
    sequence = 0
    async with users(server, history, producers=0, tails=0, seed=0) as them:

        async def record(event: dict[str, object]) -> None:
            nonlocal sequence
            sequence += 1
            await them.deliver({"stream": STREAM, "producer": "printer", "sequence": sequence, "events": [{"time": sequence, **event}]})

        async def print_some() -> None:
            nonlocal printed
            data = chance.choice((b"\xf0\x9f\x8e\x89 epoch \r", b"\x00\xff\xfe", b"line\n", chance.randbytes(chance.randrange(1, 20_000))))
            printed += data
            await record({"type": "console.written", "data": data})

        tails = [Tail(server, start) for start in (0, 0, 1, 4)]
        async with anyio.create_task_group() as following:
            for tail in tails:
                following.start_soon(tail.follow, them.session)
            for _ in range(KILLS):
                for _ in range(chance.randrange(1, 30)):
                    await print_some()
                await anyio.sleep(chance.random() * 0.01)  # no synchronisation: the moment of the kill
                await server.end(signal.SIGKILL)
                await server.start()
            await record({"type": "state.changed", "state": "completed"})
    assert await server.end(signal.SIGTERM) == 0
    events, faults = stored_events(server.data)
    stored = b"".join(event.event["data"] for event in events if event.event["type"] == "console.written")
    assert faults == []
    assert sha256(stored).hexdigest() == sha256(printed).hexdigest()
    for tail in tails:
        assert len(tail.got) == len(stored) - tail.start
        assert sha256(tail.got).hexdigest() == sha256(stored[tail.start :]).hexdigest()
    assert await prove(server.data) == []
