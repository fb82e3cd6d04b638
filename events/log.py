"""The event log: append with group commit, exactly once; read, tail and wait as in `reading`.

Callers queue; one task commits. It takes all that waits (up to a bound), seals it into batches and inserts them in one transaction,
so the more callers wait for a disk, the less each pays for it. An append returns after the fsync. A cancelled caller takes its
append back while it waits; once a commit has begun it happens, whole. A commit for which there is no space is taken back and refused;
the first one that fails otherwise ends the log: SQLite would accept the next after a failed fsync, with pages the kernel has dropped.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from anyio import CancelScope, Event, Lock, create_task_group, get_cancelled_exc_class, move_on_after

from events.codec import encode_plain, normal
from events.errors import DiskFull, InvalidEvent, LogClosed, Overloaded
from events.reading import LogReader
from events.record import Head, New
from events.redaction import PRODUCER, notice, redacted
from events.sealing import Append, Receipt, Sealer, check_names
from events.store import Store

WAITING, WAITING_BYTES = 10_000, 64 * 1024 * 1024  # appends and bytes in the queue; more is Overloaded
GROUP, GROUP_BYTES = 1_000, 16 * 1024 * 1024  # of one transaction


class EventLog(LogReader):
    """The log for its one writer. Made by `open_log`."""

    def __init__(self, store: Store, head: Head, clock: Callable[[], int]) -> None:
        super().__init__(store, head)
        self._sealer = Sealer(store, head, clock)
        self._clock = clock
        self._committing = Lock()
        self._queue: deque[Append] = deque()
        self._bytes = 0
        self._wake = Event()
        self._closing = False

    async def refresh(self) -> Head:
        """The head: nobody else writes."""
        return self._head

    async def append(self, new: New, *, expected_version: int | None = None, checked: bool = False) -> Receipt:
        """Record events durably, once, in the order of the calls; those whose sequences are known are left out.

        `expected_version` is where the stream must be before the first of them. `checked` says the events were decoded by `codec`
        and belong to the log now; others are taken through their stored form first. Raises InvalidEvent, SequenceGap,
        SequenceConflict, VersionConflict, Overloaded, DiskFull; and LogClosed or Fenced when only sending again can tell whether it
        was recorded.
        """
        if self._failure or self._closing:
            raise self._closed()
        check_names(new)
        plain, events = (encode_plain(new.events), new.events) if checked else normal(new.events)
        if self._queue and (len(self._queue) >= WAITING or self._bytes + len(plain) > WAITING_BYTES):
            raise Overloaded
        append = Append(new, events, plain, expected_version)
        self._queue.append(append)
        self._bytes += len(plain)
        self._wake.set()
        try:
            await append.done.wait()
        except get_cancelled_exc_class():
            append.withdrawn = True
            raise
        if append.receipt is None:
            raise append.error or self._closed()
        return append.receipt

    async def redact(self, offset: int, *, count: int = 1, reason: str, actor: str = "") -> Receipt:
        """Remove the content of `count` events of one batch, from `offset` on, for good, and record that; the receipt is of the
        EventRedacted. Raises InvalidEvent when there are no such events or one may not go. Views and journals may still hold what was
        removed."""
        async with self._committing:
            if self._failure or self._closing:
                raise self._closed()
            page = await self._store.read(offset - 1, 1) if offset > 0 else []
            if not page:
                raise InvalidEvent(f"there is no event at offset {offset}")
            batch = redacted(page[0], offset, count)
            position = await self._store.position(PRODUCER)
            new = notice(batch, offset, count, reason=reason, actor=actor, time=self._clock(), sequence=position + 1)
            plain, events = normal(new.events)
            append = Append(new, events, plain, None)
            try:
                with CancelScope(shield=True):
                    ((said, _),) = await self._sealer.seal([append])
                    await self._store.redact(batch, said, self._head)
            except DiskFull:
                self._sealer = Sealer(self._store, self._head, self._clock)
                raise
            except Exception as error:
                self._end(error)
                raise self._closed() from error
            self._recent.clear(said.last)
            self._advance(self._sealer.head, [said.stream])
            return Receipt(said.last, said.version)

    async def compact(self) -> None:
        """Give the space of what was redacted back to the file system. Appends wait meanwhile. Raises DiskFull when there is no room for
        a copy of the log; the space is then used for what comes next."""
        async with self._committing:
            if self._failure or self._closing:
                raise self._closed()
            with CancelScope(shield=True):
                await self._store.compact()

    async def _commit_what_comes(self) -> None:
        try:
            while self._queue or not self._closing:
                if self._queue:
                    async with self._committing:
                        await self._commit(self._take())
                else:
                    await self._wake.wait()
        except Exception as error:  # noqa: BLE001 - whatever failed, nothing may be written after it
            self._end(error)
        finally:
            self._end(LogClosed("the log is closed"))
            for append in self._queue:
                append.done.set()
            self._queue.clear()

    def _take(self) -> list[Append]:
        group: list[Append] = []
        size = 0
        while self._queue and len(group) < GROUP and size < GROUP_BYTES:
            append = self._queue.popleft()
            self._bytes -= len(append.plain)
            if not append.withdrawn:
                group.append(append)
                size += len(append.plain)
        if not self._queue:
            self._wake = Event()
            if self._closing:
                self._wake.set()
        return group

    async def _commit(self, group: list[Append]) -> None:
        try:
            with CancelScope(shield=True):
                sealed = await self._sealer.seal(group)
                batches = [batch for batch, _ in sealed]
                if batches:
                    await self._store.insert(batches, self._head)
        except DiskFull as error:
            self._sealer = Sealer(self._store, self._head, self._clock)  # what it had sealed was taken back
            for append in group:
                append.receipt, append.error = None, DiskFull(error.path)
                append.done.set()
            return
        except BaseException:
            for append in group:
                append.receipt = None  # it was not recorded, or nobody knows
                append.done.set()
            raise
        for batch, append in sealed:
            self._recent.add(batch, append.events, len(append.plain))
        if batches:
            self._advance(self._sealer.head, [batch.stream for batch in batches])
        for append in group:
            append.done.set()

    def _close(self) -> None:
        self._closing = True
        self._wake.set()


@asynccontextmanager
async def open_log(store: Store, *, clock: Callable[[], int] = time.time_ns) -> AsyncIterator[EventLog]:
    """The log over a store opened for writing. What waits at the end of the block is still committed."""
    log = EventLog(store, await store.head(), clock)
    async with _beside(log._commit_what_comes, log._close):
        yield log


@asynccontextmanager
async def open_reader(store: Store, *, interval: float = 0.2) -> AsyncIterator[LogReader]:
    """The log over any store, for reading only. Another process writes it, so the store is asked every `interval` seconds."""
    log = LogReader(store, await store.head())
    done = Event()

    async def watch() -> None:
        try:
            while not done.is_set():
                await log.refresh()
                with move_on_after(interval):
                    await done.wait()
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            log._end(error)
        finally:
            log._end(LogClosed("the log is closed"))

    async with _beside(watch, done.set):
        yield log


@asynccontextmanager
async def _beside(task: Callable[[], Coroutine[None, None, None]], stop: Callable[[], None]) -> AsyncIterator[None]:
    """Run `task` beside the block and let it finish after it. An error of the block comes out as it is, not in a group."""
    failure: Exception | None = None
    async with create_task_group() as tasks:
        tasks.start_soon(task)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below
            failure = error
        finally:
            stop()
    if failure:
        raise failure


__all__ = ["EventLog", "LogReader", "Receipt", "open_log", "open_reader"]
