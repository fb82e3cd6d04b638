"""Consoles over HTTP: any part, and live."""

import asyncio
import base64
import select
import socket
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tests.http.conftest import Client, Serving

pytestmark = pytest.mark.anyio

LOG = "/v1/projects/p/runs/u/log"
TEXT = "grüße\r\x1b[31m✓\n".encode() + b"\xff\x00raw\n"


async def say(client: Client, data: bytes, sequence: int, source: str = "stdout") -> int:
    """Print bytes into the console of run u; the offset that holds them."""
    event = {"type": "console.written", "data": base64.b64encode(data).decode(), "source": source}
    return await client.record("run/p/u", [event], sequence=sequence)


async def begin(client: Client) -> None:
    """A running run u."""
    await client.record("run/p/u", [{"type": "run.created", "name": "n"}, {"type": "attempt.started", "attempt": "a"}])


async def end(client: Client, sequence: int) -> None:
    """Run u ends."""
    await client.record("run/p/u", [{"type": "state.changed", "state": "completed"}], sequence=sequence)


async def read(client: Client, query: str = "") -> bytes:
    """Some of the console."""
    async with client.session.get(client.url + LOG + query) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.read()


async def test_any_part(serving: Serving) -> None:
    """Every offset gives exactly the bytes from there, inside characters and lines, too; a negative one counts from the end."""
    async with serving() as client:
        await begin(client)
        await say(client, TEXT[:4], 3)
        offset = await say(client, TEXT[4:], 4)
        assert await read(client, f"?min_offset={offset}") == TEXT
        for i in range(len(TEXT) + 1):
            assert await read(client, f"?offset={i}") == TEXT[i:]
            assert await read(client, f"?offset=-{i}") == (TEXT[-i:] if i else TEXT)
            assert await read(client, f"?offset={i}&size=3") == TEXT[i : i + 3]
        assert await read(client, "?offset=-1000") == TEXT
        async with client.session.get(client.url + LOG) as reply:
            assert (reply.headers["X-Log-Size"], reply.headers["X-Run-State"]) == (str(len(TEXT)), "running")
            assert reply.content_type == "application/octet-stream"
        status, body = await client.ask("GET", f"{LOG}?offset={len(TEXT) + 1}")
        assert status == 416
        assert body["error"]["detail"]["size"] == len(TEXT)
        assert (await client.ask("GET", f"{LOG}?offset=99999&follow"))[0] == 416
        assert (await client.ask("GET", f"{LOG}?offset=x"))[0] == 400
        assert (await client.ask("GET", f"{LOG}?offset={2**63}"))[0] == 400
        assert (await client.ask("GET", f"{LOG}?follow&size=1"))[0] == 400
        assert (await client.ask("GET", "/v1/projects/p/runs/none/log"))[0] == 404


async def test_sources_and_the_past(serving: Serving) -> None:
    """One source can be read alone, and the console as it was at a past moment."""
    async with serving() as client:
        await begin(client)
        past = await say(client, b"out\n", 3)
        last = await say(client, b"err\n", 4, source="stderr")
        assert await read(client, f"?source=stderr&min_offset={last}") == b"err\n"
        assert await read(client, "?source=stdout&offset=2") == b"t\n"
        assert await read(client, f"?at={past}") == b"out\n"
        assert await read(client, f"?at={past - 1}") == b""


async def test_large_console(serving: Serving) -> None:
    """A console of megabytes in few and in many events comes whole and in parts."""
    async with serving() as client:
        await begin(client)
        whole = bytes(i % 251 for i in range(1_000_000))
        sequence = 3
        for start, size in (
            *((i * 200_000, 200_000) for i in range(3)),
            (600_000, 101_000),
            *((701_000 + i * 299, 299) for i in range(1000)),
        ):
            offset = await say(client, whole[start : start + size], sequence)
            sequence += 1
        assert await read(client, f"?min_offset={offset}") == whole
        assert await read(client, "?offset=-300001") == whole[-300001:]
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
            followers = [tasks.create_task(read(client, f"?follow&offset={at}")) for at in (123_456, len(whole))]
            big = [{"time": 1, "type": "console.written", "data": base64.b64encode(bytes([i]) * 250_000).decode()} for i in range(2)]
            await client.record("run/p/u", big, sequence)
            await end(client, sequence + 2)
        whole += b"".join(bytes([i]) * 250_000 for i in range(2))
        assert [follower.result() for follower in followers] == [whole[123_456:], whole[1_000_000:]]


async def test_one_event_of_much_text(serving: Serving) -> None:
    """A console event of more bytes than a reader may be made to hold is refused with the limit, and nothing of it is kept."""
    async with serving() as client:
        event = {"time": 1, "type": "console.written", "data": base64.b64encode(bytes(256 * 1024 + 1)).decode()}
        batch = {"stream": "run/p/u", "producer": "p1", "sequence": 1, "events": [event]}
        status, body = await client.ask("POST", "/v1/events", {"batches": [batch]})
        assert status == 413
        assert body["error"]["detail"]["limit"] == 256 * 1024
        assert (await client.get("/v1/info"))["offset"] == 0


async def test_follow_to_the_end(serving: Serving) -> None:
    """A follower sees every byte once while they come, and its stream ends by itself when the run has ended."""
    async with serving() as client, asyncio.timeout(30):
        await begin(client)
        await say(client, b"before\n", 3)

        async def write() -> None:
            for i in range(60):
                await say(client, f"line {i}\n".encode(), 4 + i)
            await end(client, 64)

        async with asyncio.TaskGroup() as tasks:
            followers = [tasks.create_task(read(client, f"?follow&offset={i}")) for i in range(7)]
            tasks.create_task(write())
        whole = await read(client)
        assert whole == b"before\n" + b"".join(f"line {i}\n".encode() for i in range(60))
        assert [f.result() for f in followers] == [whole[i:] for i in range(7)]
        assert await read(client, "?follow") == whole


async def test_events_of_a_console(serving: Serving) -> None:
    """As server-sent events the bytes come as base64 with the position after them as id, and Last-Event-ID resumes there."""
    async with serving(keep_alive=0.1) as client, asyncio.timeout(30):
        await begin(client)
        await say(client, TEXT, 3)

        async def follow(last: str) -> tuple[bytes, str, bool]:
            data, alive = b"", False
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
            async with client.session.get(client.url + LOG + "?follow", headers=headers) as reply:
                async for line in reply.content:
                    alive = alive or line.startswith(b": alive")
                    if line.startswith(b"id: "):
                        last = line[4:].strip().decode()
                    if line.startswith(b"data: "):
                        data += base64.b64decode(line[6:])
                    if alive and data:
                        break
            return data, last, alive

        assert await follow("") == (TEXT, str(len(TEXT)), True)
        await say(client, b"more", 4)
        assert (await follow(str(len(TEXT))))[0] == b"more"
        assert (await follow(str(len(TEXT) - 3)))[0] == TEXT[-3:] + b"more"


async def test_tail_across_restarts(serving: Serving) -> None:
    """A tail that reconnects with the bytes it has ends with exactly the bytes that were written."""
    got, sequence = b"", 3
    for turn in range(3):
        async with serving() as client, asyncio.timeout(30):
            if turn == 0:
                await begin(client)
            for i in range(5):
                await say(client, f"{turn}.{i} {'x' * 1000}\n".encode(), sequence)
                sequence += 1
            size = int((await client.session.head(client.url + LOG)).headers["X-Log-Size"])
            async with client.session.get(f"{client.url}{LOG}?follow&offset={len(got)}") as reply:
                while len(got) < size:
                    got += await reply.content.readany()
    assert got == b"".join(f"{turn}.{i} {'x' * 1000}\n".encode() for turn in range(3) for i in range(5))


def resident() -> int:
    """Bytes of memory this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_stopped_followers(serving: Serving) -> None:
    """Followers that stop reading cost little memory each, hold nobody up, and are dropped after a while, to resume where they were."""
    followers, own = 80, 16 * 1024 * 1024  # what caches of the server may grow by meanwhile
    async with serving(stall_timeout=3.0) as client, asyncio.timeout(60):
        await begin(client)
        await say(client, b"x" * 60_000, 3)
        for i in range(120):  # what the server keeps for itself is full before it is measured
            await say(client, bytes([i]) * 60_000, 4 + i)
        before = resident()
        socks = []
        for _ in range(followers):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", client.server.port))
            sock.sendall(f"GET {LOG}?follow HTTP/1.1\r\nHost: 127.0.0.1:{client.server.port}\r\n\r\n".encode())
            socks.append(sock)
        for i in range(100):
            await say(client, bytes([i]) * 60_000, 124 + i)
        assert resident() - before < followers * 256 * 1024 + own
        await end(client, 224)
        assert len(await read(client, "?follow")) == 221 * 60_000
        poll = select.poll()
        for sock in socks:
            poll.register(sock, select.POLLHUP)
        while len([one for one in poll.poll(0) if one[1] & select.POLLHUP]) < followers:  # noqa: ASYNC110 - the condition is in another process or a clock
            await asyncio.sleep(0.1)
        for sock in socks:
            sock.close()


async def test_watch(serving: Serving) -> None:
    """Watching a run gives its view now and after changes, and ends with its end."""
    async with serving() as client, asyncio.timeout(30):
        await begin(client)
        states = []
        async with client.session.get(client.url + "/v1/projects/p/runs/u?watch") as reply:
            step = 0
            async for line in reply.content:
                view = msgspec.json.decode(line)
                states.append((view["state"], view["results"]))
                if step == 0:
                    await client.record("run/p/u", [{"type": "result.logged", "key": "r", "value": 1}], sequence=3)
                elif step == 1:
                    await end(client, 4)
                step += 1
        assert states == [("running", {}), ("running", {"r": 1}), ("completed", {"r": 1})]


async def test_stop_breaks_a_tail(serving: Serving) -> None:
    """A tail that is cut off by the server's stop does not look like the end of the run."""
    async with aiohttp.ClientSession() as session:
        async with serving() as client:
            await begin(client)
            await say(client, b"one\n", 3)
            reply = await session.get(client.url + LOG + "?follow")
            assert await reply.content.readany() == b"one\n"
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.content.read()
        reply.close()


async def test_gone_readers(serving: Serving) -> None:
    """When readers go away their tails end at once, though nothing is written to them."""
    async with serving() as client, asyncio.timeout(20):
        await begin(client)
        await say(client, b"x", 3)
        replies = [await client.session.get(client.url + LOG + "?follow") for _ in range(10)]
        for reply in replies:
            assert await reply.content.readany() == b"x"
        assert len(client.server.connections) >= 10
        for reply in replies:
            reply.close()
        while len(client.server.connections) > 1:  # noqa: ASYNC110 - the condition is in the kernel
            await asyncio.sleep(0.02)
