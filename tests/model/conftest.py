"""A real server in a process of its own, a data directory, and this process's recording ended after each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sdk.conftest import Server
from tests.sdk.conftest import serving as running
from tracker.connection import PROCESS


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of a module."""
    with running(tmp_path_factory.mktemp("served") / "data") as server:
        yield server


@pytest.fixture(params=["directory", "server"])
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where runs are recorded: a directory of this process, or a server."""
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    uri = str(tmp_path / "data") if request.param == "directory" else request.getfixturevalue("serving").uri
    monkeypatch.setenv("TRACKER_URI", uri)
    yield uri
    PROCESS.end()
