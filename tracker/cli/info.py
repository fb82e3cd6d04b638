"""`tracker info`: what is stored where, and how far the views are."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click

from projections.files import views_files
from tracker.audit.moment import counted, local
from tracker.cli.files import reading, views_health
from tracker.cli.screen import fields, print_json, size
from tracker.cli.session import connect, directory, example, json_option, run, target_of, uri_option
from tracker.journal_reader import is_alive, scan


@click.command(epilog=example("tracker info", "tracker info --uri http://localhost:8137 --json"))
@uri_option
@json_option
def info(uri: str | None, as_json: bool) -> None:
    """Show what is stored where, how far the log and the views are, and what waits in journals."""
    target = target_of(uri)
    served = target.kind == "http"
    found = run(partial(_of_server, uri)) if served else run(partial(_of_directory, directory(uri, "info")))
    if as_json:
        print_json(found)
        return
    log = counted(found["offset"], "event") + (f", the last one recorded {local(found['recorded_at'])}" if found["offset"] else "")
    common = {"digest": found["digest"], "views": _views(found)}
    fields(_server(target.uri, found, log) | common if served else _directory(found, log) | common, indent=0)


def _directory(found: dict[str, Any], log: str) -> dict[str, Any]:
    journals = found["journals"]
    return {
        "directory": found["directory"] + (", in use" if found["in_use"] else ", not in use"),
        "log": f"{log}, {size(found['log_bytes'])}",
        "artifacts": f"{counted(found['blobs'], 'file')}, {size(found['blobs_bytes'])}",
        "journals": f"{journals:,} not delivered yet, {size(found['journals_bytes'])}" if journals else "all delivered",
    }


def _server(url: str, found: dict[str, Any], log: str) -> dict[str, Any]:
    return {
        "server": f"{url}, version {found['version']}, up since {local(found['started_at'])}",
        "log": log,
        "limits": f"{size(found['max_body'])} and {found['max_events']:,} events in one request",
    }


def _views(found: dict[str, Any]) -> str:
    """How far the views are: in a few words when all is well, else each that is not."""
    much = f", {size(found['views_bytes'])}" if "views_bytes" in found else ""
    if not found["projections"]:
        return "none of this version yet: the next start makes them"
    behind = [
        f"{name} at offset {one['offset']:,}" + (f" stopped: {one['error']}" if one["error"] else "")
        for name, one in found["projections"].items()
        if one["error"] or one["offset"] != found["offset"]
    ]
    return ("; ".join(behind) or "all as far as the log") + much


async def _of_server(uri: str | None) -> dict[str, Any]:
    async with connect(uri) as transport:
        return dict(await transport.ask("GET", "/v1/info"))


async def _of_directory(data: Path) -> dict[str, Any]:
    async with reading(data) as log:
        head = log.head
    blobs = [path for path in (data / "blobs").glob("??/*") if path.is_file()]
    journals = scan(data / "journals")
    return {
        "directory": str(data),
        "offset": head.offset,
        "digest": head.digest.hex(),
        "recorded_at": head.recorded_at,
        "epoch": head.epoch,
        "in_use": is_alive(data / "lease"),
        "log_bytes": _size([data / "log.db", data / "log.db-wal"]),
        "views_bytes": _size(Path(f"{path}{end}") for _, _, path in views_files(data) for end in ("", "-wal")),
        "blobs": len(blobs),
        "blobs_bytes": _size(blobs),
        "journals": len(journals),
        "journals_bytes": _size(path for segments in journals.values() for path in segments),
        "projections": views_health(data),
    }


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.exists())
