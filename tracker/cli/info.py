"""`tracker info`: what is stored where, and how far the views are."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click

from projections.files import views_files
from tracker.audit.moment import local
from tracker.cli.files import reading, views_health
from tracker.cli.screen import fields, heading, print_json, safe, size
from tracker.cli.session import connect, directory, example, json_option, run, target_of, uri_option
from tracker.journal_reader import is_alive, scan


@click.command(epilog=example("tracker info", "tracker info --uri http://localhost:8137 --json"))
@uri_option
@json_option
def info(uri: str | None, as_json: bool) -> None:
    """Show what is stored where, how far the log and the views are, and what waits in journals."""
    target = target_of(uri)
    found = run(partial(_of_server, uri)) if target.kind == "http" else run(partial(_of_directory, directory(uri, "info")))
    if as_json:
        print_json(found)
        return
    projections = found.pop("projections")
    fields({name: _shown(name, value) for name, value in found.items()}, indent=0)
    heading("projections")
    fields(
        {
            name: safe(f"offset {one['offset']:,}" + (f", stopped: {one['error']}" if one["error"] else ""))
            for name, one in projections.items()
        }
    )


def _shown(name: str, value: Any) -> Any:
    if name.endswith("_at"):
        return local(value)
    if name.endswith("_bytes"):
        return size(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


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
