"""Charts, tables and plots: pages that a browser shows without asking anybody else."""

import math
import re
import xml.etree.ElementTree as ET
from datetime import date
from typing import Any

import pandas as pd
import polars as pl
import pytest

import tracker
from tests.artifacts.conftest import versions
from tracker.artifacts import ChartArtifact, PlotArtifact, TableArtifact
from tracker.errors import InvalidRequest


def picture(page: bytes) -> Any:
    """The SVG of a page, as parsed."""
    return ET.fromstring(re.search(rb"<svg.*</svg>", page, re.DOTALL)[0])  # type: ignore[index]


def test_a_chart_as_the_handbook_makes_it(run: tracker.Context) -> None:
    """Header and rows become a page with a line for each column, and no script."""
    chart = ChartArtifact("chart")
    chart.labels = {"type": "roc"}
    chart.header = ["Epoch", "Accuracy", "Loss"]
    for i in range(1, 8):
        chart.add_row([i, i / 20 + 0.75, 0.30 - i / 20])
    run.log_artifact(chart)
    [shown] = versions(run, "chart")
    assert (shown["kind"], shown["labels"], shown["content_type"], shown["path"]) == ("chart", {"type": "roc"}, "text/html", "chart.html")
    assert (shown["spec"]["header"], shown["spec"]["rows"]) == (["Epoch", "Accuracy", "Loss"], 7)
    page = run.artifacts["chart"].get_body()
    svg = picture(page)
    assert len([path for path in svg.iter("{http://www.w3.org/2000/svg}path") if path.get("stroke-width") == "2"]) == 2
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}circle"))) == 14
    assert b"script" not in page
    assert not re.search(rb"(src|href)=", page)


def test_a_chart_of_hostile_values_is_still_a_picture() -> None:
    """Names with markup, gaps, NaN, infinities, huge and equal numbers, words on the axis."""
    chart = ChartArtifact("c", header=["<script>", "a&b", "c"], title="</title>")
    for row in (["x", 1e308, 5], ["y", -1e308, 5], ["z", math.nan, 5], [None, math.inf, "no number"]):
        chart.add_row(row)
    page = chart.get_body()
    assert b"<script>" not in page
    assert not re.search(rb"nan|inf", ET.tostring(picture(page)).lower())
    for bare in (ChartArtifact("empty", header=["a"]), ChartArtifact("one", [[1, 2]])):
        assert picture(bare.get_body()).tag.endswith("svg")


def test_axes_tell_values_apart() -> None:
    """Marks are round numbers that differ as they are written; words and dates stand at the axis as they are."""

    def texts(rows: list[list[Any]]) -> list[str]:
        page = ChartArtifact("c", rows, header=["x", "y"]).get_body()
        return [str(text.text) for text in picture(page).iter("{http://www.w3.org/2000/svg}text")]

    near = texts([[i, 1e9 + i] for i in range(5)])
    assert {"1000000001", "1000000002"} <= set(near)
    assert {"0.2", "0.4"} <= set(texts([[i, i / 10] for i in range(11)]))
    assert {"Oslo", "Paris"} <= set(texts([["Oslo", 1], ["Paris", 2]]))
    assert "2024-01-02" in texts([[date(2024, 1, day), day] for day in range(1, 5)])
    for rows in ([[1, 0.8]], [[0, 5e-324]], [[0, 1e308], [1, -1e308]], [[i, 1 + i * 1e-12] for i in range(3)]):
        assert len(texts(rows)) > 4


def test_many_points_make_a_small_picture() -> None:
    """Ten thousand points are thinned to what can be seen, and the peak is still there; one point between gaps is a dot."""
    rows = [[i, 1000.0 if i == 5_000 else math.sin(i)] for i in range(10_000)]
    page = ChartArtifact("c", rows, header=["x", "y"]).get_body()
    assert len(page) < 80_000
    [line] = [path for path in picture(page).iter("{http://www.w3.org/2000/svg}path") if path.get("stroke-width") == "2"]
    highest = min(float(point.split()[1]) for point in re.split("[ML]", line.get("d"))[1:])
    assert highest < 60
    alone = ChartArtifact("c", [[i, 1 if i == 500 else math.nan] for i in range(1000)]).get_body()
    assert len(list(picture(alone).iter("{http://www.w3.org/2000/svg}circle"))) == 1


def test_a_row_that_does_not_fit_is_named(run: tracker.Context) -> None:
    """The error says which row of which chart or table."""
    with pytest.raises(InvalidRequest, match="row 2 of chart 'c' has 1 values, its header has 2"):
        run.log_artifact(ChartArtifact("c", [[1, 2], [3]], header=["a", "b"]))
    with pytest.raises(InvalidRequest, match="row 1 of table 't'"):
        run.log_artifact(TableArtifact("t", [[1, 2], [3]]))


@pytest.mark.parametrize("frame", [pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})])
def test_tables_of_frames_rows_and_text(run: tracker.Context, frame: Any) -> None:
    """Whatever a table is made of, it is CSV with a header."""
    text = b"a,b\n1,x\n2,y\n"
    tables = [
        TableArtifact("t", df=frame),
        TableArtifact("t", body=[[1, "x"], [2, "y"]], header=["a", "b"]),
        TableArtifact("t", body=[["a", "b"], [1, "x"], [2, "y"]]),
        TableArtifact("t", body=text.decode()),
    ]
    for table in tables:
        logged = run.log_artifact(table)
        assert (logged.header, logged.get_body()) == (["a", "b"], text)
    assert len({row["digest"] for row in versions(run, "t")}) == 1
    assert tables[0].viewer == "table"


def test_a_figure_is_a_page_with_a_picture_in_it(run: tracker.Context) -> None:
    """A matplotlib figure, or axes of one; what is no figure is refused by its type."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2, 3])
    page = run.log_artifact(PlotArtifact("p", body=figure, title="a < b")).to_dataitem().get()
    assert b'src="data:image/png;base64,iVBOR' in page
    assert b"a &lt; b" in page
    run.log_artifact(PlotArtifact("axes", body=axes))
    with pytest.raises(InvalidRequest, match=r"matplotlib figure.*not dict"):
        run.log_artifact(PlotArtifact("no", body={}))
