"""A recorded directory, the same behind a server, and the command line."""

import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
import structlog
from anyio.from_thread import start_blocking_portal
from click.testing import CliRunner, Result

from tests.cli.sample import write
from tracker.cli.main import tracker
from tracker.server.serve import running
from tracker.settings import Settings

Tracker = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two runs; nobody has opened it yet, so it has no views."""
    directory = tmp_path / "data"
    directory.mkdir()
    anyio.run(write, directory)
    return directory


@pytest.fixture
def server(data: Path) -> Iterator[str]:
    """The same directory behind a server, which keeps its request log to itself."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running(Settings(data=data, port=0))) as served:
        yield served.url
    structlog.reset_defaults()


@pytest.fixture(params=["directory", "server"])
def uri(request: pytest.FixtureRequest, data: Path) -> str:
    """Where to look: once the directory itself, once its server."""
    return str(data) if request.param == "directory" else str(request.getfixturevalue("server"))


@pytest.fixture
def run() -> Tracker:
    """Run `tracker` with these words; fails on a traceback. `code` is the exit code that is expected."""

    def run(*words: str, code: int = 0, input: bytes | None = None) -> Result:
        result = CliRunner().invoke(tracker, list(words), input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
