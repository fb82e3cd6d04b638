"""`tracker lineage`: where data came from and where it went."""

from functools import partial
from typing import Any
from urllib.parse import quote

import click
from rich.text import Text

from tracker.audit.escape import line
from tracker.audit.moment import counted, local
from tracker.cli.found import find_run
from tracker.cli.items import RunName, RunType
from tracker.cli.screen import Column, heading, note, print_json, run_name, safe, say, table
from tracker.cli.session import connect, example, json_option, run, uri_option
from tracker.errors import NotFound


@click.command(epilog=example("tracker lineage digits/4f2a", "tracker lineage digits/model --artifact --version 3"))
@uri_option
@json_option
@click.argument("name", metavar="PROJECT/UID|PROJECT/ARTIFACT")
@click.option("--artifact", "is_artifact", is_flag=True, help="NAME is of an artifact, not of a run.")
@click.option("--version", type=click.IntRange(1), help="This version of the artifact. [default: the latest]")
@click.option("--tag", default="", help="The version of the artifact with this tag.")
def lineage(uri: str | None, as_json: bool, name: str, is_artifact: bool, version: int | None, tag: str) -> None:
    """Show what a run read and made, or who made an artifact, from what, and who read it.

    A name that no run has is taken for that of an artifact.
    """
    wants_artifact = is_artifact or version is not None or bool(tag)
    params = {key: str(value) for key, value in (("version", version), ("tag", tag)) if value}
    found = run(partial(_look, uri, name, wants_artifact, params))
    if as_json:
        print_json(found)
    elif "artifact" in found:
        _print_artifact(found)
    else:
        _print_run(found)


async def _look(uri: str | None, name: str, wants_artifact: bool, params: dict[str, str]) -> dict[str, Any]:
    project, slash, key = name.partition("/")
    if not slash or not key:
        raise click.UsageError(f"{name!r} is neither PROJECT/UID nor PROJECT/ARTIFACT")
    path = f"/v1/projects/{quote(project, safe='')}/artifacts/{quote(key, safe='')}/lineage"
    async with connect(uri) as transport:
        if wants_artifact:
            return dict(await transport.ask("GET", path, params))
        try:
            return dict(await transport.ask("GET", path.replace("/artifacts/", "/runs/", 1))) if "/" not in key else {}
        except NotFound:
            pass
        try:
            return dict(await transport.ask("GET", path))
        except NotFound:
            chosen: RunName = await find_run(transport, RunType().convert(name, None, None))
            return dict(await transport.ask("GET", chosen.path + "/lineage"))


def _print_run(found: dict[str, Any]) -> None:
    one = found["run"]
    say((f"{one['project']}/{one['uid']}", "bold cyan"), (f"  {line(one['name'])}", "bold"))
    _print_reads("read", found["reads"], "maker")
    if found["made"]:
        heading("made")
        rows = [
            (safe("  " + made["artifact"]), _version(made), _iteration(made["iteration"]), local(made["created_at"]), _readers(made))
            for made in found["made"]
        ]
        table([Column("  artifact"), Column("version"), Column("iteration", right=True), Column("when"), Column("read by")], rows)
    _print_end(found, not found["reads"] and not found["made"])


def _print_artifact(found: dict[str, Any]) -> None:
    artifact, maker = found["artifact"], found["maker"]
    name = artifact["db_key"] or artifact["key"]
    say((f"{artifact['project']}/{line(name)}", "bold cyan"), f"  {_version(artifact)}", (f"  {line(artifact['kind'])}", "dim"))
    say("made by ", _run(maker), f" {local(artifact['created_at'])}")
    _print_reads("from", found["made_from"], "maker")
    _print_reads("read by", found["read_by"], "reader")
    _print_end(found, not found["made_from"] and not found["read_by"])


def _print_reads(title: str, reads: list[dict[str, Any]], other: str) -> None:
    if not reads:
        return
    heading(title)
    columns = [Column("  artifact"), Column("version"), Column("as"), Column("made by" if other == "maker" else "run"), Column("when")]
    rows = [
        (
            safe("  " + read["artifact"]),
            _version(read),
            safe(read["key"]),
            _run(read[other]) if read[other] else Text("unknown", "dim"),
            local(read["last_at"]),
        )
        for read in reads
    ]
    table(columns, rows)


def _print_end(found: dict[str, Any], nothing: bool) -> None:
    if nothing:
        note("no artifact was read or made" if "run" in found else "nobody has read it, and its run had read nothing before")
    if found["cut"]:
        note("there is more than this page holds")


def _run(one: dict[str, Any]) -> Text:
    name = run_name(one["project"], one["uid"], one["iteration"])
    return Text.assemble(name, (f" {line(one['name'])}", "dim"))


def _version(one: dict[str, Any]) -> str:
    return f"v{one['version']}" if one["version"] else one["digest"][:12]


def _iteration(number: int) -> str:
    return str(number) if number else ""


def _readers(made: dict[str, Any]) -> str:
    return counted(made["readers"], "run") if made["readers"] else ""
