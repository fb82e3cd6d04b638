"""SIGTERM: an orderly end loses nothing and comes soon, also when something worse follows it."""

import os
import random
import signal
import time
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from tests.crash.checker import History, judge
from tests.crash.load import Server, made, users
from tests.crash.nursery import Nursery
from tests.crash.proof import prove

pytestmark = pytest.mark.anyio
STOPS = int(os.environ.get("TRACKER_STOPS", "8"))
BOUND = 10.0 + 2.0  # what is promised, and what a busy machine may add


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_told_to_stop_loses_nothing_and_stops(
    nursery: Nursery, history: History, tmp_path: Path, number: signal.Signals
) -> None:
    """SIGTERM and Ctrl-C under load: nothing acknowledged is lost, followers resume elsewhere, and the exit code is 0 within the bound."""
    server = Server(nursery, tmp_path / "data")
    await server.start()
    async with users(server, history, producers=4, tails=2, seed=1) as them:
        for _ in range(STOPS):
            await them.more(200)
            began = time.monotonic()
            assert await server.end(number) == 0
            assert time.monotonic() - began < BOUND
            await server.start()
        await them.more(1)
    assert await server.end(number) == 0
    assert judge(server.data, history, made) == []
    assert await prove(server.data) == []


async def test_a_server_killed_while_it_stops_loses_nothing(nursery: Nursery, history: History, tmp_path: Path) -> None:
    """SIGTERM and, before the server is done with it, SIGKILL: nothing acknowledged is lost."""
    chance = random.Random()
    server = Server(nursery, tmp_path / "data")
    await server.start()
    async with users(server, history, producers=4, tails=1, seed=2) as them:
        for _ in range(STOPS):
            await them.more(100)
            server.alive.send(signal.SIGTERM)
            await anyio.sleep(chance.random() * 0.03)  # no synchronisation: the moment of the kill
            await server.end(signal.SIGKILL)
            await server.start()
    assert await server.end(signal.SIGTERM) == 0
    assert judge(server.data, history, made) == []
    assert await prove(server.data) == []


async def test_clients_that_do_not_read_cannot_hold_a_stopping_server(nursery: Nursery, history: History, tmp_path: Path) -> None:
    """A follower that reads nothing and a request that is never finished do not keep a server from stopping when its time is over."""
    server = Server(nursery, tmp_path / "data", drain=1.0)
    await server.start()
    async with users(server, history, producers=2, tails=0, seed=3) as them:
        await them.more(5000)
    async with (
        await anyio.connect_tcp("127.0.0.1", server.port) as deaf,
        await anyio.connect_tcp("127.0.0.1", server.port) as slow,
    ):
        host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
        await deaf.send(b"GET /v1/events?follow=true HTTP/1.1\r\n" + host + b"\r\n")
        await deaf.receive(1)
        await slow.send(b"POST /v1/events HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        began = time.monotonic()
        server.alive.send(signal.SIGTERM)
        assert await to_thread.run_sync(server.alive.wait) == 0
        assert time.monotonic() - began < 1.0 + 2.0
    assert await prove(server.data) == []
