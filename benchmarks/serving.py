"""A server of its own for a benchmark, as users start it, and the little HTTP a load needs without costing more than the server."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

TRACKER = (sys.executable, "-c", "from tracker.cli.main import main; main()")


class Server(msgspec.Struct, frozen=True):
    """A running server."""

    port: int
    pid: int
    data: Path

    @property
    def url(self) -> str:
        """What TRACKER_URI would be."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, accept: str = "application/json") -> bytes:
        """The body of a reply that must be 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            reply = connection.getresponse()
            body = reply.read()
            if reply.status != 200:
                raise RuntimeError(f"GET {path}: {reply.status} {body[:300]!r}")
            return body
        finally:
            connection.close()

    def ask(self, path: str) -> Any:
        """The same, decoded."""
        return json.loads(self.get(path))


def free_port() -> int:
    """A loopback port nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(data: Path) -> Iterator[Server]:
    """`tracker serve` on `data`, ready on entry, stopped on exit."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    with (data.parent / f"{data.name}.server.log").open("wb") as log:
        command = [*TRACKER, "serve", "--data", str(data), "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_ready(port, process)
        yield Server(port, process.pid, data)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_ready(port: int, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    """Return at the first 200 of /health."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise RuntimeError("the server did not come up")


def post(port: int, body: bytes) -> bytes:
    """An append as the bytes of its request; `body` is msgpack."""
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-msgpack\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(port: int, path: str) -> bytes:
    """A read as the bytes of its request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """Send a prepared request on a kept connection; the body of its reply, which must be 2xx."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"{head.splitlines()[0]!r}: {body[:300]!r}")
    return body


def append_body(stream: str, producer: str, sequence: int, events: list[Any]) -> bytes:
    """The msgpack body of an append of one batch."""
    return msgspec.msgpack.encode({"batches": [{"stream": stream, "producer": producer, "sequence": sequence, "events": events}]})
