"""A log in a directory of its own, and short ways to fill it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from events.log import EventLog, open_log
from events.record import New
from events.sqlite import open_sqlite
from events.types import ConsoleWritten, LabelSet, MetricLogged

OpenLog = Callable[[], AbstractAsyncContextManager[EventLog]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's log is."""
    return tmp_path / "log.db"


@pytest.fixture
def opened(path: Path) -> OpenLog:
    """Opens the test's log for writing, as often as wanted."""

    @asynccontextmanager
    async def open_it() -> AsyncIterator[EventLog]:
        async with open_sqlite(path, write=True) as store, open_log(store) as log:
            yield log

    return open_it


@pytest.fixture
async def log(opened: OpenLog) -> AsyncIterator[EventLog]:
    """The test's log, open for writing."""
    async with opened() as log:
        yield log


@pytest.fixture
def labels() -> Callable[..., New]:
    """`labels(sequence, count, stream=, producer=)`: so many labels set."""

    def make(sequence: int = 1, count: int = 1, *, stream: str = "run/p/a", producer: str = "p") -> New:
        events = [LabelSet(time=1, key="k", value=f"{producer} {sequence + i}") for i in range(count)]
        return New(stream=stream, events=[*events], producer=producer, sequence=sequence)

    return make


@pytest.fixture
def metrics() -> Callable[..., New]:
    """`metrics(sequence, count, stream=, producer=)`: so many points of a series."""

    def make(sequence: int = 1, count: int = 1, *, stream: str = "run/p/a", producer: str = "p") -> New:
        events = [MetricLogged(time=sequence + i, key="loss", value=0.1 * i, step=sequence + i) for i in range(count)]
        return New(stream=stream, events=[*events], producer=producer, sequence=sequence)

    return make


@pytest.fixture
def console() -> Callable[..., New]:
    """`console(sequence, data, stream=, producer=)`: bytes printed."""

    def make(sequence: int, data: bytes, *, stream: str = "run/p/a", producer: str = "p") -> New:
        return New(stream=stream, events=[ConsoleWritten(time=1, data=data)], producer=producer, sequence=sequence)

    return make
