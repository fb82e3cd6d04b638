"""An event before and after it was recorded. Only the log turns the first into the second.

`New` is wanted: one stream's events by one producer. `Batch` happened: the unit of storage, compression and hashing.
`Recorded` is one event of a batch with its own offset, version and sequence, made on demand.
"""

from collections.abc import Iterator
from functools import cached_property

import msgspec

from events.codec import AnyEvent, decode
from events.errors import Corrupt


class New(msgspec.Struct, frozen=True, kw_only=True):
    """Events to record: consecutive in one stream. `sequence` is the producer's number of the first, counted from 1."""

    stream: str
    events: list[AnyEvent]
    producer: str
    sequence: int
    actor: str = ""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it stands in the log."""

    offset: int
    stream: str
    version: int
    recorded_at: int  # nanoseconds, never decreasing along the log
    actor: str
    producer: str
    sequence: int
    event: AnyEvent


class Batch(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What one append wrote. Numbers are those of the first event; the last is `number + count - 1`."""

    offset: int
    count: int
    stream: str
    version: int
    recorded_at: int
    actor: str
    producer: str
    sequence: int
    body: bytes
    digest: bytes
    original: bytes | None = None  # sha256 of the body as first written, when an event in it was redacted

    @property
    def last(self) -> int:
        """The offset of the last event."""
        return self.offset + self.count - 1

    @cached_property
    def events(self) -> list[AnyEvent]:
        """The decoded events; decoded once. Raises Corrupt when they cannot be, or are not as many as they should."""
        events = decode(self.body)
        if len(events) != self.count:
            raise Corrupt(f"the batch at offset {self.offset} holds {len(events)} events, not {self.count}", self.offset)
        return events

    @cached_property
    def kinds(self) -> frozenset[type]:
        """The types of its events, so that who cares for none of them is done at once."""
        return frozenset(map(type, self.events))

    def recorded(self, after: int = 0) -> Iterator[Recorded]:
        """The events one by one, those with an offset greater than `after`."""
        for i, event in enumerate(self.events):
            if self.offset + i > after:
                yield Recorded(
                    offset=self.offset + i,
                    stream=self.stream,
                    version=self.version + i,
                    recorded_at=self.recorded_at,
                    actor=self.actor,
                    producer=self.producer,
                    sequence=self.sequence + i,
                    event=event,
                )


class Head(msgspec.Struct, frozen=True):
    """Where the log ends: the offset and digest after which the next batch is chained, and the epoch of its writer."""

    offset: int = 0
    digest: bytes = b"\x00" * 32
    recorded_at: int = 0
    epoch: int = 0
