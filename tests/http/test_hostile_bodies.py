"""Bodies that lie about themselves, and questions beyond any bound: refused by name, and never a fault of ours."""

import asyncio
import contextlib
import gzip
import json
import time
import zlib
from typing import Any

import msgspec
import pytest
import zstandard

from tests.http.conftest import Client, Serving
from tests.http.test_edge import status_of
from tracker.server.native.routes import TABLE
from tracker.server.route import READS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("faultless")]

VALUES = {"project": "p", "uid": "u", "key": "k", "digest": "0" * 64, "id": "x"}
TAKERS = [(route.method, route.path.format(**VALUES)) for route in TABLE.routes if route.method not in READS and not route.raw]
DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
NOT_JSON = {
    "null": b"null",
    "array": b"[]",
    "array of objects": b"[{}]",
    "text": b'"x"',
    "number": b"1",
    "true": b"true",
    "bare NaN": b'{"name": NaN}',
    "bare infinity": b'{"name": -Infinity}',
    "float beyond range": b'{"name": 1e400}',
    "integer beyond 64 bits": b'{"name": 9223372036854775808}',
    "very long integer": b'{"name": ' + b"9" * 5000 + b"}",
    "bad UTF-8": b'{"name": "\xff"}',
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "half a surrogate": b'{"name": "\\ud800"}',
    "half a surrogate as a key": b'{"\\udfff": 1}',
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "NUL": b'{"name": "\x00"}',
    "trailing": b"{} {}",
    "comment": b"{} // x",
    "single quotes": b"{'name': 'x'}",
    "trailing comma": b'{"name": "x",}',
    "duplicate key": b'{"name": "x", "name": "y"}',
    "duplicate key further in": b'{"name": {"a": 1, "a": 2}}',
    "deep objects": DEEP,
    "deep arrays": b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "unclosed": b'{"name": ' + b"[" * 1000,
    "unknown member": b'{"nonsense": 1}',
    "member of the path": b'{"project": "q", "uid": "q", "id": "q"}',
    "spaces only": b"   ",
    "wide object": json.dumps({str(i): 1 for i in range(20_000)}).encode(),
}
NOT_MSGPACK = {
    "nil": b"\xc0",
    "array": b"\x90",
    "breaks off": b"\x81\xa4name",
    "trailing": b"\x80\x80",
    "reserved byte": b"\xc1",
    "bad UTF-8": b"\x81\xa4name\xa1\xff",
    "huge length": b"\xdf\xff\xff\xff\xff",
    "huge array": b"\x81\xa7batches\xdd\xff\xff\xff\xff",
    "huge text": b"\x81\xa4name\xdb\xff\xff\xff\xff",
    "deep": b"\x91" * 100_000 + b"\xc0",
    "unsigned beyond 64 bits signed": b"\x81\xa4name\xcf" + b"\xff" * 8,
    "key is a list": b"\x81\x90\x01",
    "key is nil": b"\x81\xc0\x01",
    "timestamp": b"\x81\xa4name\xd6\xff\x00\x00\x00\x00",
    "extension": b"\x81\xa4name\xd4\x05\x00",
    "JSON": b"{}",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_json_that_is_none(serving: Serving, body: bytes) -> None:
    """Every route that takes JSON refuses what is no object of its members, with a reason, and records nothing."""
    async with serving() as client:
        for method, path in TAKERS:
            status, answer = await client.ask(method, path, data=body)
            assert status == 400, (method, path, answer)
            assert answer["error"]["message"]
            assert len(json.dumps(answer)) < 2000
        assert (await client.get("/v1/info"))["offset"] == 0


@pytest.mark.parametrize("body", NOT_MSGPACK.values(), ids=NOT_MSGPACK.keys())
async def test_msgpack_that_is_none(serving: Serving, body: bytes) -> None:
    """The same of msgpack."""
    async with serving() as client:
        for method, path in TAKERS:
            status, answer = await client.ask(method, path, data=body, headers={"Content-Type": "application/x-msgpack"})
            assert status == 400, (method, path, answer)
        assert (await client.get("/v1/info"))["offset"] == 0


def post(body: bytes, *headers: bytes, path: bytes = b"/v1/events", method: bytes = b"POST") -> bytes:
    """A request with exactly these headers and bytes."""
    first = method + b" " + path + b" HTTP/1.1"
    return b"\r\n".join([first, b"Host: 127.0.0.1:{port}", b"Content-Type: application/json", *headers, b"Connection: close", b"", body])


EMPTY = b'{"batches": []}'


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        (post(EMPTY, b"Content-Length: 15"), {200}),
        (post(EMPTY, b"Content-Length: 14"), {400}),
        (post(EMPTY, b"Content-Length: 16"), {408}),
        (post(EMPTY, b"Content-Length: 99999999999"), {413}),
        (post(EMPTY, b"Content-Length: 99999999999999999999999999"), {400, 413}),
        (post(EMPTY), {400}),
        (post(b"f\r\n" + EMPTY + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), {200}),
        (post(b"F;ext=1\r\n" + EMPTY + b"\r\n0\r\nX: y\r\n\r\n", b"Transfer-Encoding: chunked"), {200, 400}),
        (post(b"x\r\n" + EMPTY + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), {400}),
        (post(b"-1\r\n" + EMPTY + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), {400}),
        (post(b"e\r\n" + EMPTY + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), {400}),
        (post(b"f\r\n" + EMPTY, b"Transfer-Encoding: chunked"), {408}),
        (post(b"ffffffffffffffffff\r\n" + EMPTY, b"Transfer-Encoding: chunked"), {400, 408, 413}),
        (post(b"", b"Expect: 100-continue", b"Content-Length: 99999999999"), {413}),
        (post(b"", b"Expect: 100-continue", b"Content-Length: 99999999999999", path=b"/v1/blobs/" + b"0" * 64, method=b"PUT"), {413}),
    ],
)
async def test_lengths_that_lie(serving: Serving, request_bytes: bytes, statuses: set[int]) -> None:
    """A body that is shorter or longer than it says is refused, at once or when its time is up, and others are served meanwhile."""
    async with serving(body_grace=0.2) as client:
        answer = await client.raw(request_bytes)
        assert status_of(answer) in statuses, answer
        assert (await client.get("/v1/info"))["offset"] == 0


async def test_asked_before_sent(serving: Serving) -> None:
    """Who asks before sending is told to go on, and the answer follows; who may not send is refused without being asked for the body."""
    async with serving() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        head = post(b"", b"Content-Length: 15", b"Expect: 100-continue")
        writer.write(head.replace(b"{port}", str(client.server.port).encode()))
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        writer.write(EMPTY)
        assert (await reader.read()).startswith(b"\r\nHTTP/1.1 200 OK\r\n")
        writer.close()
        await client.ask("POST", "/v1/tokens", {"role": "admin"})
        answer = await client.raw(post(b"", b"Content-Length: 15", b"Expect: 100-continue"))
        assert answer.startswith(b"HTTP/1.1 401")


async def test_small_bodies_that_grow(serving: Serving) -> None:
    """Compressed bodies are counted as they come out; those that break off, go on, or are packed twice are refused."""
    huge = b" " * 100_000_000
    packed = {"gzip": gzip.compress(EMPTY), "zstd": zstandard.compress(EMPTY)}
    bombs = {"gzip": gzip.compress(huge, 1), "zstd": zstandard.compress(huge)}
    async with serving() as client:

        async def status(encoding: str, body: bytes) -> int:
            return (await client.ask("POST", "/v1/events", data=body, headers={"Content-Encoding": encoding}))[0]

        for encoding, body in packed.items():
            assert await status(encoding, body) == 200
            assert await status(encoding.upper(), body) == 200
            for size in range(len(body)):
                assert await status(encoding, body[:size]) == 400, (encoding, size)
            assert await status(encoding, body + b"x") == 400
            assert await status(encoding, EMPTY) == 400
            began = time.monotonic()
            assert await status(encoding, bombs[encoding]) == 413
            assert time.monotonic() - began < 10
        assert await status("gzip", gzip.compress(packed["gzip"])) == 400
        for encoding in ("deflate", "br", "compress", "gzip, gzip", "zstd,gzip", "", "x"):
            assert await status(encoding, zlib.compress(EMPTY)) in (400, 415), encoding


async def begun(client: Client) -> None:
    """A run with one of everything."""
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    async with client.session.put(f"{client.url}/v1/blobs/{digest}", data=b"x") as reply:
        assert reply.status == 200
    metric = {"type": "metric.logged", "key": "k", "value": 1.0}
    events: list[dict[str, Any]] = [
        {"type": "run.created", "name": "u"},
        {"type": "attempt.started", "attempt": "a"},
        *({**metric, "step": i, "value": value} for i, value in enumerate((1.0, "NaN", "Infinity", -1e308))),
        {**metric, "iteration": 1},
        {"type": "console.written", "data": "aGVsbG8K"},
        {"type": "artifact.logged", "key": "k", "digest": digest, "size": 1},
    ]
    await client.record("run/p/u", events)


NUMBERS = [
    "-1",
    "-9223372036854775809",
    "9223372036854775807",
    "9223372036854775808",
    "1" * 30,
    "1.5",
    "0x10",
    "1_0",
    "+1",
    "%201",
    "1%00",
]
NUMBERS += ["x", "NaN", "null", "true", "[]", "%d9%a3", "--1", "1,2", "%ff", "%", "'", "1;", "1%20OR%201=1"]


async def test_numbers_of_questions(serving: Serving) -> None:
    """Every parameter of every read, given every odd number or text, is answered or refused: no fault, no hanging."""
    async with serving() as client, asyncio.timeout(60):
        await begun(client)
        for route in TABLE.routes:
            if route.method not in READS:
                continue
            for field in msgspec.structs.fields(route.request):
                if (field.name in VALUES and f"{{{field.name}}}" in route.path) or field.name in ("follow", "watch"):
                    continue
                for odd in NUMBERS:
                    query = f"?{field.name}={odd}" + ("&key=k" if field.name != "key" and "key" in route.request.__struct_fields__ else "")
                    if "{key}" in route.path:
                        query = query.partition("&")[0]
                    status, body = await client.ask("GET", route.path.format(**VALUES) + query)
                    assert status in (200, 400, 404, 416), (route.path, query, status, body)


@pytest.mark.parametrize("field", ["after", "limit", "min_offset"])
async def test_offsets_that_are_none(serving: Serving, field: str) -> None:
    """An offset is a number of 64 bits that is not negative; one beyond the end is out of range, and says where the end is."""
    path = {"after": "/v1/events?after=", "limit": "/v1/events?limit=", "min_offset": "/v1/runs?min_offset="}[field]
    async with serving() as client:
        await begun(client)
        for odd in NUMBERS:
            if odd != "9223372036854775807":
                assert (await client.ask("GET", path + odd))[0] == 400, odd
        if field == "after":
            status, body = await client.ask("GET", path + "10")
            assert (status, body["error"]["detail"]) == (416, {"size": 9})


RANGES = {
    "bytes=0-0": 206,
    "bytes=0-": 206,
    "bytes=-1": 206,
    "bytes=0-99999999999999999": 206,
    "bytes=-99999999999999999": 206,
    "bytes=1-0": 416,
    "bytes=1-": 416,
    "bytes=-0": 416,
    "bytes=-": 416,
    "bytes=": 416,
    "bytes=0-0,0-0": 416,
    "bytes=" + ",".join(["0-"] * 1000): 416,
    "bytes=99999999999999999999-": 416,
    "bytes=0-99999999999999999999": 416,
    "bytes=x-y": 416,
    "bytes=--1": 416,
    "bytes=0x0-1": 416,
    "lines=0-1": 416,
    "0-1": 416,
}


async def test_ranges_that_are_none(serving: Serving) -> None:
    """One range within the bytes comes; any other is refused with their number, on every way to them, and never more than there is."""
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    async with serving() as client:
        await begun(client)
        for path in (f"/v1/blobs/{digest}", "/v1/projects/p/artifacts/k/content", "/v1/projects/p/runs/u/artifacts/k/content"):
            for asked, status in RANGES.items():
                async with client.session.get(client.url + path, headers={"Range": asked}) as reply:
                    assert reply.status == status, asked
                    assert reply.headers["Content-Range"] == ("bytes 0-0/1" if status == 206 else "bytes */1")
                    assert status == 416 or await reply.read() == b"x"


async def test_bytes_are_for_keeping(serving: Serving) -> None:
    """Whatever was uploaded, a browser saves it under a harmless name, never shows it, runs it or guesses what it is."""
    page = b"<html><script>alert(1)</script>"
    import hashlib

    digest = hashlib.sha256(page).hexdigest()
    async with serving() as client:
        async with client.session.put(f"{client.url}/v1/blobs/{digest}", data=page) as reply:
            assert reply.status == 200
        names = ["a.html", "a.svg", 'a\'; x="y".js', "\u00e9\u4e2d.html", "d/" + "n" * 250 + ".html"]
        for i, key in enumerate(names):
            event = {"type": "artifact.logged", "key": key, "digest": digest, "content_type": "text/html", "path": key}
            await client.record("run/p/u", [event], i + 1)
        from urllib.parse import quote

        for path in (f"/v1/blobs/{digest}", *(f"/v1/projects/p/artifacts/{quote(key, safe='')}/content" for key in names)):
            from yarl import URL

            async with client.session.get(URL(client.url + path, encoded=True)) as reply:
                assert reply.status == 200, path
                headers = reply.headers
                assert headers["Content-Type"] == "application/octet-stream"
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")
                assert headers["Content-Disposition"].isascii()
                assert not set(headers["Content-Disposition"].partition("''")[2]) & set("\"';/ \\")
                assert "sandbox" in headers["Content-Security-Policy"]
                assert "default-src 'none'" in headers["Content-Security-Policy"]
                assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_who_leaves_in_the_middle(serving: Serving) -> None:
    """Clients that leave while their requests are served break nothing: what the server says of its own goes on being recorded, no
    upload is left over."""
    async with serving() as client:
        await begun(client)
        path = "/v1/projects/p/runs/u"
        for i in range(60):
            method, target = (("DELETE", path), ("POST", path + "/restore"))[i % 2]
            _, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            writer.write(f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{client.server.port}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            await asyncio.sleep(i / 20_000)  # at some moment of it
            writer.transport.abort()
            _, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            head = f"PUT /v1/blobs/{i:064x} HTTP/1.1\r\nHost: 127.0.0.1:{client.server.port}\r\nContent-Length: 9\r\n\r\nhalf"
            writer.write(head.encode())
            await writer.drain()
            await asyncio.sleep(i / 20_000)
            writer.transport.abort()
        assert (await client.ask("DELETE", path))[0] == 200
        assert (await client.ask("POST", path + "/restore"))[0] == 200
        assert (await client.ask("POST", "/v1/projects", {"name": "q"}))[0] == 201
        drafts = client.server.app.settings.data / "blobs" / "tmp"
        async with asyncio.timeout(5):
            while list(drafts.iterdir()):  # noqa: ASYNC110 - a directory
                await asyncio.sleep(0.01)


async def test_trickles(serving: Serving) -> None:
    """Headers and bodies that come byte by byte, and readers that take nothing, lose their connections in time; others never wait."""
    async with serving(header_timeout=1.0, body_grace=0.5, stall_timeout=1.0, idle_timeout=2.0) as client:
        await client.record("run/p/u", [{"type": "console.written", "data": "A" * 200_000} for _ in range(3)])

        async def trickle(start: bytes, rest: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            writer.write(start.replace(b"{port}", str(client.server.port).encode()))
            try:
                for byte in rest:
                    if reader.at_eof():
                        break
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.1)
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            header = tasks.create_task(trickle(b"GET /health HTTP/1.1\r\n", b"X: " + b"x" * 40))
            body = tasks.create_task(trickle(post(b"", b"Content-Length: 100"), b" " * 40))
            for _ in range(20):
                assert (await client.get("/health"))["status"] == "ok"
        assert header.result() == b""
        assert status_of(body.result()) in (408, 0)  # the answer may be lost to who goes on sending


async def test_readers_that_take_nothing(serving: Serving) -> None:
    """A reader of a long answer who stops reading is cut off after a while."""
    async with serving(stall_timeout=1.0) as client:
        for i in range(40):
            await client.record("run/p/u", [{"type": "console.written", "data": "A" * 300_000}], i + 1)
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port, limit=1024)
            writer.write(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % client.server.port)
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            while len(client.server.connections) > 1:  # noqa: ASYNC110 - the server's own count
                await asyncio.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                while await reader.read(65536):
                    pass
            writer.close()
