"""Places to read from and write to: an S3 server in a process of its own, HTTP servers with and without ranges, a tracker."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tracker.connection import PROCESS

BIG_TEXT = "".join(f"line {number} of a long text\n" for number in range(400_000))  # more than two pieces
S3_SECRETS = {"AWS_ACCESS_KEY_ID": "testing-id", "AWS_SECRET_ACCESS_KEY": "testing-secret-canary", "AWS_REGION": "us-east-1"}


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer of `condition`."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)
    return answer


def answers(url: str) -> bool:
    """Whether a server answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything lies in the test's own directory; what it recorded is wound up after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    monkeypatch.setenv("TRACKER_URI", str(tmp_path / "tracker"))
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_"))]:
        monkeypatch.delenv(name)
    yield
    PROCESS.end()


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """Secrets that lead to a real S3 server, which has the bucket `data`."""
    port = free_port()
    environment = {**os.environ, "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(64 * 1024 * 1024)}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(base + "/moto-api/"))
        request = urllib.request.Request(base + "/data", method="PUT")
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert reply.status == 200
        yield {**S3_SECRETS, "S3_ENDPOINT_URL": base}
    finally:
        process.kill()
        process.wait()


class Web:
    """A web server over a directory, which notes the ranges it was asked for."""

    def __init__(self, root: Path, *, ranges: bool, pause: float = 0.0) -> None:
        self.root, self.asked = root, []  # type: tuple[Path, list[str]]
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(head=True)

            def do_GET(self) -> None:
                self.answer(head=False)

            def answer(self, *, head: bool) -> None:
                path = web.root / self.path.partition("?")[0].lstrip("/")
                if not path.is_file():
                    self.send_error(500 if path.name == "broken" else 404)
                    return
                data, status, wanted = path.read_bytes(), 200, self.headers.get("Range", "")
                whole = len(data)
                if wanted and ranges:
                    web.asked.append(wanted)
                    first, _, last = wanted.removeprefix("bytes=").partition("-")
                    start, end = int(first), min(int(last) + 1, whole) if last else whole
                    data, status = data[start:end], 206
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                if ranges:
                    self.send_header("Accept-Ranges", "bytes")
                if status == 206:
                    self.send_header("Content-Range", f"bytes {first}-{int(first) + len(data) - 1}/{whole}")
                self.end_headers()
                if not head:
                    for start in range(0, len(data), 65536):
                        self.wfile.write(data[start : start + 65536])
                        if pause:
                            web.closing.wait(pause)

            def log_message(self, *_: Any) -> None:
                pass

        self.closing = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that leave
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Starts web servers over the directory `web` of the test's own."""
    (tmp_path / "web").mkdir()
    servers: list[Web] = []

    def start(*, ranges: bool = True, pause: float = 0.0) -> Web:
        servers.append(Web(tmp_path / "web", ranges=ranges, pause=pause))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Serving:
    """`tracker serve` in a process of its own, on a port that stays its own through restarts."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Serve; returns at once."""
        command = "from tracker.cli.main import main; main()"
        arguments = ["serve", "--data", str(self.home / "served"), "--port", str(self.port)]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", command, *arguments], stdout=log, stderr=log)

    def ready(self) -> "Serving":
        """Wait until it answers."""
        until(lambda: answers(self.uri + "/health"))
        return self

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait(15)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A server that answers."""
    server = Serving(tmp_path)
    try:
        yield server.ready()
        PROCESS.end()
    finally:
        server.kill()


@pytest.fixture
def tracker_server(serving: Serving) -> str:
    """The address of a server."""
    return serving.uri
