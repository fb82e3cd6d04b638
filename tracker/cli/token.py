"""`tracker token`: who may talk to a server that listens beyond its own machine."""

from functools import partial
from time import time_ns
from typing import Any
from urllib.parse import quote

import click

from tracker.audit.moment import local
from tracker.cli.screen import Column, note, print_json, safe, say, table
from tracker.cli.session import connect, example, json_option, run, target_of, uri_option
from tracker.transport import open_transport

_DAY = 86_400 * 10**9


@click.group(epilog=example("tracker token create --role writer --name ci --days 90", "tracker token list", "tracker token revoke 4f2a9c"))
def token() -> None:
    """Create, list and revoke tokens. Only their digests are stored.

    The first one is made on the data directory itself (--uri DIR) before the server starts. From then on every request needs one.
    """


@token.command(epilog=example("TRACKER_TOKEN=$(tracker token create --role writer --name ci)"))
@uri_option
@json_option
@click.option(
    "--role", type=click.Choice(["viewer", "writer", "admin"]), required=True, help="viewer reads, writer records too, admin all."
)
@click.option("--name", default="", help="Whose it is, for people.")
@click.option("--days", type=click.IntRange(1), help="Days until it expires. [default: never]")
def create(uri: str | None, as_json: bool, role: str, name: str, days: int | None) -> None:
    """Make a token and print it, this once."""
    made = run(partial(_create, uri, {"role": role, "name": name, "expires": time_ns() + days * _DAY if days else 0}))
    if as_json:
        print_json(made)
    else:
        click.echo(made["token"])
        note(f"id {made['id']}, role {role}. It is not shown again; give it to jobs as TRACKER_TOKEN.")


async def _create(uri: str | None, wanted: dict[str, Any]) -> Any:
    async with open_transport(target_of(uri)) as transport:  # also on a directory that does not exist yet
        return await transport.ask("POST", "/v1/tokens", body=wanted)


@token.command("list", epilog=example("tracker token list"))
@uri_option
@json_option
def list_(uri: str | None, as_json: bool) -> None:
    """List all tokens ever made, without their secrets."""
    tokens = run(partial(_list, uri))
    if as_json:
        for one in tokens:
            print_json(one)
        return
    if not tokens:
        note("there are no tokens: whoever reaches a server of this directory may do everything")
        return
    columns = [Column("id"), Column("role"), Column("name", fold=True), Column("expires"), Column("state")]
    table(columns, [(safe(t["id"]), safe(t["role"]), safe(t["name"]), local(t["expires"]) or "never", _state(t)) for t in tokens])


async def _list(uri: str | None) -> list[dict[str, Any]]:
    async with connect(uri) as transport:
        return list((await transport.ask("GET", "/v1/tokens"))["tokens"])


def _state(one: dict[str, Any]) -> str:
    if one["revoked"]:
        return f"revoked {local(one['revoked'])}"
    return "expired" if one["expires"] and one["expires"] <= time_ns() else "valid"


@token.command(epilog=example("tracker token revoke 4f2a9c"))
@uri_option
@click.argument("id")
def revoke(uri: str | None, id: str) -> None:
    """Revoke a token: from now on it may do nothing."""
    run(partial(_revoke, uri, id))
    say(safe(f"{id} is revoked"))


async def _revoke(uri: str | None, id: str) -> None:
    async with connect(uri) as transport:
        await transport.ask("DELETE", f"/v1/tokens/{quote(id, safe='')}")
