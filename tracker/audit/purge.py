"""Purging: a run in the trash loses its content for good. Its place, the proof of the rest, and a receipt stay.

Every event of the run is redacted, range by range, but for those that say it was deleted or purged: so the views, folded anew, still
have the run in the trash, without anything in it. The bytes of an artifact go just before the event that names them, unless
an event of another run names the same bytes; so whatever interrupts a purge, the next one finds what is left to do. Memory
is one page of the log and the digests of the run's artifacts. For the holder of the directory; nobody may be uploading meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from itertools import chain
from time import time_ns
from uuid import uuid4

import msgspec
from anyio import CancelScope

from events.codec import AnyEvent, encode_plain
from events.errors import DiskFull
from events.log import EventLog
from events.reading import LogReader
from events.record import Batch, New
from events.types import ArtifactLogged, Redacted, RunDeleted, RunPurged, RunRestored, Unknown
from tracker.blobs import Blobs
from tracker.digests import digests_of
from tracker.errors import Conflict, NotFound
from tracker.names import run_stream

Progress = Callable[[str, int, int], None]  # what is being done, how far, of how much


class Content(msgspec.Struct, kw_only=True):
    """What a run in the trash still holds. `bytes` are those of its events before compression."""

    events: int = 0
    bytes: int = 0
    digests: set[str] = set()
    deleted: bool = False
    purged: int = 0  # when, 0 = never
    head: int = 0  # offset of its last event


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What went. `offset` is where the log says so; `kept` counts files of artifacts that stay, for another run has the same.
    `compacted` tells whether the log's file got smaller: without room for a copy it keeps the space for what comes next."""

    offset: int
    events: int
    bytes: int  # of events before compression, and of files
    blobs: int
    kept: int
    compacted: bool


async def survey(log: LogReader, project: str, uid: str) -> Content:
    """What there is to purge. Raises NotFound, or Conflict when the run is not in the trash or nothing of it is left."""
    name, found = f"{project}/{uid}", Content()
    async with aclosing(log.read(stream=run_stream(project, uid))) as batches:
        async for batch in batches:
            _count(found, batch)
    if not found.head:
        raise NotFound(f"there is no run {name}")
    if not found.deleted:
        raise Conflict(f"run {name} is not in the trash: delete it first", project=project, uid=uid)
    if found.purged and not found.events:
        raise Conflict(f"run {name} was purged before: nothing of it is left", project=project, uid=uid)
    return found


def _count(found: Content, batch: Batch) -> None:
    found.head = batch.last
    for _, events in removable(batch):
        found.events += len(events)
        found.bytes += len(encode_plain(events))
        found.digests.update(*map(digests_of, events))
    for event in batch.events:
        if isinstance(event, RunPurged):
            found.purged = event.time or 1
        elif isinstance(event, (RunDeleted, RunRestored)) and not event.iteration:
            found.deleted = isinstance(event, RunDeleted) or (found.deleted and bool(found.purged))


def removable(batch: Batch) -> Iterator[tuple[int, Sequence[AnyEvent]]]:
    """The events of a run's batch that a purge removes: ranges without a gap, each with the offset where it begins."""
    events: list[AnyEvent] = []
    for offset, event in enumerate(batch.events, batch.offset):
        if not _stays(event):
            events.append(event)
        elif events:
            yield offset - len(events), events
            events = []
    if events:
        yield batch.last + 1 - len(events), events


def _stays(event: AnyEvent) -> bool:
    return isinstance(event, (Redacted, RunPurged)) or (isinstance(event, RunDeleted) and not event.iteration)


async def purge(
    log: EventLog, blobs: Blobs, project: str, uid: str, *, reason: str, actor: str = "", progress: Progress = lambda *_: None
) -> Receipt:
    """Remove the content of a run in the trash for good, and record that. Views still hold what was removed: whoever calls this has
    forgotten them, or does so then. Raises NotFound or Conflict (see `survey`) before anything is removed."""
    content = await survey(log, project, uid)
    stream = run_stream(project, uid)
    shared = await _shared(log, stream, content.digests, progress)
    work = _Purge(log, blobs, content.digests - shared, reason, actor)
    async with aclosing(log.read(stream=stream, until=content.head)) as batches:
        async for batch in batches:
            for offset, events in removable(batch):
                with CancelScope(shield=True):  # bytes and the event that names them go together
                    await work.remove(offset, events)
                progress("removing events", work.events, content.events)
    progress("giving space back", 0, 0)
    try:
        await log.compact()
        compacted = True
    except DiskFull:
        compacted = False
    event = RunPurged(time=time_ns(), reason=reason, events=work.events, bytes=work.bytes, blobs=work.blobs)
    said = await log.append(New(stream=stream, events=[event], producer=f"purge-{uuid4().hex}", sequence=1, actor=actor))
    return Receipt(offset=said.offset, events=work.events, bytes=work.bytes, blobs=work.blobs, kept=len(shared), compacted=compacted)


class _Purge:
    """Removes ranges of events, each with the bytes that only they name, and counts."""

    def __init__(self, log: EventLog, blobs: Blobs, digests: set[str], reason: str, actor: str) -> None:
        self._log, self._blobs, self._digests, self._reason, self._actor = log, blobs, digests, reason, actor
        self.events = self.bytes = self.blobs = 0

    async def remove(self, offset: int, events: Sequence[AnyEvent]) -> None:
        for digest in self._digests.intersection(chain.from_iterable(map(digests_of, events))):
            size = await self._blobs.remove(digest)
            self._digests.discard(digest)
            if size is not None:
                self.blobs += 1
                self.bytes += size
        await self._log.redact(offset, count=len(events), reason=self._reason, actor=self._actor)
        self.events += len(events)
        self.bytes += len(encode_plain(events))


async def _shared(log: LogReader, stream: str, digests: set[str], progress: Progress) -> set[str]:
    """Those of the digests that events of other streams name, by the log itself: views may be behind, or changed."""
    found: set[str] = set()
    until = log.head.offset
    if not digests:
        return found
    async with aclosing(log.read(until=until)) as batches:
        async for batch in batches:
            if batch.stream != stream and not batch.kinds.isdisjoint((ArtifactLogged, Unknown)):
                found |= digests.intersection(chain.from_iterable(map(digests_of, batch.events)))
                if len(found) == len(digests):
                    break
            progress("looking for shared files", batch.last, until)
    return found
