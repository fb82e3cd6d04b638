"""`tracker rebuild`: the views are folded anew from the log. They are disposable; nothing is lost by it."""

from functools import partial
from pathlib import Path
from time import monotonic

import click

from projections.rebuild import rebuild as build
from tracker.cli.files import keeping
from tracker.cli.screen import bars, print_json, say
from tracker.cli.session import directory, example, json_option, run, uri_option


@click.command(epilog=example("tracker rebuild", "tracker rebuild --uri /srv/tracker"))
@uri_option
@json_option
def rebuild(uri: str | None, as_json: bool) -> None:
    """Fold the views anew from the log, beside the present ones, and put them in their place when they are as far.

    A server does this by itself when a new version of the tracker needs other views. No server or job may use the directory meanwhile.
    """
    data = directory(uri, "rebuild")
    began = monotonic()
    offset = run(partial(_rebuild, data))
    seconds = monotonic() - began
    if as_json:
        print_json({"offset": offset, "seconds": seconds})
    else:
        say(f"views rebuilt up to offset {offset:,} in {seconds:.1f} s")


async def _rebuild(data: Path) -> int:
    async with keeping(data) as (log, views):
        with bars() as moved:
            await build(log, views, data, lambda done, total: moved("folding the views", done, total))
        return views.offset
