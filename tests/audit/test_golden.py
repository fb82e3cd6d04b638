"""Histories kept for ever: logs that were once exported, and what was read from their views then.

`<name>.ndjson` is an export, `<name>.views.json` what the API answered about it. Neither is ever edited. A later version may answer with
more fields; those that were there keep their values.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner

from tracker.cli.main import tracker
from tracker.settings import parse_target
from tracker.transport import open_transport
from tracker.wire import encode_json

HISTORIES = sorted((Path(__file__).parent.parent / "golden" / "histories").glob("*.ndjson"))


async def read_all(data: Path) -> dict[str, Any]:
    """What the API says about every project and run of a directory, and the bytes of every console."""
    async with open_transport(parse_target(str(data))) as transport:
        offset = (await transport.ask("GET", "/v1/info"))["offset"]
        found: dict[str, Any] = {"projects": await transport.ask("GET", "/v1/projects", {"min_offset": str(offset)})}
        listed = (await transport.ask("GET", "/v1/runs", {"deleted": "true", "iterations": "true", "min_offset": str(offset)}))["runs"]
        found["listed"] = listed
        for run in (run for run in listed if not run["iteration"]):
            path = f"/v1/projects/{run['project']}/runs/{run['uid']}"
            page = {name: await transport.ask("GET", f"{path}{name}") for name in ("", "/iterations", "/metrics", "/artifacts")}
            for one in page["/metrics"]["series"]:
                asked = {"key": one["key"], "iteration": str(one["iteration"])}
                page[f"/metrics/history {one['key']} {one['iteration']}"] = await transport.ask("GET", f"{path}/metrics/history", asked)
            page["/log"] = b"".join([piece async for piece in transport.stream(f"{path}/log", {"offset": "0"})])
            found[path] = page
    return dict(json.loads(encode_json(found)))


def changes(then: Any, now: Any, where: str = "") -> Iterator[str]:
    """Where what was read then is not what is read now; fields that are new are no change."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, value in then.items():
            yield from changes(value, now.get(key, "nothing"), f"{where}.{key}")
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for i, value in enumerate(then):
            yield from changes(value, now[i], f"{where}[{i}]")
    elif then != now or type(then) is not type(now):
        yield f"{where}: {then!r} was read once, {now!r} now"


@pytest.mark.parametrize("history", HISTORIES, ids=lambda path: path.stem)
def test_what_was_recorded_once_is_read_the_same_for_ever(tmp_path: Path, history: Path) -> None:
    """A log of an earlier version comes back with the chain it had, verifies, and shows what it showed then."""
    data = str(tmp_path / "data")
    done = CliRunner().invoke(tracker, ["import", str(history), "--uri", data])
    assert "the chain is the one it was exported with" in done.stdout, done.output
    now = anyio.run(read_all, Path(data))
    then = json.loads(history.with_suffix(".views.json").read_text())
    assert not [*changes(then, now)]
    answers = map(json.loads, CliRunner().invoke(tracker, ["verify", "--json", "--uri", data]).stdout.splitlines())
    assert {one["question"]: one["holds"] for one in answers if one["holds"] is not None} == {
        **dict.fromkeys(("chain", "streams", "producers", "redactions", "store", "views"), True),
        "artifacts": False,  # a history has no bytes of artifacts
    }
