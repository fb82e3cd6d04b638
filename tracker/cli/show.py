"""`tracker show`: one run on one page."""

from functools import partial
from time import time_ns
from typing import Any

import click
from rich.text import Text

from tracker.audit.escape import line
from tracker.audit.moment import Moment, counted, elapsed, local, plain
from tracker.cli.found import Looked, find_run, look
from tracker.cli.items import RunName, run_argument
from tracker.cli.screen import Column, fields, heading, note, print_json, safe, say, size, state, table
from tracker.cli.session import connect, example, json_option, run, uri_option

_ROWS = 30  # iterations shown without --all


@click.command(epilog=example("tracker show digits/4f2a", "tracker show digits/4f2a --iteration 3 --json"))
@uri_option
@json_option
@run_argument
@click.option("--iteration", type=click.IntRange(0), default=0, help="This iteration; 0 is the run itself.")
@click.option("--all", "everything", is_flag=True, help="All iterations, not only the first thirty.")
def show(uri: str | None, as_json: bool, run_name: RunName, iteration: int, everything: bool) -> None:
    """Show one run: state, parameters, results, metrics, iterations, artifacts.

    The beginning of a uid will do, and so will a run's name (then it is the newest so called).
    """
    found = run(partial(_look, uri, run_name, iteration))
    if as_json:
        print_json(found)
        return
    _print_run(found.run, time_ns())
    _print_metrics(found.metrics)
    _print_iterations(found.iterations, None if everything else _ROWS)
    _print_artifacts(found.artifacts)


async def _look(uri: str | None, name: RunName, iteration: int) -> Looked:
    async with connect(uri) as transport:
        return await look(transport, await find_run(transport, name), iteration)


def print_past(document: dict[str, Any], children: list[dict[str, Any]], moment: Moment) -> None:
    """A run as it was at a moment, with the last value that each of its metrics had then."""
    say(f"as it was {moment.phrase}", style="yellow")
    _print_run(document, document["updated_at"])
    if document["metrics"]:
        heading("metrics")
        fields(document["metrics"])
    _print_iterations(children, _ROWS)


def _print_run(document: dict[str, Any], now: int) -> None:
    """The run itself: who, when, and its fields; a running one has run until `now` (ns)."""
    iteration = f"#{document['iteration']}" if document.get("iteration") else ""
    name = f"  {line(document['name'])}" if document.get("name") else ""
    say((f"{document['project']}/{document['uid']}{iteration}", "bold cyan"), (name, "bold"), "  ", state(document["state"]))
    say(_times(document, now), style="dim")
    if document.get("deleted"):
        purged = f", purged since {local(document['purged'])}" if document.get("purged") else ""
        say(f"in the trash since {local(document['deleted'])}{purged}", style="yellow")
    for group in ("parameters", "results", "labels", "annotations", "inputs"):
        if document.get(group):
            heading(group)
            fields(document[group])
    if document.get("error"):
        heading("error")
        say("  ", safe(document["error"], "red"))
    if document.get("notifications"):
        heading("notifications")
    for sent in document.get("notifications") or ():
        how = f"{sent['status']}: {sent['reason']}" if sent["reason"] else sent["status"]
        text = f"  {line(sent['name'])} by {line(sent['kind'])}, that it is {line(sent['state'])}: {line(how)} {local(sent['time'])}"
        say(Text(text, "red" if sent["status"] == "error" else ""))
    for text in str(document.get("traceback") or "").splitlines():
        say("  ", Text(line(text), "dim"))


def _times(document: dict[str, Any], now: int) -> str:
    started = document.get("started_at") or document.get("created_at") or 0
    ended = document.get("ended_at") or 0
    parts = [f"started {local(started)}" if started else "not started"]
    if started:
        parts.append(f"took {elapsed(ended - started)}" if ended else f"running for {elapsed(now - started)}")
    if document.get("user"):
        parts.append(f"by {line(document['user'])}")
    if document.get("children"):
        parts.append(counted(document["children"], "iteration"))
    for count, what in (("late", "after its end"), ("refused", "refused"), ("missed", "lost by its journal")):
        if document.get(count):
            parts.append(f"{counted(document[count], 'event')} {what}")
    return ", ".join(parts)


def _print_metrics(series: list[dict[str, Any]]) -> None:
    if not series:
        return
    heading("metrics")
    columns = [Column("  "), Column("last", right=True), Column("min", right=True), Column("max", right=True), Column("points", right=True)]
    rows = []
    for one in series:
        labels = f" {plain(one['labels'])}" if one.get("labels") else ""
        numbers = [safe(one.get(name)) if one.get(name) is not None else "" for name in ("last", "minimum", "maximum")]
        rows.append((Text.assemble("  ", safe(f"{one['key']}{labels}")), *numbers, f"{one['count']:,}"))
    table(columns, rows)


def _print_iterations(children: list[dict[str, Any]], most: int | None) -> None:
    if not children:
        return
    heading("iterations")
    # Results first, then metrics that are not results as well: what is left out first on a narrow terminal comes last.
    shown = [(group, key) for group in ("parameters", "results") for key in _keys(children, group)]
    shown += [("metrics", key) for key in _keys(children, "metrics", 3) if ("results", key) not in shown]
    columns = [Column("  #", right=True), Column("state")]
    columns += [Column(line(key), right=True, spare=i) for i, (_, key) in enumerate(shown)]
    rows = []
    for one in children[:most]:
        number = Text(f"★ {one['iteration']}" if one["best"] else str(one["iteration"]), "bold yellow" if one["best"] else "")
        rows.append((number, state(one["state"]), *(_cell(one[group], key) for group, key in shown)))
    table(columns, rows)
    if most is not None and len(children) > most:
        note(f"  and {len(children) - most} more: `tracker show --all` shows them")


def _keys(rows: list[dict[str, Any]], group: str, most: int = 5) -> list[str]:
    """The keys that tell rows apart: those whose values differ come first."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.get(group, {}).items():
            values.setdefault(key, set()).add(plain(value))
    return sorted(values, key=lambda key: len(values[key]) < 2)[:most]


def _cell(values: dict[str, Any], key: str) -> str | Text:
    return safe(values[key]) if key in values else ""


def _print_artifacts(artifacts: list[dict[str, Any]]) -> None:
    if not artifacts:
        return
    heading("artifacts")
    columns = [Column("  "), Column("kind"), Column("size", right=True), Column("version", right=True), Column("sha256")]
    rows: list[list[str | Text]] = [
        [Text.assemble("  ", safe(a["key"])), safe(a["kind"]), size(a["size"]), _version(a), a["digest"][:12] or safe(a["uri"])]
        for a in artifacts
    ]
    if any(a["tags"] for a in artifacts):
        columns.append(Column("tags", spare=0))
        for row, a in zip(rows, artifacts, strict=True):
            row.append(safe(", ".join(a["tags"])))
    if any(a["iteration"] for a in artifacts):
        columns.insert(1, Column("#", right=True))
        for row, a in zip(rows, artifacts, strict=True):
            row.insert(1, str(a["iteration"] or ""))
    table(columns, rows)


def _version(artifact: dict[str, Any]) -> str:
    """One that was kept with its run only has none."""
    return str(artifact["version"] or "")
