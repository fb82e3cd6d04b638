"""`tracker replay`, `tracker history` and `tracker diff`: what happened, who did it, and what it changed."""

import re
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import anyio
import click
from msgspec import UNSET
from rich.text import Text

from events.record import Recorded
from tracker.audit.diff import BOOKKEEPING, IDENTITY, Difference, diff
from tracker.audit.escape import line
from tracker.audit.history import TAGS, history
from tracker.audit.moment import Moment, elapsed, local
from tracker.audit.replay import Story, paced, tell
from tracker.cli.found import find_run, iterations_of, run_document
from tracker.cli.items import MomentType, RunName, RunType, feed, raw_feed, recorded_of, run_argument
from tracker.cli.screen import TONES, Column, Failed, note, print_json, safe, say, table
from tracker.cli.session import connect, example, json_option, run, uri_option
from tracker.cli.show import print_past
from tracker.transport import Transport

_LONG = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")  # ids that the tracker made, and digests


@click.command(epilog=example("tracker replay digits/4f2a --speed 10", "tracker replay digits/4f2a --at '10m ago'"))
@uri_option
@json_option
@run_argument
@click.option("--at", "moment", type=MomentType(), help="Show the state then instead: an offset, a time, or an age such as 10m.")
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), help="Wait between events as they did: 1 as it was, 10 ten times faster."
)
@click.option("--pause", type=click.FloatRange(min=0), default=3.0, show_default=True, help="Longest wait with --speed, in seconds.")
@click.option("--iteration", type=click.IntRange(0), help="Only this iteration; 0 is the run itself.")
@click.option("--types", metavar="TAG,...", default="", help="Only events of these tags.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many events.")
def replay(
    uri: str | None,
    as_json: bool,
    run_name: RunName,
    moment: Moment | None,
    speed: float | None,
    pause: float,
    iteration: int | None,
    types: str,
    limit: int | None,
) -> None:
    """Tell a run's events as they happened, or show its state at any moment (--at).

    The state is made by the same folds as the present one, stopped at that moment.
    """
    if moment is not None:
        run(partial(_state, uri, as_json, run_name, moment, iteration or 0))
    else:
        run(partial(_replay, uri, as_json, run_name, types, limit, iteration, speed, pause))


async def _state(uri: str | None, as_json: bool, name: RunName, moment: Moment, iteration: int) -> None:
    async with connect(uri) as transport:
        name = await find_run(transport, name)
        document = await run_document(transport, name, iteration, moment)
        children = await iterations_of(transport, name, moment) if document["children"] and not as_json else []
    if as_json:
        print_json(document)
    else:
        print_past(document, children, moment)


async def _replay(
    uri: str | None, as_json: bool, name: RunName, types: str, limit: int | None, iteration: int | None, speed: float | None, pause: float
) -> None:
    async with connect(uri) as transport:
        name = await find_run(transport, name)
        chosen = _chosen(transport, name, types, iteration, limit)
        count = await (_print_all(chosen) if as_json else _tell_all(chosen, speed, pause))
        if not count:
            note("no event of the run is of that kind")


async def _chosen(
    transport: Transport, name: RunName, types: str, iteration: int | None, limit: int | None
) -> AsyncGenerator[Mapping[str, Any], None]:
    count = 0
    async with aclosing(raw_feed(transport, stream=name.stream, types=types)) as items:
        async for item in items:
            if iteration in (None, item["event"].get("iteration", 0)):
                yield item
                count += 1
                if count == limit:
                    return


async def _print_all(items: AsyncGenerator[Mapping[str, Any], None]) -> int:
    count = 0
    async with aclosing(items):
        async for item in items:
            print_json(item)
            count += 1
    return count


async def _recorded(items: AsyncGenerator[Mapping[str, Any], None]) -> AsyncGenerator[Recorded, None]:
    async with aclosing(items):
        async for item in items:
            yield recorded_of(item)


async def _tell_all(items: AsyncGenerator[Mapping[str, Any], None], speed: float | None, pause: float) -> int:
    count = 0
    async with aclosing(paced(_recorded(items), anyio.sleep, speed=speed, longest=pause)) as stories:
        async for story in stories:
            if not count:
                say((f"{story.recorded.stream.removeprefix('run/')}, from {local(story.recorded.event.time)}", "bold"))
            _print_story(story)
            count += 1
            if speed:
                sys.stdout.flush()
    return count


def _print_story(story: Story) -> None:
    told = tell(story.recorded.event)
    iteration = getattr(story.recorded.event, "iteration", 0)
    say(
        (f"{story.recorded.offset:>8} {'+' + elapsed(story.since):>9}  ", "dim"),
        (f"#{iteration:<3}" if iteration else "    ", "cyan"),
        Text(f"{told.mark} {line(told.text)}", TONES[told.tone]),
    )


@click.command("history", epilog=example("tracker history digits/4f2a", "tracker history digits/4f2a --field parameters."))
@uri_option
@json_option
@run_argument
@click.option("--field", default="", help="Only this field, or fields that begin so: state, parameters.lr, labels.")
@click.option("--iteration", type=click.IntRange(0), help="Only this iteration; 0 is the run itself.")
def history_(uri: str | None, as_json: bool, run_name: RunName, field: str, iteration: int | None) -> None:
    """Show who changed which field of a run, when, from which value to which; read off the events alone.

    Who is the authenticated actor, else the user and host the process said it was.
    """
    run(partial(_history, uri, as_json, run_name, field, iteration))


async def _history(uri: str | None, as_json: bool, name: RunName, field: str, iteration: int | None) -> None:
    rows: list[tuple[str | Text, ...]] = []
    async with connect(uri) as transport:
        name = await find_run(transport, name)
        async for change in history(feed(transport, stream=name.stream, types=",".join(TAGS))):
            if not change.field.startswith(field) or iteration not in (None, change.iteration):
                continue
            if as_json:
                print_json(change)
                continue
            where = f"#{change.iteration}" if change.iteration else ""
            values = Text.assemble(_value(change.before, change.field), (" → ", "dim"), _value(change.after, change.field))
            rows.append((str(change.offset), local(change.recorded_at), where, safe(change.field), values, safe(change.by)))
    if not as_json:
        if not rows:
            raise Failed(f"no field of {name} that begins with {field!r} ever changed")
        columns = [
            Column("offset", right=True),
            Column("when", spare=1),
            Column("", right=True),
            Column("field", fold=True, least=24),
            Column("change", fold=True, least=24),
            Column("by", least=8),
        ]
        table(columns, rows)


def _value(value: Any, field: str = "") -> Text:
    if value is UNSET:
        return Text("–", "dim")
    if field.endswith("_at") and isinstance(value, int):
        return safe(local(value))
    return safe(f"{value[:12]}…" if isinstance(value, str) and _LONG.fullmatch(value) else value)


@click.command(
    "diff",
    epilog=example(
        "tracker diff digits/4f2a digits/9c31", "tracker diff digits/4f2a --from 100 --to 2000", "tracker diff digits/4f2a --from 10m"
    ),
)
@uri_option
@json_option
@run_argument
@click.argument("other", metavar="[PROJECT/UID]", type=RunType(), required=False)
@click.option("--from", "start", type=MomentType(), help="The earlier moment, of one run.")
@click.option("--to", "end", type=MomentType(), help="The later moment. [default: now]")
@click.option("--iteration", type=click.IntRange(0), default=0, help="Of the run, or of both; 0 is the run itself.")
def diff_(
    uri: str | None, as_json: bool, run_name: RunName, other: RunName | None, start: Moment | None, end: Moment | None, iteration: int
) -> None:
    """Compare two runs, or one run at two moments. Exit code: 0 equal, 1 different, 2 usage."""
    if (other is None) == (start is None):
        raise click.UsageError("give a second run, or --from a moment of this one")
    if other is not None and end is not None:
        raise click.UsageError("two runs are compared as they are now: --to is for moments of one run")
    found = run(partial(_diff, uri, run_name, other, start, end, iteration))
    if as_json:
        for difference in found:
            print_json(difference)
    elif found:
        names = (str(run_name), str(other)) if other else (start.phrase if start else "", end.phrase if end else "now")
        rows = [(safe(d.field), _value(d.before, d.field), _value(d.after, d.field)) for d in found]
        table([Column("field"), Column(names[0], fold=True, least=16), Column(names[1], fold=True, least=16)], rows)
    else:
        say("no difference")
    sys.exit(1 if found else 0)


async def _diff(
    uri: str | None, name: RunName, other: RunName | None, start: Moment | None, end: Moment | None, iteration: int
) -> list[Difference]:
    async with connect(uri) as transport:
        name = await find_run(transport, name)
        one = await run_document(transport, name, iteration, start)
        two = await run_document(transport, await find_run(transport, other) if other else name, iteration, end)
    return diff(one, two, ignore=IDENTITY if other else BOOKKEEPING)
