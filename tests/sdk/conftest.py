"""A real server in a process of its own, jobs in processes of their own, and this process's recording ended after each test."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tracker.connection import PROCESS


def until(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    """The first true answer of `condition`."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)
    return answer


class Server:
    """`tracker serve` on a port that stays its own through restarts."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **env: str) -> None:
        """Serve; returns when it is ready."""
        command = "from tracker.cli.main import main; main()"
        arguments = ["serve", "--data", str(self.data), "--host", "127.0.0.1", "--port", str(self.port)]
        log = (self.data.parent / "server.log").open("ab")
        with log:
            self.process = subprocess.Popen([sys.executable, "-c", command, *arguments], stdout=log, stderr=log, env={**os.environ, **env})
        until(self.healthy)

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            self.get("/health")
        except OSError:
            return False
        return True

    def signal(self, number: int) -> None:
        """Send a signal, and wait for the end when it is a deadly one."""
        assert self.process is not None
        self.process.send_signal(number)
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            self.process.wait(15)

    def get(self, path: str) -> Any:
        """The JSON at a path; None when there is nothing."""
        try:
            with urllib.request.urlopen(self.uri + path, timeout=5) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise

    def bytes(self, path: str) -> bytes:
        """The bytes at a path."""
        with urllib.request.urlopen(self.uri + path, timeout=30) as reply:
            return reply.read()

    def run(self, uid: str, project: str = "p") -> Any:
        """A run as the views show it; None when it is not there."""
        offset = self.get("/health")["offset"]
        return self.get(f"/v1/projects/{project}/runs/{uid}?min_offset={offset}")

    def events(self, uid: str, project: str = "p") -> list[dict[str, Any]]:
        """All events of a run, in the log's order."""
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            lines = self.bytes(f"/v1/events?after={after}&stream=run/{project}/{uid}&limit=1000").splitlines()
            page = [json.loads(line) for line in lines if line.strip()]
            if not page:
                return found
            found += page
            after = page[-1]["offset"]

    def steps(self, uid: str) -> list[int]:
        """The steps of all metric events, in the log's order."""
        return [e["event"].get("step", 0) for e in self.events(uid) if e["event"]["type"] == "metric.logged"]


@contextmanager
def serving(data: Path) -> Iterator[Server]:
    """A running server of a directory, killed in the end."""
    server = Server(data)
    server.start()
    try:
        yield server
    finally:
        assert server.process is not None
        server.process.kill()
        server.process.wait(15)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server."""
    with serving(tmp_path / "data") as server:
        yield server


@pytest.fixture(autouse=True)
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Journals lie in the test's own directory; what a test recorded is wound up after it."""
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    yield
    PROCESS.end()


Job = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """Starts a Python program in a process of its own, with TRACKER_URI set."""
    processes: list[subprocess.Popen[str]] = []

    def start(uri: str, code: str, **env: str) -> "subprocess.Popen[str]":
        program = tmp_path / f"job{len(processes)}.py"
        program.write_text(textwrap.dedent(code))
        process = subprocess.Popen(
            [sys.executable, str(program)],
            env={**os.environ, "TRACKER_URI": uri, "TRACKER_JOURNALS": str(tmp_path / "journals"), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
