"""The log itself, as a feed: history after an offset, and then, if asked, what comes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from events.codec import AnyEvent, tag_of
from events.record import Batch
from events.types import Unknown
from tracker.directory import App
from tracker.errors import InvalidRequest, OutOfRange
from tracker.names import check_key, run_stream
from tracker.service.replies import Item, Items

Offset = Annotated[int, Meta(ge=0, lt=2**63 - 1)]


class ReadEvents(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Events after an offset: of one stream, of streams that begin with a prefix, of some tags (comma-separated). `limit` 0 = no limit."""

    after: Offset = 0
    follow: bool = False
    stream: str = ""
    prefix: str = ""
    types: str = ""
    limit: Offset = 0


class ReadRunEvents(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The events of one run after an offset."""

    project: str
    uid: str
    after: Offset = 0
    follow: bool = False
    types: str = ""
    limit: Offset = 0


class EventView(msgspec.Struct, kw_only=True):
    """One event as it stands in the log. `event` has its tag under "type"; a tag this version does not know comes whole."""

    offset: int
    stream: str
    version: int
    recorded_at: int
    actor: str
    producer: str
    sequence: int
    event: Any


async def read_events(app: App, request: ReadEvents) -> Items:
    """A stream of events. Raises OutOfRange when `after` is beyond the end."""
    if request.stream and request.prefix:
        raise InvalidRequest("give stream or prefix, not both", field="prefix")
    head = app.log.head.offset
    if request.after > head:
        raise OutOfRange(f"the log ends at offset {head}", size=head)
    for name in ("stream", "prefix"):
        if text := getattr(request, name):
            check_key(text, name)
    return Items(source=_events(app, request), follow=request.follow)


async def read_run_events(app: App, request: ReadRunEvents) -> Items:
    """A stream of one run's events."""
    return await read_events(
        app,
        ReadEvents(
            after=request.after,
            follow=request.follow,
            stream=run_stream(request.project, request.uid),
            types=request.types,
            limit=request.limit,
        ),
    )


async def _events(app: App, request: ReadEvents) -> AsyncGenerator[Item, None]:
    kinds = frozenset(part for part in request.types.split(",") if part)
    left = request.limit or 2**63
    stream, prefix = request.stream or None, request.prefix or None
    source = (app.log.tail if request.follow else app.log.read)(request.after, stream=stream, prefix=prefix)
    async with aclosing(source) as batches:
        async for batch in batches:
            events = batch.events
            first = max(request.after + 1 - batch.offset, 0)
            wanted = [i for i in range(first, batch.count) if not kinds or tag_of(events[i]) in kinds][:left]
            for i in wanted:
                yield _item(batch, i, events[i], more=i != wanted[-1])
            left -= len(wanted)
            if not left:
                return


def _item(batch: Batch, i: int, event: AnyEvent, *, more: bool) -> Item:
    view = EventView(
        offset=batch.offset + i,
        stream=batch.stream,
        version=batch.version + i,
        recorded_at=batch.recorded_at,
        actor=batch.actor,
        producer=batch.producer,
        sequence=batch.sequence + i,
        event=event.data if isinstance(event, Unknown) else event,
    )
    return Item(str(view.offset), tag_of(event), view, more)
