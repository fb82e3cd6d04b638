"""`tracker sync`: deliver what jobs recorded and could not send before they ended."""

import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import click

from tracker.audit.escape import line
from tracker.audit.moment import counted
from tracker.cli.screen import Column, bars, print_json, safe, say, table
from tracker.cli.session import example, json_option, run, target_of, uri_option
from tracker.delivery import Report, deliver
from tracker.journal_reader import read_header, scan
from tracker.settings import Settings, Target, parse_target
from tracker.transport import Transport, open_transport

_LOOK_EVERY = 0.05  # seconds between looks at a journal that another process is delivering


@click.command(epilog=example("tracker sync", "tracker sync --uri http://tracker.lan:8137"))
@uri_option
@json_option
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
def sync(uri: str | None, as_json: bool, directory: Path | None) -> None:
    """Deliver the journals of jobs that have ended. Those of running jobs are left to them.

    Looks in DIRECTORY, else where jobs that record to --uri keep their journals. Delivering twice changes nothing.

    Exit code: 0 everything is delivered, 1 something was refused, damaged, or could not be delivered.
    """
    target = target_of(uri)
    places = [directory] if directory else [target.path / "journals" if target.kind == "directory" else Settings.from_env().journals]
    found = [(producer, segments) for place in places for producer, segments in scan(place).items()]
    mine = [segments[0] for _, segments in found if directory or _is_for(segments[0], target)]
    reports, living = run(partial(_sync, target, mine)) if mine else ([], 0)
    if as_json:
        for report in reports:
            print_json(report)
    else:
        _print(reports, living, places[0])
    # A torn end is no loss: the call that was writing it had not returned.
    lost = [damage for report in reports for damage in report.damages if damage.count or not damage.position]
    sys.exit(1 if lost or any(report.refused for report in reports) else 0)


def _is_for(journal: Path, target: Target) -> bool:
    try:
        return parse_target(read_header(journal)[0].uri).uri == target.uri
    except (ValueError, OSError):
        return True  # damaged: delivery will say so


async def _sync(target: Target, journals: list[Path]) -> tuple[list[Report], int]:
    """The reports, and how many journals are left to running jobs."""
    reports: list[Report] = []
    living = 0
    async with open_transport(target) as transport:
        await transport.ask("GET", "/v1/info")  # a server that is away is told as such, before any journal is opened
        with bars() as moved:
            for number, journal in enumerate(journals, 1):
                report = await _deliver(journal, transport, _adding(moved, f"journal {number} of {len(journals)}"))
                living += report is None
                reports += [report] if report else []
    return reports, living


async def _deliver(journal: Path, transport: Transport, progress: Callable[[int], None]) -> Report | None:
    """Deliver one journal; None when it is a running job's. The writer of a directory may be delivering it, too: then wait for that."""
    while (report := await deliver(journal, transport, progress=progress)) is None:
        if not await anyio.Path(journal).exists():
            return Report(producer=journal.name.split(".")[0])
        if _is_running(journal):
            return None
        await anyio.sleep(_LOOK_EVERY)
    return report


def _is_running(journal: Path) -> bool:
    try:
        header, _ = read_header(journal)
        if header.host == socket.gethostname():
            os.kill(header.pid, 0)
    except (ProcessLookupError, FileNotFoundError):
        return False
    except (ValueError, PermissionError):
        return True
    return header.pid != os.getpid()


def _adding(moved: Callable[[str, int, int], None], title: str) -> Callable[[int], None]:
    sent = 0

    def add(more: int) -> None:
        nonlocal sent
        sent += more
        moved(title, sent, 0)

    return add


def _print(reports: list[Report], living: int, place: Path) -> None:
    delivered = [report for report in reports if report.delivered or report.damages]
    if delivered:
        columns = [Column("journal"), Column("delivered", right=True), Column("refused", right=True), Column("damaged", right=True)]
        table(
            columns, [(safe(r.producer), f"{r.delivered:,}", f"{r.refused:,}", f"{sum(d.count for d in r.damages):,}") for r in delivered]
        )
    for damage in (damage for report in reports for damage in report.damages):
        say(line(f"{damage.path} at byte {damage.position}: {damage.reason}, {counted(damage.count, 'event')} cannot be read"), style="red")
    taken = sum(not report.uri for report in reports)
    if taken:
        say(f"delivered by the process that writes the directory: {counted(taken, 'journal')}")
    if not reports:
        left = f"; left to running jobs: {counted(living, 'journal')}" if living else ""
        say(f"nothing to deliver in {line(str(place))}{left}")
