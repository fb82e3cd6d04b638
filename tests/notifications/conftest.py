"""A tracker's server for the module, and receivers of messages on loopback: a web server and a mail server that keep what they get."""

import json
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import Server, serving, until
from tracker.connection import PROCESS

__all__ = ["Mailbox", "Receiver", "Server", "until"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server of the tracker."""
    with serving(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(autouse=True)
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Journals lie in the test's own directory; what a test recorded is wound up after it."""
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield
    PROCESS.end()


class Receiver(ThreadingHTTPServer):
    """A web server that keeps every request: (method, path, headers, JSON of the body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Web)
        self.got: list[tuple[str, str, dict[str, str], Any]] = []
        self.status = 200
        self.gate = threading.Event()  # replies wait for it
        self.gate.set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def bodies(self) -> list[Any]:
        """What came."""
        return [body for *_, body in self.got]


class _Web(BaseHTTPRequestHandler):
    server: Receiver

    def _take(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.got.append((self.command, self.path, dict(self.headers), json.loads(text) if text else None))
        self.server.gate.wait(20)
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_PUT = _take  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server for one test."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield receiver
        receiver.gate.set()
        receiver.shutdown()
        thread.join(5)


class Mailbox(socketserver.ThreadingTCPServer):
    """A mail server that keeps every letter, and what was said to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.letters: list[EmailMessage] = []
        self.said: list[str] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Mail(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self._say("220 mailbox")
        while line := self.rfile.readline().decode().strip():
            self.server.said.append(line)
            match line.split()[0].upper().split(":")[0]:
                case "EHLO":
                    self.wfile.write(b"250-mailbox\r\n250 AUTH PLAIN LOGIN\r\n")
                case "AUTH":
                    self._say("235 welcome")
                case "DATA":
                    self._say("354 go on")
                    self._letter()
                    self._say("250 taken")
                case "RCPT" if "nobody@" in line:
                    self._say("550 no such user")
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 fine")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def _letter(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.server.letters.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[arg-type]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server for one test."""
    with Mailbox() as mailbox:
        thread = threading.Thread(target=mailbox.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield mailbox
        mailbox.shutdown()
        thread.join(5)
