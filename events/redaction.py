"""Lawful removal: the content of events goes, their places stay, and the log says who removed it and why.

The batch gets a new body, in which `Redacted` stands where each event stood and all else is byte for byte as it was; the digest of the
body as first written stays in `original`, so the chain still verifies. The notice, an EventRedacted, commits to the new body. One notice
is enough for events that follow each other in one batch.
"""

from hashlib import sha256

import msgspec

from events.codec import replace, tag_of
from events.errors import InvalidEvent
from events.record import Batch, New
from events.types import EventRedacted, Redacted

STREAM = "log/redactions"
PRODUCER = "log"


def redacted(batch: Batch, offset: int, count: int = 1) -> Batch:
    """The batch without the content of its `count` events from `offset` on."""
    if count < 1 or offset + count - 1 > batch.last:
        raise InvalidEvent(f"there are no {count} events at offset {offset} in one batch: it ends at {batch.last}")
    if batch.stream == STREAM:
        raise InvalidEvent(f"the event at offset {offset} tells of a redaction: it stays")
    i = offset - batch.offset
    events = batch.events[i : i + count]
    for at, event in enumerate(events, offset):
        if isinstance(event, Redacted):
            raise InvalidEvent(f"the event at offset {at} was redacted before")
    body = replace(batch.body, i, *[Redacted(time=event.time, was=tag_of(event)) for event in events])
    return msgspec.structs.replace(batch, body=body, original=batch.original or sha256(batch.body).digest())


def notice(batch: Batch, offset: int, count: int = 1, *, reason: str, actor: str, time: int, sequence: int) -> New:
    """What the log says about `batch`, which is the redacted one."""
    event = EventRedacted(time=time, offset=offset, body=sha256(batch.body).hexdigest(), reason=reason, count=count)
    return New(stream=STREAM, events=[event], producer=PRODUCER, sequence=sequence, actor=actor)
