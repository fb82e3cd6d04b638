"""`tracker redact`: the content of one event goes for good; its place, the chain and the record of who removed it and why stay."""

import getpass
import sys
from functools import partial
from pathlib import Path

import click

from events.record import Recorded
from tracker.audit.replay import tell
from tracker.cli.files import forget_views, reading, writing
from tracker.cli.screen import Failed, note, safe, say
from tracker.cli.session import directory, example, run, uri_option


@click.command(epilog=example("tracker redact 1250 --reason 'a password was printed'"))
@uri_option
@click.argument("offset", type=click.IntRange(1))
@click.option("--reason", required=True, help="Why; it stays in the log.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def redact(uri: str | None, offset: int, reason: str, yes: bool) -> None:
    """Remove the content of the event at OFFSET for good, on the record.

    The log says who removed it and why, and `tracker verify` still proves the rest. The views are made anew at the next start,
    without it. Exports, backups and artifacts' files are not touched. No server or job may use the directory meanwhile.
    """
    data = directory(uri, "redact")
    found = run(partial(_look, data, offset))
    say((f"offset {offset}  ", "dim"), safe(found.stream), "  ", safe(tell(found.event).text))
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("removal cannot be undone: add --yes to say that it is meant")
        click.confirm("Remove this for good?", abort=True)
    notice = run(partial(_redact, data, offset, reason))
    say(f"removed; the record of it is at offset {notice}")
    note("the views are made anew at the next start")


async def _look(data: Path, offset: int) -> Recorded:
    async with reading(data) as log:
        async for batch in log.read(offset - 1, until=offset):
            return next(batch.recorded(offset - 1))
        raise Failed(f"there is no event at offset {offset}: the log ends at {log.head.offset}", 2)


async def _redact(data: Path, offset: int, reason: str) -> int:
    async with writing(data) as log:
        receipt = await log.redact(offset, reason=reason, actor=getpass.getuser())
        forget_views(data)
    return receipt.offset
