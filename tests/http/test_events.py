"""Recording over HTTP, and the feed of what was recorded."""

import asyncio
import math
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.http.conftest import Client, Serving

pytestmark = pytest.mark.anyio

CREATED = {"type": "run.created", "name": "n"}


def metric(value: Any, step: int = 0) -> dict[str, Any]:
    """A point of a series."""
    return {"type": "metric.logged", "key": "loss", "value": value, "step": step}


async def feed(client: Client, query: str = "", **headers: str) -> list[dict[str, Any]]:
    """The events of the feed, as they are now."""
    async with client.session.get(f"{client.url}/v1/events{query}", headers=headers) as reply:
        assert reply.status == 200, await reply.text()
        return [msgspec.json.decode(line) async for line in reply.content if line.strip()]


async def test_recorded_once(serving: Serving) -> None:
    """The same events sent again are known, others under their sequences are a conflict, and a gap says where to go on."""
    async with serving() as client:
        assert await client.record("run/p/u", [CREATED, metric(1.0)]) == 2
        batch = {"stream": "run/p/u", "producer": "p1", "sequence": 1, "events": [{"time": 1, **CREATED}, {"time": 1, **metric(1.0)}]}
        assert await client.ask("POST", "/v1/events", {"batches": [batch]}) == (200, {"offset": 2, "recorded": 0, "duplicates": 2})
        other = {**batch, "events": [{"time": 2, **CREATED}]}
        status, body = await client.ask("POST", "/v1/events", {"batches": [other]})
        assert status == 409
        assert body["error"]["code"] == "sequence_conflict"
        status, body = await client.ask("POST", "/v1/events", {"batches": [{**batch, "sequence": 9}]})
        assert status == 409
        assert body["error"]["detail"]["expected"] == 3
        assert (await client.get("/v1/info"))["offset"] == 2


async def test_numbers_that_json_has_not(serving: Serving) -> None:
    """NaN and infinities go in and come out: as words in JSON, as themselves in msgpack."""
    async with serving() as client:
        await client.record("run/p/u", [metric("NaN"), metric("Infinity"), metric("-Infinity"), metric(0.1)])
        assert [line["event"]["value"] for line in await feed(client)] == ["NaN", "Infinity", "-Infinity", 0.1]
        event = {"type": "metric.logged", "time": 1, "key": "k", "value": math.nan}
        body = msgspec.msgpack.encode({"batches": [{"stream": "run/p/v", "producer": "p2", "sequence": 1, "events": [event]}]})
        headers = {"Content-Type": "application/x-msgpack", "Accept": "application/x-msgpack"}
        async with client.session.post(client.url + "/v1/events", data=body, headers=headers) as reply:
            assert msgspec.msgpack.decode(await reply.read()) == {"offset": 5, "recorded": 1, "duplicates": 0}
        async with client.session.get(client.url + "/v1/projects/p/runs/v", headers=headers, params={"min_offset": 5}) as reply:
            assert math.isnan(msgspec.msgpack.decode(await reply.read())["metrics"]["k"])


async def test_tags_of_a_newer_version(serving: Serving) -> None:
    """An event of a tag this version does not know is kept whole, from JSON and from msgpack."""
    async with serving() as client:
        await client.record("run/p/u", [{"type": "thing.happened", "what": [1, {"deep": None}]}])
        event = {"type": "thing.happened", "time": 3, "raw": b"\x00\xff"}
        body = msgspec.msgpack.encode({"batches": [{"stream": "run/p/u", "producer": "p2", "sequence": 1, "events": [event]}]})
        status, _ = await client.ask("POST", "/v1/events", data=body, headers={"Content-Type": "application/x-msgpack"})
        assert status == 200
        first, second = [line["event"] for line in await feed(client)]
        assert first == {"type": "thing.happened", "time": 1, "what": [1, {"deep": None}]}
        assert second == {"type": "thing.happened", "time": 3, "raw": "AP8="}


BAD_BODIES = {
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "not JSON": b"{'batches': []}",
    "trailing": b'{"batches": []} x',
    "comment": b'{"batches": []} // x',
    "BOM": b'\xef\xbb\xbf{"batches": []}',
    "UTF-16": '{"batches": []}'.encode("utf-16"),
    "bad UTF-8": b'{"batches": ["\xff"]}',
    "duplicate key": b'{"batches": [], "batches": []}',
    "bare NaN": b'{"batches": [NaN]}',
    "huge float": b'{"batches": [1e400]}',
    "huge integer": b'{"batches": [123456789012345678901234567890]}',
    "very deep": b'{"batches": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "unknown member": b'{"batches": [], "more": 1}',
    "batch of wrong type": b'{"batches": [1]}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_bodies_that_are_none(serving: Serving, body: bytes) -> None:
    """A body that is not exactly an append is refused with a reason, never with a fault of ours."""
    async with serving() as client:
        status, answer = await client.ask("POST", "/v1/events", data=body)
        assert status == 400
        assert answer["error"]["message"]
        for cut in range(0, 12, 3):
            packed = msgspec.msgpack.encode({"batches": [{"stream": "run/p/u"}]})[: 12 - cut]
            status, _ = await client.ask("POST", "/v1/events", data=packed, headers={"Content-Type": "application/msgpack"})
            assert status == 400


BAD_EVENTS = {
    "no type": {"key": "k"},
    "type is a number": {"type": 1},
    "missing key": {"type": "result.logged", "value": 1},
    "value is text": {"type": "metric.logged", "key": "k", "value": "high"},
    "value is null": {"type": "metric.logged", "key": "k", "value": None},
    "step is a float": {"type": "metric.logged", "key": "k", "value": 1, "step": 1.5},
    "step beyond 64 bits": {"type": "metric.logged", "key": "k", "value": 1, "step": 2**63},
    "time beyond 64 bits": {"type": "metric.logged", "key": "k", "value": 1, "time": 2**63},
    "negative iteration": {"type": "metric.logged", "key": "k", "value": 1, "iteration": -1},
    "empty key": {"type": "result.logged", "key": "", "value": 1},
    "long key": {"type": "result.logged", "key": "k" * 251, "value": 1},
    "NUL in a key": {"type": "result.logged", "key": "a\x00b", "value": 1},
    "newline in a key": {"type": "label.set", "key": "a\nb", "value": "x"},
    "bidi control in a key": {"type": "parameter.set", "key": "a\u202eb", "value": 1},
    "half a surrogate": {"type": "result.logged", "key": "k", "value": "\ud800"},
    "deep value": {"type": "result.logged", "key": "k", "value": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]},
    "artifact key goes up": {"type": "artifact.logged", "key": "a/../../etc/passwd"},
    "artifact key is absolute": {"type": "artifact.logged", "key": "/etc/passwd"},
    "artifact key with backslash": {"type": "artifact.logged", "key": "a\\b"},
    "digest is a path": {"type": "artifact.logged", "key": "a", "digest": "../../../etc/passwd"},
    "of a project": {"type": "project.created"},
    "a token": {"type": "token.created", "id": "x", "digest": "x", "role": "admin"},
    "a purge": {"type": "run.purged", "reason": "", "events": 1, "bytes": 1, "blobs": 0},
    "a redaction": {"type": "event.redacted", "offset": 1, "body": "", "reason": ""},
}


@pytest.mark.parametrize("event", BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
async def test_events_that_cannot_be(serving: Serving, event: dict[str, Any]) -> None:
    """An event the log or the views could not hold is refused, naming its place; nothing of its request is recorded."""
    async with serving() as client:
        import json

        good = {"time": 1, **CREATED}
        batch = {"stream": "run/p/u", "producer": "p1", "sequence": 1, "events": [good, {"time": 1, **event}]}
        status, body = await client.ask("POST", "/v1/events", data=json.dumps({"batches": [batch]}).encode())
        assert status == 400, body
        assert (await client.get("/v1/info"))["offset"] == 0


@pytest.mark.parametrize(
    "stream",
    [
        "",
        "run",
        "run/p",
        "run/p/u/x",
        "run//u",
        "run/p/..",
        "run/p/a b",
        "run/p/-u",
        "access/tokens",
        "log/redactions",
        "project/a/b",
        "x/p/u",
        "run/p/u\n",
    ],
)
async def test_streams_that_are_not_open(serving: Serving, stream: str) -> None:
    """Only streams of runs and projects can be written from outside: nobody makes himself a token with an event."""
    async with serving() as client:
        batch = {"stream": stream, "producer": "p1", "sequence": 1, "events": [{"time": 1, **CREATED}]}
        assert (await client.ask("POST", "/v1/events", {"batches": [batch]}))[0] == 400


async def test_limits(serving: Serving) -> None:
    """Too many bytes or events are refused, however they are packed, before they are held."""
    async with serving(max_body=100_000, max_events=10) as client:
        import gzip

        assert (await client.ask("POST", "/v1/events", data=b" " * 100_001))[0] == 413
        bomb = gzip.compress(b" " * 50_000_000)
        assert (await client.ask("POST", "/v1/events", data=bomb, headers={"Content-Encoding": "gzip"}))[0] == 413
        small = gzip.compress(b'{"batches": []}')
        assert (await client.ask("POST", "/v1/events", data=small, headers={"Content-Encoding": "gzip"}))[0] == 200
        assert (await client.ask("POST", "/v1/events", data=small[:-4], headers={"Content-Encoding": "gzip"}))[0] == 400
        assert (await client.ask("POST", "/v1/events", data=b"{}", headers={"Content-Encoding": "br"}))[0] == 415
        events = [{"time": 1, **metric(1)}] * 11
        batch = {"stream": "run/p/u", "producer": "p1", "sequence": 1, "events": events}
        assert (await client.ask("POST", "/v1/events", {"batches": [batch]}))[0] == 413


async def test_feed_of_some(serving: Serving) -> None:
    """The feed can be narrowed by offset, stream, prefix, tag and number, and one run has a feed of its own."""
    async with serving() as client:
        await client.record("run/p/a", [CREATED, metric(1)], producer="pa")
        await client.record("run/p/b", [CREATED, metric(2)], producer="pb")
        await client.record("run/q/c", [CREATED], producer="pc")

        async def offsets(query: str) -> list[int]:
            return [line["offset"] for line in await feed(client, query)]

        assert await offsets("") == [1, 2, 3, 4, 5]
        assert await offsets("?after=3") == [4, 5]
        assert await offsets("?limit=2&after=1") == [2, 3]
        assert await offsets("?stream=run/p/b") == [3, 4]
        assert await offsets("?prefix=run/p/") == [1, 2, 3, 4]
        assert await offsets("?types=metric.logged") == [2, 4]
        assert await offsets("?types=metric.logged,run.created&after=4") == [5]
        async with client.session.get(client.url + "/v1/projects/p/runs/b/events?after=3") as reply:
            assert [msgspec.json.decode(line)["offset"] async for line in reply.content] == [4]


async def test_follow_without_gap(serving: Serving) -> None:
    """History and what comes are one stream: whoever follows while others write sees every offset once, in order."""
    async with serving() as client:
        await client.record("run/p/u", [metric(i) for i in range(50)])

        async def write() -> None:
            for i in range(20):
                await client.record("run/p/u", [metric(i)] * 5, sequence=51 + 5 * i)

        seen: list[int] = []
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
            tasks.create_task(write())
            async with client.session.get(client.url + "/v1/events?follow") as reply:
                async for line in reply.content:
                    if line.strip():
                        seen.append(msgspec.json.decode(line)["offset"])
                    if seen[-1:] == [150]:
                        break
        assert seen == list(range(1, 151))


async def test_resume_by_last_event_id(serving: Serving) -> None:
    """Server-sent events carry offsets as ids; a browser that reconnects goes on after the last one it saw."""
    async with serving(keep_alive=0.2) as client:
        await client.record("run/p/u", [metric(i) for i in range(5)])
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "3"}
        async with asyncio.timeout(10), client.session.get(client.url + "/v1/events?follow&after=1", headers=headers) as reply:
            assert reply.content_type == "text/event-stream"
            ids = []
            alive = False
            async for line in reply.content:
                if line.startswith(b"id: "):
                    ids.append(int(line[4:]))
                alive = alive or line.startswith(b": alive")
                if len(ids) == 2 and alive:
                    break
        assert ids == [4, 5]


async def test_across_restarts(serving: Serving) -> None:
    """A follower is cut off when the server stops, resumes with what it had, and misses nothing."""
    seen: list[int] = []

    async def follow(client: Client, until: int) -> None:
        try:
            async with client.session.get(f"{client.url}/v1/events?follow&after={seen[-1] if seen else 0}") as reply:
                async for line in reply.content:
                    if line.strip():
                        seen.append(msgspec.json.decode(line)["offset"])
                    if seen[-1:] == [until]:
                        return
        except aiohttp.ClientPayloadError:
            pass

    for i in range(3):
        async with serving() as client, asyncio.timeout(20):
            await client.record("run/p/u", [metric(1)] * 10, sequence=1 + 10 * i)
            await follow(client, 10 * i + 10)
    assert seen == list(range(1, 31))


async def test_stop_cuts_followers(serving: Serving) -> None:
    """Stopping does not wait for followers: they get an unfinished reply, so that they know to come back."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        async with serving() as client:
            await client.record("run/p/u", [metric(1)])
            reply = await session.get(client.url + "/v1/events?follow")
            assert await reply.content.readline()
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.content.read()
        reply.close()
