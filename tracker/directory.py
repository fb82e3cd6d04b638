"""An open data directory, as use cases see it: the log, what it means, the bytes of artifacts, and who is alive. Made by `app.open_app`."""

from collections.abc import Sequence
from time import time_ns
from typing import cast
from uuid import uuid4

import anyio

from events.codec import AnyEvent
from events.errors import EventsError
from events.log import EventLog, LogReader, Receipt
from events.logger import Logger
from events.record import New
from events.types import RunLost
from projections.runs import RUNNING, RUNS
from projections.views import Views
from tracker.blobs import Blobs
from tracker.counters import Counters
from tracker.errors import NotFound, Unavailable
from tracker.keys import STREAM, Keys
from tracker.leases import Leases
from tracker.moments import Moments
from tracker.names import run_stream
from tracker.settings import Settings

logger = Logger("tracker.directory")
_RUNNING = """SELECT r.project, r.uid, a.producer FROM runs r LEFT JOIN attempts a ON a.run = r.id AND a.ended_at = 0
WHERE r.state = ? AND r.iteration = 0 AND r.deleted = 0"""


class App:
    """An open data directory."""

    def __init__(self, settings: Settings, log: LogReader, views: Views) -> None:
        self.settings = settings
        self.views = views
        self.blobs = Blobs(settings.data / "blobs")
        self.leases = Leases(settings.lost_after)
        self.keys = Keys()
        self.moments = Moments(log)
        self.counters = Counters()
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
            with anyio.CancelScope(shield=True):  # a caller who leaves must not leave us in doubt about our own sequence
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
        async for batch in self._log.read(stream=STREAM):
            for event in batch.events:
                self.keys.take(event)
        for project, uid, producer in await self.views.fetch(_RUNNING, (RUNNING,)):
            self.leases.sign(project, uid, producer or "")
