"""Users of a server that may die at any moment: producers that send again until they know, tails that resume where they were.

Everything they do and see goes to the history. What a producer sends under a sequence is a function of both, so the judge knows it, too.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import msgspec
from anyio import to_thread

from tests.crash.checker import History
from tests.crash.nursery import PATIENCE, Child, Nursery

PACKED = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
LATER = (429, 503, 507)
CUT = (aiohttp.ClientError, ConnectionError, TimeoutError)


def made(producer: str, sequence: int) -> dict[str, Any]:
    """The event a producer sends under a sequence: mostly metrics, some console, a few results."""
    if sequence % 17 == 0:
        return {"type": "console.written", "time": sequence, "data": f"{producer} says {sequence} \x00\n".encode() + b"\xff"}
    if sequence % 29 == 0:
        return {"type": "result.logged", "time": sequence, "key": "last", "value": {"sequence": sequence}}
    return {"type": "metric.logged", "time": sequence, "key": f"m{sequence % 3}", "value": sequence / 7, "step": sequence}


def batch(producer: str, first: int, count: int) -> dict[str, Any]:
    """Consecutive events of a producer, for one of its two runs."""
    events = [made(producer, sequence) for sequence in range(first, first + count)]
    return {"stream": f"run/p/{producer}-{first % 2}", "producer": producer, "sequence": first, "events": events}


class Server:
    """A server on a data directory that is started, killed and started again at one address."""

    def __init__(self, nursery: Nursery, data: Path, *, broken: str = "", drain: float = 10.0) -> None:
        self.data, self.port = data, 0
        self.child: Child | None = None
        self.running = anyio.Event()
        self._nursery, self._options = nursery, {"broken": broken, "drain": drain}

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> Child:
        """The process that serves."""
        assert self.child is not None
        return self.child

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self.child = self._nursery.spawn("serve", data=str(self.data), port=self.port, **self._options)
        url = await to_thread.run_sync(self.child.line)
        assert url.startswith("http"), f"the server did not start: {self._nursery.errors.read_text()[-3000:]}"
        self.port = int(url.rpartition(":")[2])
        self.running.set()

    async def end(self, number: int) -> int:
        """Send it a signal and wait for its end; its exit code."""
        self.running = anyio.Event()
        self.alive.send(number)
        code = await to_thread.run_sync(self.alive.wait)
        self.alive.close()
        return code


class Users:
    """Producers and tails of one server."""

    def __init__(self, server: Server, history: History, session: aiohttp.ClientSession) -> None:
        self.server, self.history, self.session = server, history, session
        self.acknowledged = 0  # events
        self.stopping = False
        self.offset = 0  # the greatest acknowledged
        self._progress = anyio.Event()

    async def produce(self, producer: str, seed: int) -> None:
        """Send batches of all sizes until told to stop, each until it is acknowledged; now and then one that is known already."""
        chance = random.Random(f"{seed} {producer}")
        first = 1
        while not self.stopping:
            count = chance.choice((1, 1, 2, 7, 40, 300))
            await self.deliver(batch(producer, first, count))
            if chance.random() < 0.1:
                await self.deliver(batch(producer, first, count))
            first += count

    async def deliver(self, wanted: dict[str, Any]) -> None:
        """Send a batch until it is acknowledged, whatever happens to the server."""
        name = {"producer": wanted["producer"], "first": wanted["sequence"], "count": len(wanted["events"])}
        body = msgspec.msgpack.encode({"batches": [wanted]})
        while True:
            await self.server.running.wait()
            self.history.note("attempt", **name)
            try:
                status, reply = await self.post(body)
            except CUT:
                self.history.note("unknown", **name)
                await anyio.sleep(0.005)  # a dead server is noticed before it is started again
                continue
            if status == 200:
                self.history.note("acknowledged", **name, offset=reply["offset"])
                self.acknowledged += name["count"]
                self.offset = max(self.offset, reply["offset"])
                self._progress, progress = anyio.Event(), self._progress
                progress.set()
                return
            self.history.note("refused", **name, status=status, code=reply["error"]["code"])
            assert status in LATER, reply
            await anyio.sleep(0.005)

    async def post(self, body: bytes) -> tuple[int, Any]:
        """One request; its status and decoded answer."""
        async with self.session.post(f"{self.server.url}/v1/events", data=body, headers=PACKED) as response:
            return response.status, msgspec.msgpack.decode(await response.read())

    async def tail(self, name: str) -> None:
        """Follow the log from its beginning, for ever, resuming after the last event seen."""
        self.history.note("tail", tail=name)
        after = 0
        while True:
            await self.server.running.wait()
            try:
                async for item in self._items(after):
                    after = item["offset"]
                    self.history.note("seen", tail=name, **{key: item[key] for key in ("offset", "producer", "sequence")})
                    if after >= self.offset:
                        self._progress, progress = anyio.Event(), self._progress
                        progress.set()
            except CUT:
                await anyio.sleep(0.005)

    async def _items(self, after: int) -> AsyncIterator[dict[str, Any]]:
        url = f"{self.server.url}/v1/events?follow=true&after={after}"
        async with self.session.get(url) as response:
            assert response.status == 200, await response.text()
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield msgspec.json.decode(line)

    async def more(self, events: int) -> None:
        """Wait until so many more events are acknowledged."""
        wanted = self.acknowledged + events
        with anyio.fail_after(PATIENCE):
            while self.acknowledged < wanted:
                await self._progress.wait()

    async def caught_up(self) -> None:
        """Wait until each tail has seen all that was acknowledged, and the views show it."""
        with anyio.fail_after(PATIENCE):
            while any(last < self.offset for last in self._seen().values()):
                await self._progress.wait()
            while (await self.health())["views"] < self.offset:  # noqa: ASYNC110 - the server is another process
                await anyio.sleep(0.01)

    async def health(self) -> dict[str, Any]:
        """What the server says of itself."""
        async with self.session.get(f"{self.server.url}/health", headers={"Accept": "application/msgpack"}) as response:
            answer: dict[str, Any] = msgspec.msgpack.decode(await response.read())
            return answer

    def _seen(self) -> dict[str, int]:
        seen = {line["tail"]: 0 for line in self.history.lines("tail")}
        seen.update((line["tail"], line["offset"]) for line in self.history.lines("seen"))
        return seen


@asynccontextmanager
async def users(server: Server, history: History, *, producers: int, tails: int, seed: int, patient: bool = True) -> AsyncIterator[Users]:
    """Users at work within the block. At its end, on a running server, producers finish, and if `patient` tails see all."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session,
        anyio.create_task_group() as following,
    ):
        them = Users(server, history, session)
        for number in range(tails):
            following.start_soon(them.tail, f"tail-{number}")
        async with anyio.create_task_group() as producing:
            for number in range(producers):
                producing.start_soon(them.produce, f"producer-{number}", seed)
            try:
                yield them
            finally:
                them.stopping = True
        if patient:
            await them.caught_up()
        following.cancel_scope.cancel()
