"""`tracker events`: the log itself, from any offset, and what comes after it."""

from contextlib import aclosing
from functools import partial

import click
from rich.text import Text

from events.record import Recorded
from tracker.audit.escape import line
from tracker.audit.moment import local
from tracker.audit.replay import tell
from tracker.cli.items import RunName, RunType, raw_feed, recorded_of
from tracker.cli.screen import TONES, print_json, run_name, say
from tracker.cli.session import example, following, json_option, run, uri_option
from tracker.transport import Transport


@click.command(epilog=example("tracker events --follow", "tracker events --run digits/4f2a --types metric.logged --json | jq .event.value"))
@uri_option
@json_option
@click.option("--run", "run_name", metavar="PROJECT/UID", type=RunType(), help="Only this run.")
@click.option("--project", help="Only the runs of this project.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="OFFSET", help="Begin after this offset.")
@click.option("--types", metavar="TAG,...", default="", help="Only events of these tags, such as metric.logged,state.changed.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C; also when the server was restarted.")
def events(
    uri: str | None, as_json: bool, run_name: RunName | None, project: str | None, after: int, types: str, limit: int | None, follow: bool
) -> None:
    """Print the events of the log in order: offset, time, run, what happened.

    With --json, one event per line as the API gives it; `tracker export` is the form without loss.
    """
    if run_name and project:
        raise click.UsageError("--run and --project exclude each other")
    stream = run_name.stream if run_name else None
    prefix = f"run/{project}/" if project else None
    run(partial(_events, uri, as_json, {"stream": stream, "prefix": prefix, "types": types, "follow": follow}, after, limit))


async def _events(uri: str | None, as_json: bool, params: dict[str, str | bool | None], after: int, limit: int | None) -> None:
    async def read(transport: Transport) -> None:
        nonlocal after, limit
        async with aclosing(raw_feed(transport, **params, after=after, limit=limit)) as items:
            async for item in items:
                if as_json:
                    print_json(item)
                else:
                    print_event(recorded_of(item))
                after = item["offset"]
                if limit is not None and (limit := limit - 1) == 0:
                    return

    await following(uri, read, resumable=bool(params["follow"]))


def print_event(recorded: Recorded) -> None:
    """One event as one line."""
    told = tell(recorded.event)
    kind, _, subject = recorded.stream.partition("/")
    project, _, uid = subject.partition("/")
    iteration = getattr(recorded.event, "iteration", 0)
    say(
        (f"{recorded.offset:>8}  {local(recorded.recorded_at)}  ", "dim"),
        run_name(project, uid, iteration) if kind == "run" else Text(line(recorded.stream), "cyan"),
        "  ",
        Text(f"{told.mark} {line(told.text)}", TONES[told.tone]),
    )
