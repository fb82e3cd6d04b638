"""From what a transport gives to what `audit` takes: runs by the name a person types, and events out of the feed."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import quote

import click
import msgspec

from events.codec import event_from
from events.record import Recorded
from tracker.audit.moment import Moment, parse_moment
from tracker.errors import InvalidRequest
from tracker.names import check_name
from tracker.transport import Transport


class RunName(msgspec.Struct, frozen=True):
    """A run as people name it: `project/uid`."""

    project: str
    uid: str

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f"/v1/projects/{quote(self.project)}/runs/{quote(self.uid)}"

    @property
    def stream(self) -> str:
        """Its stream in the log."""
        return f"run/{self.project}/{self.uid}"

    def __str__(self) -> str:
        return f"{self.project}/{self.uid}"


class RunType(click.ParamType[RunName]):
    """PROJECT/UID on the command line."""

    name = "project/uid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RunName:
        """The run's name, or a usage error that shows the form."""
        if isinstance(value, RunName):
            return value
        project, slash, uid = str(value).removeprefix("run/").partition("/")
        if not slash:
            self.fail(f"{value!r} is not PROJECT/UID: `tracker runs` lists runs that way", param, ctx)
        try:
            return RunName(check_name(project, "project"), check_name(uid, "uid"))
        except InvalidRequest as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class MomentType(click.ParamType[Moment]):
    """An offset, a time or an age on the command line."""

    name = "offset|time|age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        """The moment, or a usage error with examples."""
        if isinstance(value, Moment):
            return value
        from time import time_ns

        try:
            return parse_moment(str(value), time_ns())
        except ValueError as error:
            self.fail(str(error), param, ctx)


run_argument = click.argument("run_name", metavar="PROJECT/UID", type=RunType())


async def feed(transport: Transport, **params: str | int | bool | None) -> AsyncGenerator[Recorded, None]:
    """The events of the log as the API's feed gives them."""
    async with aclosing(raw_feed(transport, **params)) as items:
        async for item in items:
            yield recorded_of(item)


async def raw_feed(transport: Transport, **params: str | int | bool | None) -> AsyncGenerator[Mapping[str, Any], None]:
    """The same, as plain values."""
    asked = {name: "true" if value is True else str(value) for name, value in params.items() if value not in (None, "", False, 0)}
    async with streaming(transport, "/v1/events", asked) as items:
        async for item in items:
            yield item


@asynccontextmanager
async def streaming(transport: Transport, path: str, params: Mapping[str, str]) -> AsyncIterator[AsyncIterator[Any]]:
    """A stream that is closed at the end of the block, also when it was not read to its end."""
    items = transport.stream(path, params)
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


def recorded_of(item: Mapping[str, Any]) -> Recorded:
    """An event of the feed. JSON has written non-finite metric values as texts and bytes as base64."""
    shape = dict(item["event"])
    if shape.get("type") == "metric.logged" and isinstance(shape.get("value"), str):
        shape["value"] = float(shape["value"])
    place = {name: item[name] for name in ("offset", "stream", "version", "recorded_at", "actor", "producer", "sequence")}
    return Recorded(**place, event=event_from(shape))
