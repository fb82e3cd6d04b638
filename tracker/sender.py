"""Shipping a live journal: everything new, in big requests, in order, for as long as it takes.

The sender runs in the portal's loop. It sleeps until the recorder says there is something, lingers a moment so that many calls become one
request, and sends. Trouble that may pass is waited out with growing, jittered pauses; the events stay in the journal. What was acknowledged
is known here only: after a crash the whole journal is offered again, and the log drops what it has.
"""

import random
import time
from collections.abc import Callable

import anyio
import anyio.to_thread

from events.errors import Overloaded
from tracker.blobs import sweep
from tracker.delivery import Reopen, Shipper, deliver, requests, staging
from tracker.errors import Unavailable, Unreachable
from tracker.journal_reader import JournalReader, is_alive, read_header, scan
from tracker.recorder import SYNC, Recorder
from tracker.settings import Settings, Target
from tracker.transport import Transport, open_transport

LINGER = 0.02  # seconds in which calls gather into the first request after a silence
LONGEST_LINGER = 0.2  # in a steady flow: few, big requests leave the interpreter to the job
BEAT = 10.0  # seconds between heartbeats, or a quarter of what the target bears
FIRST_BEAT = 1.0
LONGEST_PAUSE = 30.0
LAST_TRY = 1.0  # seconds for a target that was away when the process ends


class Sender:
    """Delivers one recorder's journal. Lives in the loop; `acknowledged`, `offset` and `reachable` may be read from any thread."""

    def __init__(self, recorder: Recorder, target: Target, settings: Settings, arm: Callable[[Callable[[], None]], None]) -> None:
        self.acknowledged = 0  # sequence of the last event known to be stored at the target
        self.offset = 0  # of the target's log
        self.reachable: bool | None = None  # None until the first answer
        self.transport: Transport | None = None
        self._recorder, self._target, self._settings, self._arm = recorder, target, settings, arm
        self._news = anyio.Event()
        self._dirty = anyio.Event()
        self._progress = anyio.Event()
        self._hurry = anyio.Event()  # somebody waits: do not linger
        self._orphans = anyio.Lock()
        self._retry = anyio.Event()  # the process ends: do not pause
        self._reader: JournalReader | None = None
        self._failures = 0  # since the last answer
        self._absences = 0  # tries that found nobody who could help, ever
        self._closing = False
        self._reopen = False  # the transport said that it should be opened again
        self._work: anyio.CancelScope | None = None
        self.closed = anyio.Event()

    async def run(self) -> None:
        """Ship until told to close."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._sync_for_ever)
                while not self._closing:
                    await self._open_and_serve()
                tasks.cancel_scope.cancel()
        finally:
            self.closed.set()

    async def _open_and_serve(self) -> None:
        """Serve over one transport until it fails; then pause."""
        try:
            async with open_transport(self._target, self._settings) as transport:
                with anyio.CancelScope() as self._work:
                    await self._serve(transport)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job goes on, and what it says is kept
            if self._reopen:  # whatever closing it said
                self._reopen = False
                return
            cause: BaseException = error
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            with anyio.CancelScope() as self._work:
                await self._pause(cause)

    async def close(self) -> None:
        """End all work, close the transport as it should be closed, and return when that is done."""
        self._closing = True
        if self._work is not None:
            self._work.cancel()
        await self.closed.wait()

    async def flush(self, timeout: float) -> bool:
        """Wait until all that is recorded now is stored at the target; False when that takes longer, or the target turns out to be away."""
        if self._recorder.troubled:
            await anyio.to_thread.run_sync(self._recorder.retry)
        sequence, absences = self._recorder.written, self._absences
        self._hurry.set()
        self._woken()
        with anyio.move_on_after(timeout):
            while self.acknowledged < sequence:
                if self._absences > absences:
                    return False
                await self._progress.wait()
            return not self._recorder.troubled
        return False

    async def ready(self, timeout: float) -> Transport:
        """The open transport. Raises TimeoutError."""
        with anyio.fail_after(timeout):
            while self.transport is None:
                await self._progress.wait()
        return self.transport

    async def _serve(self, transport: Transport) -> None:
        self.transport = transport
        self._advance()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._beat_for_ever, transport)
                tasks.start_soon(self._deliver_orphans, transport)
                while True:
                    await self._wait_for_news()
                    await self._ship_what_flows(transport)
        finally:
            self.transport = None

    async def _ship_what_flows(self, transport: Transport) -> None:
        """Ship until nothing more comes. Meanwhile the recorder need not wake anybody, which would cost the job a system call."""
        linger = LINGER
        while True:
            with anyio.move_on_after(linger):
                await self._hurry.wait()
            if self._recorder.written <= self.acknowledged:
                return
            self._hurry = anyio.Event()
            await self._ship(transport)
            linger = min(2 * linger, LONGEST_LINGER)

    async def _ship(self, transport: Transport) -> None:
        if self._reader is None:
            await anyio.to_thread.run_sync(self._recorder.sync)  # so that the journal is where it should be
            (first, *_) = scan(self._recorder.directory)[self._recorder.producer]
            self._reader = JournalReader(first)
        try:
            shipper = Shipper(transport, self._recorder.directory, self._recorder.uri)
            while pieces := self._reader.read():
                for request in requests(pieces):
                    self.offset = max(self.offset, await shipper.ship(request))
                    self._acknowledge(request[-1].last)
        except BaseException as error:
            self._reopen = isinstance(error, Reopen)
            if self._reopen and error.args:
                self._recorder.complaints.say("gone", str(error))
            self._reader.close()
            self._reader = None  # begin again at the first event not yet acknowledged
            raise
        if shipper.refused:
            self._recorder.complaints.say(
                "refused", f"{shipper.refused} events were refused; they are in {self._recorder.producer}.rejected"
            )

    def _acknowledge(self, sequence: int) -> None:
        self.acknowledged, self.reachable, self._failures = max(sequence, self.acknowledged), True, 0
        if self._recorder.journal is not None:
            self._recorder.journal.acknowledge(sequence)
        self._recorder.complaints.over("sending", "recording reaches its target again")
        self._advance()

    def _advance(self) -> None:
        progress, self._progress = self._progress, anyio.Event()
        progress.set()

    async def _wait_for_news(self) -> None:
        self._news = anyio.Event()
        self._arm(self._woken)
        if self._recorder.written <= self.acknowledged:
            await self._news.wait()

    def _woken(self) -> None:
        self._news.set()
        self._dirty.set()

    async def _pause(self, error: BaseException) -> None:
        self._failures += 1
        if not isinstance(error, (Overloaded, Unavailable)) or isinstance(error, Unreachable):
            self.reachable = False
            self._absences += 1
        self._advance()
        what = str(error) or type(error).__name__
        if not self._recorder.troubled:  # else a person has heard of the journal, which comes first
            self._recorder.complaints.say("sending", f"{what}; events are kept in {self._recorder.directory} until they can be delivered")
        longest = min(LONGEST_PAUSE, 0.2 * 2 ** min(self._failures, 10))
        asked = float(getattr(error, "retry_after", 0.0))
        with anyio.move_on_after(max(asked, random.uniform(longest / 2, longest))):
            await self._retry.wait()
        self._retry = anyio.Event()

    async def _sync_for_ever(self) -> None:
        """Sync the journal a moment after it changed; also brings back what waits in memory for a full disk."""
        while True:
            await self._dirty.wait()
            self._dirty = anyio.Event()
            await anyio.sleep(SYNC)
            await anyio.to_thread.run_sync(self._recorder.sync)
            if not self._recorder.unsynced:
                self._arm(self._woken)
            if self._recorder.unsynced:  # asked again: something may have come before the bell was there
                self._dirty.set()

    async def _beat_for_ever(self, transport: Transport) -> None:
        pause = FIRST_BEAT
        while True:
            await anyio.sleep(pause)
            if runs := list(self._recorder.runs):
                pause = min(BEAT, await transport.beat(self._recorder.producer, runs) / 4)

    async def _deliver_orphans(self, transport: Transport) -> None:
        """Deliver what dead processes left here for the same target."""
        async with self._orphans:
            await self._deliver_dead(transport)
            if (drafts := staging(self._recorder.directory) / "tmp").exists():
                await anyio.to_thread.run_sync(sweep, drafts)

    async def _deliver_dead(self, transport: Transport) -> None:
        for segments in scan(self._recorder.directory).values():
            try:
                mine = read_header(segments[0])[0].uri == self._recorder.uri
            except (ValueError, OSError):
                continue  # for `tracker sync`, which says what is wrong with it
            if mine and not is_alive(segments[-1]):
                await deliver(segments[0], transport)

    async def settle(self, bound: float) -> bool:
        """At the end of the process: wait at most `bound` seconds for what is recorded here, and in forked children that have ended."""
        until = time.monotonic() + (min(bound, LAST_TRY) if self.reachable is False else bound)
        self._retry.set()
        done = await self.flush(max(0.0, until - time.monotonic()))
        if done and self.transport is not None:
            with anyio.move_on_after(max(0.0, until - time.monotonic())):
                await self._deliver_orphans(self.transport)
        return done
