"""`tracker purge`: the content of a run in the trash goes for good; the log keeps its place, and a receipt of what went and why."""

import getpass
import sys
from functools import partial
from pathlib import Path

import click

from tracker.audit.moment import counted
from tracker.audit.purge import Content, Receipt, purge, survey
from tracker.blobs import Blobs
from tracker.cli.files import forget_views, reading, writing
from tracker.cli.screen import Failed, bars, note, print_json, safe, say, size
from tracker.cli.session import directory, example, json_option, run, uri_option
from tracker.journal_reader import scan


@click.command("purge", epilog=example("tracker purge digits/3f9a12bc --reason 'the data had to go'"))
@uri_option
@json_option
@click.argument("name", metavar="PROJECT/UID")
@click.option("--reason", required=True, help="Why; it stays in the log.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge_(uri: str | None, as_json: bool, name: str, reason: str, yes: bool) -> None:
    """Remove all that a run in the trash holds, for good, on the record: its events and the bytes of its artifacts.

    The run stays in the trash, empty, and can no longer be restored; `tracker verify` still proves the rest. Bytes that an artifact of
    another run has, too, stay. The views are made anew at the next start. The log's file is written anew, for which the disk needs room
    for a copy of it; it gets smaller, unless the run came in batches that were smaller than the notice that each leaves (some 400 bytes).
    Exports and backups are not touched. A purge that was interrupted is finished by purging again.
    No server or job may use the directory meanwhile.
    """
    data = directory(uri, "purge")
    project, _, uid = name.partition("/")
    if scan(data / "journals"):
        raise Failed("jobs left journals that may speak of the same run or files: `tracker sync` delivers them, purge then")
    content = run(partial(_look, data, project, uid))
    if not as_json:
        files = counted(len(content.digests), "artifact file")
        say(safe(name), f"  {counted(content.events, 'event')} ({size(content.bytes)}), {files}")
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("purging cannot be undone: add --yes to say that it is meant")
        click.confirm("Remove all of this for good?", abort=True)
    receipt = run(partial(_purge, data, project, uid, reason))
    if as_json:
        print_json(receipt)
        return
    gone = f"{counted(receipt.events, 'event')}, {counted(receipt.blobs, 'artifact file')}, {size(receipt.bytes)}"
    say(f"purged {gone}; the receipt is at offset {receipt.offset}")
    if receipt.kept:
        note(f"{counted(receipt.kept, 'artifact file')} stayed: other runs have the same bytes")
    if not receipt.compacted:
        note("the log's file is as large as it was, for want of room for a copy; what comes next takes the space")
    note("the views are made anew at the next start")


async def _look(data: Path, project: str, uid: str) -> Content:
    async with reading(data) as log:
        return await survey(log, project, uid)


async def _purge(data: Path, project: str, uid: str, reason: str) -> Receipt:
    async with writing(data) as log:
        forget_views(data)  # first: whatever ends this too early, they hold nothing that is gone
        with bars() as moved:
            return await purge(log, Blobs(data / "blobs"), project, uid, reason=reason, actor=getpass.getuser(), progress=moved)
