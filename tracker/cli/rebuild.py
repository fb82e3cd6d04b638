"""`tracker rebuild`: the views are folded anew from the log. They are disposable; nothing is lost by it."""

import sys
from functools import partial
from pathlib import Path
from time import monotonic

import anyio
import click

from projections.rebuild import rebuild as build
from tracker.audit.escape import line
from tracker.cli.files import keeping
from tracker.cli.screen import bars, print_json, say
from tracker.cli.session import directory, example, json_option, run, uri_option


@click.command(epilog=example("tracker rebuild", "tracker rebuild --uri /srv/tracker"))
@uri_option
@json_option
def rebuild(uri: str | None, as_json: bool) -> None:
    """Fold the views anew from the log, beside the present ones, and put them in their place when they are as far.

    A server does this by itself when a new version of the tracker needs other views. No server or job may use the directory meanwhile.

    Exit code: 0 all views are as far as the log, 1 a projection stopped at an event it cannot fold, 2 usage.
    """
    data = directory(uri, "rebuild")
    began = monotonic()
    offset, stopped = run(partial(_rebuild, data))
    seconds = monotonic() - began
    if as_json:
        print_json({"offset": offset, "seconds": seconds, "stopped": stopped})
    else:
        say(f"views rebuilt up to offset {offset:,} in {seconds:.1f} s")
        for name, reason in stopped.items():
            say(line(f"projection {name} stopped {reason}"), style="red")
    sys.exit(1 if stopped else 0)


async def _rebuild(data: Path) -> tuple[int, dict[str, str]]:
    async with keeping(data) as (log, views):
        with bars() as moved:
            if views.offset:
                await build(log, views, data, lambda done, total: moved("folding the views", done, total))
            while views.offset < log.head.offset and not all(health.error for health in views.health.values()):
                with anyio.move_on_after(1):  # there were none: opening the directory makes them
                    moved("folding the views", await views.changed(views.offset), log.head.offset)
        stopped = {name: f"at offset {health.failed_at:,}: {health.error}" for name, health in views.health.items() if health.error}
        return views.offset, stopped
