"""`tracker chart`: one metric of a run as a drawing of characters."""

import shutil
from functools import partial
from typing import Any

import click
import msgspec

from tracker.audit.chart import chart as draw
from tracker.audit.escape import line
from tracker.audit.moment import SECOND
from tracker.cli.found import find_run, series_of
from tracker.cli.items import RunName, run_argument
from tracker.cli.screen import Failed, print_json, say
from tracker.cli.session import connect, example, json_option, run, uri_option
from tracker.errors import NotFound

_NAMED = 12  # iterations that a message names


@click.command(epilog=example("tracker chart digits/4f2a loss", "tracker chart digits/4f2a loss --iteration 3 --by time"))
@uri_option
@json_option
@run_argument
@click.argument("key")
@click.option("--iteration", type=click.IntRange(0), default=0, help="Of this iteration; 0 is the run itself.")
@click.option("--by", type=click.Choice(["step", "time"]), default="step", show_default=True, help="What runs along.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Of the series with these labels.")
@click.option("--height", type=click.IntRange(4, 60), default=12, show_default=True, help="Rows.")
def chart(
    uri: str | None, as_json: bool, run_name: RunName, key: str, iteration: int, by: str, labels: tuple[str, ...], height: int
) -> None:
    """Draw one metric of a run, however many points it has: each column shows the smallest and the largest value in it."""
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    asked = {"key": key, "iteration": str(iteration), "points": str(width)} | _labels(labels)
    found = run(partial(_chart, uri, run_name, asked))
    if as_json:
        print_json(found)
        return
    xs, ys = _path(found, by)
    title = f"{key} of {run_name}" + (f"#{iteration}" if iteration else "")
    for text in draw(xs, ys, width=width, height=height, title=line(title), x_name="step" if by == "step" else "seconds"):
        say(text)


def _labels(labels: tuple[str, ...]) -> dict[str, str]:
    pairs = [label.partition("=") for label in labels]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.UsageError("a label is NAME=VALUE")
    return {"labels": msgspec.json.encode({name: value for name, _, value in pairs}).decode()} if pairs else {}


def _path(found: dict[str, Any], by: str) -> tuple[list[float], list[float]]:
    """The line through first, smallest, largest and last value of each run of points."""
    xs: list[float] = []
    ys: list[float] = []
    start = found["times"][0] if found["times"] else 0
    for i, step in enumerate(found["steps"]):
        values = [found[name][i] for name in ("firsts", "minima", "maxima", "lasts")][: 1 if found["width"] == 1 else 4]
        xs += [float(step) if by == "step" else (found["times"][i] - start) / SECOND] * len(values)
        ys += [float(value) for value in values]
    if found["width"] > 1:  # a run of points is named by its first step: the axis ends at the last one
        xs.append(float(found["last_step"]) if by == "step" else (found["last_time"] - start) / SECOND)
        ys.append(float(found["lasts"][-1]))
    return xs, ys


def _elsewhere(error: NotFound, series: list[dict[str, Any]], asked: dict[str, str]) -> str:
    """The error, with where there is what was asked for; else what there is."""
    where = sorted({one["iteration"] for one in series if one["key"] == asked["key"]})
    if "labels" in asked and int(asked["iteration"]) in where:
        return f"{error} with these labels: `tracker show` lists its series"
    if where == [0]:
        return f"{error}; the run itself has it: leave out --iteration"
    if where:
        named = ", ".join(map(str, where[:_NAMED])) + (", ..." if len(where) > _NAMED else "")
        return f"{error}; these have it: {named}; choose with --iteration {where[-1]}"
    keys = ", ".join(sorted({str(one["key"]) for one in series}))
    return f"{error}; metrics of this run: {keys or 'none'}"


async def _chart(uri: str | None, name: RunName, asked: dict[str, str]) -> dict[str, Any]:
    async with connect(uri) as transport:
        name = await find_run(transport, name)
        try:
            found = dict(await transport.ask("GET", f"{name.path}/metrics/chart", asked))
        except NotFound as error:
            raise Failed(_elsewhere(error, await series_of(transport, name, None), asked), 2) from error
        same = [
            one
            for one in await series_of(transport, name, found["iteration"])
            if (one["key"], one["labels"]) == (found["key"], found["labels"])
        ]
    return found | {"last_step": same[0]["last_step"], "last_time": same[0]["last_time"]}
