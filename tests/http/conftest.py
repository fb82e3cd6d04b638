"""A real server on a real socket, in the test's own loop, and clients for it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import structlog.testing

from tracker.server.serve import Running, running
from tracker.settings import Settings


class Client:
    """What a program would use: a session at one server. `ask` gives status and decoded body."""

    def __init__(self, server: Running, session: aiohttp.ClientSession) -> None:
        self.server, self.session, self.url = server, session, server.url

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """One request with a JSON body and reply."""
        if body is not None and "data" not in options:
            options["data"] = msgspec.json.encode(body)
        options.setdefault("headers", {})
        if "data" in options:
            options["headers"] = {"Content-Type": "application/json", **options["headers"]}
        from yarl import URL

        async with self.session.request(method, URL(self.url + path, encoded=True), **options) as reply:
            content = await reply.read()
            return reply.status, msgspec.json.decode(content) if reply.content_type == "application/json" and content else content

    async def get(self, path: str) -> Any:
        """The body of a GET that succeeds."""
        status, body = await self.ask("GET", path)
        assert status == 200, body
        return body

    async def record(self, stream: str, events: list[dict[str, Any]], sequence: int = 1, producer: str = "p1") -> int:
        """Append events; the offset that holds them."""
        batch = {"stream": stream, "producer": producer, "sequence": sequence, "events": [{"time": 1, **e} for e in events]}
        status, body = await self.ask("POST", "/v1/events", {"batches": [batch]})
        assert status == 200, body
        return int(body["offset"])

    async def raw(self, request: bytes, *, until_closed: bool = True) -> bytes:
        """What the server says to exactly these bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(request.replace(b"{port}", str(self.server.port).encode()))
        try:
            async with asyncio.timeout(10):
                return await (reader.read() if until_closed else reader.readuntil(b"\r\n\r\n"))
        finally:
            writer.close()


Serving = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """Opens a server on a directory of the test, with any settings; opened again it has the same data."""

    @asynccontextmanager
    async def open_server(**choices: Any) -> AsyncIterator[Client]:
        settings = msgspec.structs.replace(Settings(data=tmp_path / "data", port=0, drain=2.0), **choices)
        async with running(settings) as server, aiohttp.ClientSession() as session:
            yield Client(server, session)

    return open_server


@pytest.fixture
def faultless(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever the test sends, the server logs no fault of its own: no error, no traceback."""
    with structlog.testing.capture_logs() as lines:
        yield
    assert [line for line in lines if line["log_level"] in ("error", "critical") or "exc_info" in line] == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
