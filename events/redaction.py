"""Lawful removal: the content of one event goes, its place stays, and the log says who removed it and why.

The batch gets a new body, in which `Redacted` stands where the event stood and all else is byte for byte as it was; the digest of the
body as first written stays in `original`, so the chain still verifies. The notice, an EventRedacted, commits to the new body.
"""

from hashlib import sha256

import msgspec

from events.codec import replace, tag_of
from events.errors import InvalidEvent
from events.record import Batch, New
from events.types import EventRedacted, Redacted

STREAM = "log/redactions"
PRODUCER = "log"


def redacted(batch: Batch, offset: int) -> Batch:
    """The batch without the content of its event at `offset`."""
    i = offset - batch.offset
    event = batch.events[i]
    if isinstance(event, Redacted):
        raise InvalidEvent(f"the event at offset {offset} was redacted before")
    if batch.stream == STREAM:
        raise InvalidEvent(f"the event at offset {offset} tells of a redaction: it stays")
    body = replace(batch.body, i, Redacted(time=event.time, was=tag_of(event)))
    return msgspec.structs.replace(batch, body=body, original=batch.original or sha256(batch.body).digest())


def notice(batch: Batch, offset: int, *, reason: str, actor: str, time: int, sequence: int) -> New:
    """What the log says about `batch`, which is the redacted one."""
    event = EventRedacted(time=time, offset=offset, body=sha256(batch.body).hexdigest(), reason=reason)
    return New(stream=STREAM, events=[event], producer=PRODUCER, sequence=sequence, actor=actor)
