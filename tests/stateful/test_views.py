"""The views of a directory through a whole life: in whatever order things happen to them, in the end they are a plain fold of the log."""

import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from events.codec import AnyEvent
from events.log import EventLog, open_log
from events.record import Batch, New
from events.sqlite import open_sqlite
from projections.base import Projection
from projections.lifecycle import Runs
from projections.rebuild import keep_views, rebuild
from projections.registry import PROJECTIONS
from projections.views import Views
from tests.oracle.histories import fold, of_runs, rows_of

BOUND = 30.0
STREAMS = ["run/p/a", "run/p/b", "run/q/a"]


@st.composite
def appends(draw: st.DrawFn) -> list[AnyEvent]:
    """What one append records. (A function, so that its name is all hypothesis prints of a large strategy.)"""
    return draw(st.lists(of_runs, min_size=1, max_size=8))


class OtherRuns(Runs):
    """The same fold under another fingerprint."""

    version = 1_000


SHAPES: list[tuple[Projection, ...]] = [PROJECTIONS, (OtherRuns(), *PROJECTIONS[1:])]


@asynccontextmanager
async def opened(directory: Path, projections: tuple[Projection, ...]) -> AsyncIterator[tuple[EventLog, Views]]:
    """A directory's log and views."""
    async with (
        open_sqlite(directory / "log.db", write=True) as store,
        open_log(store) as log,
        keep_views(log, directory, projections) as views,
    ):
        yield log, views


async def every_batch(log: EventLog) -> list[Batch]:
    """The whole log."""
    return [batch async for batch in log.read()]


class LifeOfViews(RuleBasedStateMachine):
    """One data directory, written, closed, killed, upgraded and rebuilt."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.portal: BlockingPortal = self.stack.enter_context(start_blocking_portal("asyncio"))
        self.root = Path(self.stack.enter_context(TemporaryDirectory()))
        self.directory = self.root / "0"
        self.shape = 0
        self.sequences: Counter[str] = Counter()
        self.seen = 0

    @initialize()
    def begin(self) -> None:
        """An empty directory."""
        self.directory.mkdir()
        self.open()

    def open(self) -> None:
        """Open log and views."""
        self.opening: AbstractContextManager[tuple[EventLog, Views]] = self.portal.wrap_async_context_manager(
            opened(self.directory, SHAPES[self.shape])
        )
        self.log, self.views = self.opening.__enter__()

    def close(self) -> None:
        """Close them in good order."""
        self.opening.__exit__(None, None, None)

    @rule(stream=st.sampled_from(STREAMS), events=appends(), waits=st.booleans())
    def record(self, stream: str, events: list[AnyEvent], waits: bool) -> None:
        """Record some events, and perhaps wait until they are visible."""

        async def append() -> None:
            new = New(stream=stream, events=events, producer=stream, sequence=self.sequences[stream] + 1)
            receipt = await self.log.append(new)
            if waits:
                assert await self.views.wait(receipt.offset, BOUND)
                self.seen = receipt.offset

        self.portal.call(append)
        self.sequences[stream] += len(events)

    @rule()
    def rebuild(self) -> None:
        """Build the views again, and find nothing lost that was visible."""

        async def work() -> None:
            if self.views.writable:  # else a rebuild is under way already
                await rebuild(self.log, self.views, self.directory)

        self.portal.call(work)
        assert self.views.offset >= (self.seen if self.views.writable else 0)

    @rule(upgrade=st.booleans())
    def restart(self, upgrade: bool) -> None:
        """Close and open, perhaps with projections of another fingerprint."""
        self.close()
        self.shape = (self.shape + upgrade) % len(SHAPES)
        self.open()

    @rule()
    def kill(self) -> None:
        """Go on with what a killed process would have left, an old views file half deleted included."""

        async def settle() -> None:
            while not self.views.writable:  # noqa: ASYNC110 - a test may look
                await anyio.sleep(0.001)  # until it is rebuilt
            assert await self.views.wait(self.log.head.offset, BOUND)

        self.portal.call(settle)  # files that are being written cannot be copied as they are at one moment
        killed = self.root / str(int(self.directory.name) + 1)
        killed.mkdir()
        for file in self.directory.iterdir():
            with suppress(FileNotFoundError):
                shutil.copy2(file, killed)
        self.close()
        self.directory = killed
        self.open()

    def teardown(self) -> None:
        """In the end, every row of every view is what a plain fold of the log makes."""
        try:
            head = self.log.head.offset
            assert self.portal.call(self.views.wait, head, BOUND)
            found = self.portal.call(self.views.query, rows_of)
            assert found == rows_of(fold(self.portal.call(every_batch, self.log), [3]))
            self.close()
        finally:
            self.stack.close()


@pytest.mark.timeout(120)
def test_a_life_of_views() -> None:
    """Recording, restarts, kills, upgrades and rebuilds in any order leave exactly the views of the log."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(LifeOfViews, settings=settings(settings.get_profile("default"), max_examples=10, stateful_step_count=20))
