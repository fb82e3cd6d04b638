"""Recording: from a call in user code to bytes in the journal, in microseconds, without ever waiting for anybody.

One recorder per process and target, shared by all contexts and threads. It never raises into user code for a reason of the tracker's
own: when the journal cannot be written (disk full, directory gone), events wait in a bounded memory, then are counted, and an
`EventsMissed` event says how many as soon as it can. The sender, in the background thread, reads the journal's file as any other
reader would; all that crosses over is "there is something new". A forked child keeps the recorder, with its own journal and producer.
"""

import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from events.codec import AnyEvent
from events.types import EventsMissed
from tracker.complaints import Complaints
from tracker.errors import InvalidRequest
from tracker.journal import Journal

_encode = msgspec.msgpack.Encoder().encode

Entry = tuple[bytes, int, bytes]  # stream, count of events, the events

HOLD_BYTES = 1024 * 1024  # events kept in memory while the journal cannot be written
RETRY = 0.25  # seconds between tries to write it again
SYNC = 0.25  # seconds after which what was said survives a power cut, too


def new_id() -> str:
    """A time-ordered id of 32 hex digits: 48 bits of milliseconds, then randomness (UUIDv7-like)."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Recorder:
    """Writes events to the journal. All methods may be called from any thread, and from signal handlers."""

    def __init__(self, uri: str, directory: Path) -> None:
        self.uri, self.directory = uri, directory
        self.parent = ""
        self.complaints = Complaints(uri)
        self.wake: Callable[[], None] = _nobody  # tells the sender that there is something; replaced while the sender sleeps
        self._fresh()

    def _fresh(self) -> None:
        self.producer = new_id()
        self.journal: Journal | None = None
        self.runs: dict[tuple[str, str], Callable[[], None]] = {}  # (project, uid) of runs active here, and how they end with the process
        self._lock = threading.RLock()
        self._busy = False
        self._deferred: list[Entry] = []  # said by a signal handler in the middle of a call
        # said while the journal could not be written; counts by stream where there was no room
        self._held: list[Entry | Counter[bytes]] = []
        self._held_bytes = 0
        self._reason = ""
        self._complaint: tuple[str, str] | None = None  # kind and text
        self._retry_at = 0.0
        self._synced_at = 0.0

    @property
    def written(self) -> int:
        """The sequence of the last event in the journal."""
        return self.journal.written if self.journal else 0

    @property
    def troubled(self) -> bool:
        """Whether events wait in memory because the journal cannot be written."""
        return bool(self._held)

    @property
    def missing(self) -> int:
        """How many events were said and are not in the journal."""
        return sum(sum(entry.values()) if isinstance(entry, Counter) else entry[1] for entry in self._held)

    @property
    def unsynced(self) -> bool:
        """Whether there is anything that a power cut would take away."""
        return self.troubled or (self.journal is not None and self.journal.dirty)

    def record(self, stream: bytes, events: Sequence[AnyEvent]) -> int:
        """Keep events of one stream, in order; returns the sequence of the last event now in the journal."""
        try:
            encoded = b"".join([_encode(event) for event in events])
        except UnicodeEncodeError:
            raise InvalidRequest("a text holds half a surrogate pair, which is not Unicode", field="value") from None
        return self.record_raw(stream, len(events), encoded)

    def record_raw(self, stream: bytes, count: int, events: bytes) -> int:
        """`record`, for events already encoded, one after the other."""
        with self._lock:
            if self._busy:
                self._deferred.append((stream, count, events))
                return self.written
            self._busy = True
            try:
                if self._held or self.journal is None:
                    self._keep(stream, count, events)
                else:
                    try:
                        self.journal.append(stream, count, events)
                    except OSError as error:
                        self._hold(stream, count, events, error)
                while self._deferred:
                    self._keep(*self._deferred.pop(0))
            finally:
                self._busy = False
        if self._complaint:
            self._complain()
        self.wake()
        return self.written

    def retry(self) -> None:
        """Try again to write what waits in memory."""
        if self._held:
            self._retry_at = 0.0
            self._exclusively(self._release)

    def sync(self) -> None:
        """Make what was recorded survive a power cut, if the disk lets us; and the deletion of the journal, if somebody did that."""
        self._synced_at = time.monotonic()
        self.retry()
        try:
            if self.journal is not None:
                self._exclusively(self._restore)
                self.journal.sync()
        except OSError as error:
            self.complaints.say("sync", f"the journal in {self.directory} cannot be synced ({error}); the job goes on")

    def settle(self) -> None:
        """`sync`, for the end of a run; runs that end in quick succession share the sync that the sender does a moment later."""
        if time.monotonic() - self._synced_at > SYNC:
            self.sync()

    def close(self, acknowledged: int) -> None:
        """Close the journal; the file goes when all in it is acknowledged."""
        if acknowledged < self.written:
            self.sync()
        with self._lock:
            if self.journal is not None:
                self.journal.close(acknowledged)
                (self.directory / f"{self.producer}.signs").unlink(missing_ok=True)

    def forked(self) -> None:
        """Become the recorder of a forked child: the journal, the lock and what waits in memory are the parent's."""
        if self.journal is not None:
            self.journal.abandon()
        self.parent, self.wake = self.producer, _nobody
        self._fresh()

    def _exclusively(self, work: Callable[[], object]) -> None:
        """Work on the journal; what a signal handler says meanwhile comes after it."""
        before = self.written
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                work()
                while self._deferred:
                    self._keep(*self._deferred.pop(0))
            finally:
                self._busy = False
        if self._complaint:
            self._complain()
        if self.written > before:
            self.wake()

    def _restore(self) -> None:
        if self.journal is not None and self.journal.restore():
            self._complaint = "deleted", f"the journal was deleted from {self.directory} under the job; it is written anew, nothing is lost"

    def _keep(self, stream: bytes, count: int, events: bytes) -> None:
        """Write, after what waits in memory; or hold."""
        if not _droppable(events):
            self._retry_at = 0.0  # rare, and worth a try
        if self._release():
            assert self.journal is not None
            try:
                self.journal.append(stream, count, events)
            except OSError as error:
                self._hold(stream, count, events, error)
        else:
            self._hold(stream, count, events, None)

    def _release(self) -> bool:
        """Bring what waits in memory into the journal; False when the journal still cannot be written."""
        if self._retry_at > time.monotonic():
            return False
        try:
            if self.journal is None:
                self.journal = Journal(self.directory, self.uri, self.producer, parent=self.parent)
            while self._held:
                entry = self._held[0]
                if isinstance(entry, Counter):
                    self._tell_missed(self.journal, entry)
                else:
                    self.journal.append(*entry)
                    self._held_bytes -= len(entry[2])
                self._held.pop(0)
        except OSError as error:
            self._trouble(error)
            return False
        return True

    def _hold(self, stream: bytes, count: int, events: bytes, error: OSError | None) -> None:
        if error is not None:
            self._trouble(error)
        last = self._held[-1] if self._held else None
        bound = HOLD_BYTES if _droppable(events) else 2 * HOLD_BYTES
        if self._held_bytes + len(events) <= bound and not (bound == HOLD_BYTES and isinstance(last, Counter)):
            self._held.append((stream, count, events))
            self._held_bytes += len(events)
        elif isinstance(last, Counter):
            last[stream] += count
        else:
            self._held.append(Counter({stream: count}))

    def _tell_missed(self, journal: Journal, missed: Counter[bytes]) -> None:
        while missed:
            stream, count = next(iter(missed.items()))
            journal.append(stream, 1, _encode(EventsMissed(time=time.time_ns(), count=count, reason=self._reason)))
            del missed[stream]

    def _trouble(self, error: OSError) -> None:
        self._retry_at = time.monotonic() + RETRY
        self._reason = f"the journal could not be written: {os.strerror(error.errno) if error.errno else error}"
        self._complaint = "journal", f"the journal in {self.directory} cannot be written ({error}); the job goes on, events wait in memory"

    def _complain(self) -> None:
        # Outside the lock: stderr may be a pipe that is emptied by a thread which records.
        if (complaint := self._complaint) is not None:
            self._complaint = None
            self.complaints.say(*complaint)


def _droppable(events: bytes) -> bool:
    """Whether these are events that come by the thousand; what a run went through is held twice as long."""
    return b"metric.logged" in events or b"console.written" in events


def _nobody() -> None:
    pass
