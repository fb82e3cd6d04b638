"""`tracker chart`: one metric of a run as a drawing of characters."""

import shutil
from functools import partial
from typing import Any

import click

from tracker.audit.chart import chart as draw
from tracker.audit.escape import line
from tracker.cli.found import find_run, series_of
from tracker.cli.items import RunName, run_argument
from tracker.cli.screen import Failed, print_json, say
from tracker.cli.session import connect, example, json_option, run, uri_option


@click.command(epilog=example("tracker chart digits/4f2a loss", "tracker chart digits/4f2a loss --iteration 3 --by time"))
@uri_option
@json_option
@run_argument
@click.argument("key")
@click.option("--iteration", type=click.IntRange(0), default=0, help="Of this iteration; 0 is the run itself.")
@click.option("--by", type=click.Choice(["step", "time"]), default="step", show_default=True, help="What runs along.")
@click.option("--height", type=click.IntRange(4, 60), default=12, show_default=True, help="Rows.")
def chart(uri: str | None, as_json: bool, run_name: RunName, key: str, iteration: int, by: str, height: int) -> None:
    """Draw one metric of a run, however many points it has: each column shows the smallest and the largest value in it."""
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    found = run(partial(_points, uri, run_name, key, iteration, 2 * width))
    if as_json:
        print_json(found)
        return
    xs = [float(x) for x in found["step"]]
    if by == "time":
        start = found["time"][0] if found["time"] else 0
        xs = [(time - start) / 1e9 for time in found["time"]]
    ys = [float(value) for value in found["value"]]
    title = f"{key} of {run_name}" + (f"#{iteration}" if iteration else "")
    for text in draw(xs, ys, width=width, height=height, title=line(title), x_name="step" if by == "step" else "seconds"):
        say(text)


async def _points(uri: str | None, name: RunName, key: str, iteration: int, points: int) -> dict[str, Any]:
    async with connect(uri) as transport:
        name = await find_run(transport, name)
        series = await series_of(transport, name, iteration)
        if not any(one["key"] == key for one in series):
            there = ", ".join(sorted({str(one["key"]) for one in series})) or "none"
            where = f"iteration {iteration} of {name}" if iteration else str(name)
            raise Failed(f"{where} has no metric {key!r}; it has: {there}", 2)
        asked = {"key": key, "iteration": str(iteration), "points": str(points)}
        return dict(await transport.ask("GET", f"{name.path}/metrics/chart", asked))
