"""The composition root: a data directory, opened. Everything that lives as long as a server does is made, joined and ended here.

    <data>/lease                      held for life by the one process that writes
    <data>/log.db                     the log
    <data>/views-<fingerprint>.db     what it means
    <data>/blobs/                     bytes of artifacts
    <data>/journals/                  what other processes recorded here and we deliver
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import time_ns
from typing import cast
from uuid import uuid4

import anyio
import anyio.to_thread
import structlog

from events.codec import AnyEvent
from events.errors import EventsError
from events.lease import hold
from events.log import EventLog, LogReader, Receipt, open_log, open_reader
from events.record import New
from events.sqlite import open_sqlite
from events.types import RunLost
from projections.runs import RUNNING, RUNS
from projections.views import Views
from tracker.blobs import Blobs
from tracker.errors import NotFound, Unavailable
from tracker.leases import Leases
from tracker.service import access
from tracker.service.moments import Moments
from tracker.service.names import run_stream
from tracker.settings import Settings
from tracker.upkeep import keep_views, keep_writing

logger = structlog.get_logger("tracker.app")


class App:
    """An open data directory."""

    def __init__(self, settings: Settings, log: LogReader, views: Views) -> None:
        self.settings = settings
        self.views = views
        self.blobs = Blobs(settings.data / "blobs")
        self.leases = Leases(settings.lost_after)
        self.keys = access.Keys()
        self.moments = Moments(log)
        self.started_at = time_ns()
        self.ended = anyio.Event()  # set when the log takes nothing more
        self._log = log
        self._producer = f"server-{uuid4().hex}"
        self._sequence = 0
        self._turn = anyio.Lock()

    @property
    def log(self) -> EventLog:
        """The log; one opened for reading only has no `append`, and no use case calls it there."""
        return cast("EventLog", self._log)

    @property
    def writable(self) -> bool:
        """Whether this process is the directory's writer."""
        return isinstance(self._log, EventLog)

    async def record(self, stream: str, events: Sequence[AnyEvent], actor: str, *, expected_version: int | None = None) -> Receipt:
        """Record what the server itself has to say."""
        async with self._turn:
            new = New(stream=stream, events=list(events), producer=self._producer, sequence=self._sequence + 1, actor=actor)
            receipt = await self.log.append(new, expected_version=expected_version)
            self._sequence += len(events)
        return receipt

    async def seen(self, offset: int) -> None:
        """Return when the views show the event at `offset`. Raises Unavailable when they take too long, NotFound when there is none."""
        if offset > self.log.head.offset and not self.writable:
            await self._log.refresh()
        if offset > self.log.head.offset:
            raise NotFound(f"the log ends at offset {self.log.head.offset}", min_offset=offset)
        if not await self.views.wait(offset, self.settings.read_wait):
            raise Unavailable(f"the views have reached {self.views.offset}, not yet {offset}", retry_after=1.0)

    async def lose(self, project: str, uid: str, last: int) -> None:
        """Record that a run has shown no sign of life since `last`, if it is still thought to run."""
        await self.views.wait(self.log.head.offset, self.settings.read_wait)
        run = await self.views.get(RUNS, project, uid, 0)
        if run is None or run.state != RUNNING or run.deleted:
            return
        event = RunLost(time=time_ns(), last_sign=last, reason=f"no sign of life for {self.settings.lost_after:g} s")
        try:
            await self.record(run_stream(project, uid), [event], "server")
        except EventsError as error:
            logger.warning("not marked lost", project=project, uid=uid, error=str(error))

    async def load(self) -> None:
        """Bring to memory what lives there: tokens, and the leases of running runs."""
        async for batch in self._log.read(stream=access.STREAM):
            for event in batch.events:
                self.keys.take(event)
        for project, uid in await self.views.fetch("SELECT project, uid FROM runs WHERE state = ? AND iteration = 0", (RUNNING,)):
            self.leases.sign(project, uid)


@asynccontextmanager
async def open_app(settings: Settings, *, write: bool = True) -> AsyncIterator[App]:
    """The data directory `settings.data`, open. To write it takes its lease: raises DirectoryBusy when another process has it, and NewerFormat or
    Corrupt before anything is changed. Without `write` another process may be its writer; the views must exist then."""
    async with AsyncExitStack() as stack:
        if write:
            settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(hold(settings.data / "lease"))
        store = await stack.enter_async_context(open_sqlite(settings.data / "log.db", write=write))
        log: LogReader = await stack.enter_async_context(open_log(store) if write else open_reader(store))
        views = await stack.enter_async_context(keep_views(log, settings.data, write=write))
        app = App(settings, log, views)
        stack.push_async_callback(app.moments.close)
        await app.load()
        if write:
            await anyio.to_thread.run_sync(app.blobs.prepare)
            await stack.enter_async_context(keep_writing(app))
        yield app
