"""Large bodies, which are received past the parser: whole or not at all, in bounded time and memory, and nobody else's bytes."""

import asyncio
import hashlib
import mmap
import os
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import anyio
import pytest

from tests.http.conftest import Client, Serving
from tests.http.test_edge import status_of
from tracker.blobs import Blobs
from tracker.server.intake import AT_ONCE, BLOCK, LEAST

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("faultless")]

BODY = os.urandom(1 << 20) * 9 + b"and a part of a page"
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that a server has."""
    return "asyncio", {"use_uvloop": True}


def request(body_size: int, *headers: str, digest: str = DIGEST) -> bytes:
    """The head of an upload."""
    first = [f"PUT /v1/blobs/{digest} HTTP/1.1", "Host: 127.0.0.1:{port}", f"Content-Length: {body_size}", *headers, "", ""]
    return "\r\n".join(first).encode()


async def kept(client: Client, digest: str = DIGEST) -> bytes | None:
    """The bytes of a blob, None when it is not there."""
    async with client.session.get(f"{client.url}/v1/blobs/{digest}") as reply:
        return await reply.read() if reply.status == 200 else None


def files(directory: Path) -> list[str]:
    """What is left in the directory of blobs, drafts too."""
    return sorted(path.name for path in (directory / "data" / "blobs").rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [LEAST - 1, LEAST, LEAST + 1, LEAST + 4096, LEAST + BLOCK, len(BODY)])
async def test_every_length(serving: Serving, tmp_path: Path, size: int) -> None:
    """Bodies around every border of the blocks come back byte for byte, and the client's next request is served."""
    body = BODY[:size] if size <= len(BODY) else BODY + BODY[: size - len(BODY)]
    digest = hashlib.sha256(body).hexdigest()
    async with serving() as client:
        async with client.session.put(f"{client.url}/v1/blobs/{digest}", data=BytesIO(body)) as reply:
            assert (reply.status, (await reply.json())["size"]) == (200, size)
        assert await kept(client, digest) == body
    assert files(tmp_path) == [digest]


async def test_what_follows_is_not_of_the_body(serving: Serving) -> None:
    """A request that follows at once is not taken into the body; the connection ends with the reply, and says so."""
    async with serving() as client:
        answer = await client.raw(request(len(BODY)) + BODY + b"GET /v1/info HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")
        assert status_of(answer) == 200
        assert b"connection: close" in answer.lower()
        assert answer.count(b"HTTP/1.1") == 1
        assert await kept(client) == BODY


async def test_asked_before_sent(serving: Serving) -> None:
    """A large body, too, is invited when its client asks."""
    async with serving() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        writer.write(request(len(BODY), "Expect: 100-continue").replace(b"{port}", str(client.server.port).encode()))
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        writer.write(BODY)
        assert (await reader.read()).startswith(b"\r\nHTTP/1.1 200 OK\r\n")
        writer.close()
        assert await kept(client) == BODY


async def test_other_bytes(serving: Serving, tmp_path: Path) -> None:
    """Bytes that do not have the digest are refused, and nothing of them is left."""
    async with serving() as client:
        async with client.session.put(f"{client.url}/v1/blobs/{DIGEST}", data=BytesIO(BODY[::-1])) as reply:
            assert reply.status == 422
        assert await kept(client) is None
    assert files(tmp_path) == []


async def test_known_bytes(serving: Serving, tmp_path: Path) -> None:
    """Who sends what is here already, and did not ask, may finish, and is told."""
    async with serving() as client:
        for known in (False, True):
            async with client.session.put(f"{client.url}/v1/blobs/{DIGEST}", data=BytesIO(BODY)) as reply:
                assert (await reply.json())["known"] is known
    assert files(tmp_path) == [DIGEST]


async def test_that_breaks_off(serving: Serving, tmp_path: Path) -> None:
    """Clients that leave in the middle leave nothing behind, and take no place from others."""
    async with serving() as client:
        head = request(len(BODY)).replace(b"{port}", str(client.server.port).encode())
        for i in range(AT_ONCE + 4):
            _, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            writer.write(head + BODY[: i * BLOCK // 3])
            await writer.drain()
            writer.transport.abort() if i % 2 else writer.close()
        async with client.session.put(f"{client.url}/v1/blobs/{DIGEST}", data=BytesIO(BODY)) as reply:
            assert reply.status == 200
            assert reply.headers["Connection"] == "close"  # received past the parser: there was a place
        with anyio.fail_after(10):
            while len(left := files(tmp_path)) > 1:  # noqa: ASYNC110 - the file system tells nobody
                await anyio.sleep(0.01)
    assert left == [DIGEST]


async def test_too_slow(serving: Serving, tmp_path: Path) -> None:
    """A large body that does not go on is given up when its time is up, and its client is told."""
    async with serving(body_grace=0.2) as client:
        answer = await client.raw(request(len(BODY)) + BODY[:100])
        assert status_of(answer) == 408
    assert files(tmp_path) == []


async def test_slow_but_enough(serving: Serving) -> None:
    """Time is counted only while the client is waited for, and every KiB it sends gives it more of it."""
    async with serving(body_grace=0.5) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        writer.write(request(len(BODY)).replace(b"{port}", str(client.server.port).encode()))
        for start in range(0, len(BODY), 1 << 20):
            writer.write(BODY[start : start + (1 << 20)])
            await writer.drain()
            await asyncio.sleep(0.1)  # altogether longer than the grace
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_many_at_once(serving: Serving) -> None:
    """More large bodies than have a place are all kept."""
    bodies = [i.to_bytes(4, "big") + BODY for i in range(AT_ONCE + 4)]
    async with serving() as client:

        async def put(body: bytes) -> None:
            async with client.session.put(f"{client.url}/v1/blobs/{hashlib.sha256(body).hexdigest()}", data=BytesIO(body)) as reply:
                assert reply.status == 200

        async with anyio.create_task_group() as tasks:
            for body in bodies:
                tasks.start_soon(put, body)
        for body in bodies[::5]:
            assert await kept(client, hashlib.sha256(body).hexdigest()) == body


@pytest.mark.parametrize("start", [0, 1])
async def test_memory_of_whole_pages(tmp_path: Path, start: int) -> None:
    """A view of whole pages is written as it is, where it may lie and wherever it goes to, and so is what follows it."""
    blobs, memory = Blobs(tmp_path), memoryview(mmap.mmap(-1, 4 * mmap.PAGESIZE))
    memory[:] = BODY[: len(memory)]
    blobs.prepare()

    async def chunks() -> AsyncIterator[bytes | memoryview]:
        yield memory[start : start + 2 * mmap.PAGESIZE]
        yield b"between"
        yield memory[: 2 * mmap.PAGESIZE]
        yield memory[:100]

    content = bytes(memory[start : start + 2 * mmap.PAGESIZE]) + b"between" + bytes(memory[: 2 * mmap.PAGESIZE]) + bytes(memory[:100])
    digest = hashlib.sha256(content).hexdigest()
    assert await blobs.put(digest, chunks(), limit=1 << 20) == len(content)
    assert b"".join([chunk async for chunk in blobs.read(digest)]) == content
