"""`tracker runs`: search, as a table or as lines of JSON."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from time import time_ns
from typing import Any
from urllib.parse import quote

import click
from rich.text import Text

from tracker.audit.escape import line
from tracker.audit.moment import Moment, elapsed, local, plain
from tracker.cli.items import MomentType
from tracker.cli.screen import BEGINNING, Column, note, print_json, run_name, safe, state, table
from tracker.cli.session import connect, example, json_option, run, uri_option
from tracker.transport import Transport

_PAGE = 500
_SHOWN = 4  # parameters, and results, that a row has room for


@click.command(
    epilog=example(
        "tracker runs \"metrics.loss < 0.1 AND params.model = 'tree'\" --order-by 'metrics.loss'",
        "tracker runs \"attributes.state = 'running'\" --project digits --json",
    )
)
@uri_option
@json_option
@click.argument("filter", default="")
@click.option("--project", help="Only this project.")
@click.option(
    "--order-by",
    metavar="FIELD [DESC], ...",
    default="",
    help="Such as 'metrics.loss' or 'attributes.started_at DESC'. [default: newest first]",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--iterations", is_flag=True, help="Child iterations, too.")
@click.option("--deleted", is_flag=True, help="Runs in the trash, too.")
@click.option("--at", "moment", type=MomentType(), help="As it was then: an offset, a time, or an age such as 2h.")
def runs(
    uri: str | None,
    as_json: bool,
    filter: str,
    project: str | None,
    order_by: str,
    limit: int,
    iterations: bool,
    deleted: bool,
    moment: Moment | None,
) -> None:
    """Search runs. FILTER is text such as: params.lr > 0.01 AND metrics.loss < 0.2

    \b
    Fields: params. metrics. results. labels. annotations. attributes. (state, name, uid, started_at ...)
    Operators: = != < <= > >= LIKE ILIKE IN NOT IN IS NULL IS NOT NULL, joined by AND OR NOT ( )
    """  # noqa: D301 - \b is the character that has click keep the lines
    params = {"filter": filter, "order_by": order_by, "at": moment.text if moment else ""}
    params |= {"iterations": "true" if iterations else "", "deleted": "true" if deleted else ""}
    run(partial(_runs, uri, as_json, project, {name: value for name, value in params.items() if value}, limit))


async def _runs(uri: str | None, as_json: bool, project: str | None, params: dict[str, str], limit: int) -> None:
    shown: list[dict[str, Any]] = []
    more = False
    async with connect(uri) as transport, aclosing(_found(transport, project, params, limit + 1)) as found:
        count = 0
        async for one in found:
            count += 1
            if count > limit:
                more = True
            elif as_json:
                print_json(one)
            else:
                shown.append(one)
    if as_json:
        return
    if shown:
        table(*_table(shown, 0 if params.get("at") else time_ns()))
    else:
        note("no run satisfies that" if params.get("filter") else "there are no runs yet")
    if more:
        note(f"these are the first {limit}: --limit shows more, a filter fewer")


async def _found(transport: Transport, project: str | None, params: dict[str, str], most: int) -> AsyncGenerator[dict[str, Any], None]:
    path = f"/v1/projects/{quote(project, safe='')}/runs" if project else "/v1/runs"
    token = ""
    while most > 0:
        asked = params | {"limit": str(min(most, _PAGE))} | ({"page_token": token} if token else {})
        reply = await transport.ask("GET", path, asked)
        for one in reply["runs"]:
            yield one
        most -= len(reply["runs"])
        token = reply["next_page_token"]
        if not token:
            return


def _table(rows: list[dict[str, Any]], now: int) -> tuple[list[Column], list[tuple[str | Text, ...]]]:
    columns = [
        Column("run"),
        Column("name", most=24, least=12),
        Column("state"),
        Column("started", spare=2),
        Column("took", right=True, spare=1),
    ]
    columns += [Column("results", most=60, least=16), Column("parameters", most=48, least=24, spare=3)]
    digits = _telling({one["uid"] for one in rows})
    return columns, [
        (
            run_name(one["project"], one["uid"], one["iteration"], digits=digits),
            safe(one.get("name", "")),
            state(one["state"]),
            local(one.get("started_at") or one.get("created_at") or 0),
            _took(one, now or one["updated_at"]),
            _brief(one.get("results", {})),
            _brief(one.get("parameters", {})),
        )
        for one in rows
    ]


def _telling(uids: set[str]) -> int:
    """How many digits tell these uids apart."""
    digits = BEGINNING
    while len({uid[:digits] for uid in uids}) < len(uids):
        digits += 1
    return digits


def _took(one: dict[str, Any], now: int) -> str:
    started, ended = one.get("started_at") or 0, one.get("ended_at") or 0
    if not started:
        return ""
    return elapsed(ended - started) if ended else elapsed(now - started) if one["state"] == "running" else ""


def _brief(values: dict[str, Any]) -> Text:
    """A few values as `lr 0.1  depth 3`."""
    parts: list[Text | tuple[str, str]] = []
    for key, value in list(values.items())[:_SHOWN]:
        text = plain(value)
        parts += [(line(key) + " ", "dim"), safe(text if len(text) <= 24 else text[:23] + "…"), ("  ", "")]
    if len(values) > _SHOWN:
        parts.append((f"+{len(values) - _SHOWN}", "dim"))
    return Text.assemble(*parts)
