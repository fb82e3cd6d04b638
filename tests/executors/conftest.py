"""Runs are recorded in a directory of each test's own, which this process opens, or by a server in another process."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.sdk.conftest import Server, serving, until
from tracker.connection import PROCESS
from tracker.errors import NotFound

__all__ = ["Running", "Server", "console", "run_at", "started", "until"]


@pytest.fixture(autouse=True)
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Records go to the test's own directory; what a test recorded is wound up after it."""
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    monkeypatch.setenv("TRACKER_URI", str(tmp_path / "data"))
    yield
    PROCESS.end()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server, for all tests of a module."""
    with serving(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


def run_at(uid: str, project: str = "p", uri: str = "", iteration: int = 0) -> Any:
    """A run as its target shows it; None when there is none."""
    connection = PROCESS.connection(uri)
    offset = connection.ask("GET", "/health").result(15)["offset"]
    params = {"min_offset": str(offset), **({"iteration": str(iteration)} if iteration else {})}
    try:
        return connection.ask("GET", f"/v1/projects/{project}/runs/{uid}", params).result(15)
    except NotFound:
        return None


def started(uid: str, uri: str = "", iteration: int = 0, result: str = "started") -> Any:
    """Wait until a run says, by a result of this name, that it is under way."""

    def look() -> Any:
        run = run_at(uid, uri=uri, iteration=iteration)
        return run if run and result in run["results"] else None

    return until(look)


def console(uid: str, project: str = "p", uri: str = "") -> str:
    """What a run printed, as its target has it."""
    connection = PROCESS.connection(uri)

    async def work() -> bytes:
        transport = await connection.sender.ready(10)
        return b"".join([chunk async for chunk in transport.stream(f"/v1/projects/{project}/runs/{uid}/log")])

    connection.ask("GET", "/health").result(15)
    return PROCESS.portal.submit(work()).result(15).decode()


class Running:
    """A run that works in a thread of this test."""

    def __init__(self, handler: Any, uid: str, **said: Any) -> None:
        self.uid, self.run = uid, None
        task = {"metadata": {"uid": uid, "project": "p"}}

        def work() -> None:
            self.run = tracker.run_function(handler, task, raise_on_failure=False, **said)

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def ended(self) -> Any:
        """The run, when it has ended."""
        self.thread.join(40)
        assert self.run is not None
        return self.run
