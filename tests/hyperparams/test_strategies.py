"""Combinations, parameter files, selectors, the table and the picture: all pure."""

import itertools
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import InvalidExpression, InvalidRequest
from tracker.executors.plan import plan_of
from tracker.hyperparams.param_file import read_param_file
from tracker.hyperparams.picture import parallel_coordinates
from tracker.hyperparams.selector import Selector, parse_selector
from tracker.hyperparams.strategies import combinations, space_of
from tracker.hyperparams.table import Row, iteration_table
from tracker.model.run import RunSpec

SPACES = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.lists(st.integers(), max_size=4), min_size=1, max_size=4)


def spec(**given: Any) -> RunSpec:
    """A run's spec with hyper-parameters and options."""
    own = {name: given.pop(name, None) for name in ("hyperparams", "param_file", "selector", "strategy")}
    return RunSpec(**own, hyper_param_options=given)


@given(SPACES)
def test_a_grid_is_the_full_product(space: dict[str, list[int]]) -> None:
    """Every combination comes once per its values, the first parameter varies fastest."""
    found = [tuple(c.values()) for c in combinations(space, "grid")]
    assert found == [combination[::-1] for combination in itertools.product(*list(space.values())[::-1])]


def test_the_order_of_a_grid_is_the_documented_one() -> None:
    """{p1: [2,4,1], p2: [x,y]} goes (2,x) (4,x) (1,x) (2,y) (4,y) (1,y)."""
    found = [(c["p1"], c["p2"]) for c in combinations({"p1": [2, 4, 1], "p2": ["x", "y"]}, "grid")]
    assert found == [(2, "x"), (4, "x"), (1, "x"), (2, "y"), (4, "y"), (1, "y")]


def test_a_list_goes_through_the_columns_together() -> None:
    """The first values, then the second ones; unequal lengths are an error that tells the lengths."""
    assert list(combinations({"a": [1, 2], "b": [3, 4]}, "list")) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    with pytest.raises(InvalidRequest, match="a has 2, b has 1"):
        combinations({"a": [1, 2], "b": [3]}, "list")


def test_random_picks_can_be_repeated() -> None:
    """The same seed picks the same, another one otherwise; ten combinations unless more or fewer are asked for."""
    space: dict[str, list[Any]] = {"a": list(range(100)), "b": list("xyz")}
    first = list(combinations(space, "random", seed="run-1"))
    assert first == list(combinations(space, "random", seed="run-1"))
    assert first != list(combinations(space, "random", seed="run-2"))
    assert len(first) == 10
    assert len(list(combinations(space, "random", max_iterations=25))) == 25
    assert all(c["a"] in space["a"] and c["b"] in space["b"] for c in first)


def test_an_empty_list_gives_no_combination() -> None:
    """There is nothing to try, which is no error."""
    for strategy in ("grid", "list", "random"):
        assert not list(combinations({"a": []}, strategy))


@pytest.mark.parametrize("value", ["text", 5, None, {"a": 1}, {1, 2}, b"x", np.float64(3)])
def test_what_is_no_list_is_refused(value: Any) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidRequest, match="'lr' must be a list"):
        space_of({"lr": value})


def test_lists_of_all_kinds_are_taken() -> None:
    """Tuples, ranges and arrays are lists of values, too."""
    assert space_of({"a": (1, 2), "b": range(2), "c": np.array([0.5, 1.0])}) == {"a": [1, 2], "b": [0, 1], "c": [0.5, 1.0]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"hyperparams": {"a": [1]}, "strategy": "guess"}, "strategy"),
        ({"hyperparams": {"a": [1]}, "max_iterations": 5}, "max_iterations"),
        ({"hyperparams": {"a": [1]}, "strategy": "random", "max_iterations": 0}, "max_iterations"),
        ({"hyperparams": {"a": [1]}, "parallel_runs": -1}, "parallel_runs"),
        ({"hyperparams": {"a": [1]}, "max_errors": "3"}, "max_errors"),
        ({"hyperparams": {"a": [1]}, "dask_cluster_uri": "db://project/dask"}, "dask_cluster_uri"),
        ({"hyperparams": {"a": [1]}, "param_file": "x.csv"}, "param_file"),
        ({"hyperparams": {"a": [1]}, "strategy": "custom", "parallel_runs": 2}, "strategy"),
        ({"hyperparams": {str(n): list(range(10)) for n in range(9)}}, "hyperparams"),
        ({"hyperparams": [1]}, "hyperparams"),
        ({"hyperparams": {"a": [1]}, "stop_condition": "a >"}, "stop_condition"),
        ({"hyperparams": {"a": [1]}, "selector": "mean.a"}, "selector"),
    ],
)
def test_a_bad_option_is_named(given: dict[str, Any], field: str) -> None:
    """Whatever is wrong with a search is found before it starts, by name."""
    with pytest.raises(InvalidRequest) as caught:
        plan_of(spec(**given), "uid")
    assert caught.value.field == field


def test_options_become_a_plan() -> None:
    """Selector and strategy may stand in the spec or in its options; three failures are gone on after unless told otherwise."""
    plan = plan_of(spec(hyperparams={"a": [1, 2]}, selector="min.loss", parallel_runs=2, stop_condition="a > 1"), "uid")
    assert (plan.strategy, plan.total, plan.parallel, plan.max_errors, plan.dask) == ("grid", 2, 2, 3, "")
    assert plan.selector == Selector("min", "loss")
    assert plan.stop is not None
    assert plan_of(spec(hyperparams={"a": [1]}, teardown_dask=True), "uid").dask == "local"
    assert plan_of(spec(hyperparams={"a": [1]}, dask_cluster_uri="tcp://host:8786"), "uid").dask == "tcp://host:8786"
    assert plan_of(spec(hyperparams={"a": [1]}, teardown_dask=False), "uid").dask == ""


def test_a_csv_file_is_a_list_of_combinations() -> None:
    """Columns of numbers are numbers, of truth values that, others text; an empty cell is None; a BOM and blank lines do not count."""
    data = '\ufefflr,layers,name,fast,rate\n0.1,2,"a, b",true,1e-3\n\n0.2,3,c,False,\n'.encode()
    space, strategy = read_param_file(data, "https://host/params.csv?version=3", "")
    assert strategy == "list"
    assert space == {"lr": [0.1, 0.2], "layers": [2, 3], "name": ["a, b", "c"], "fast": [True, False], "rate": [0.001, None]}


@pytest.mark.parametrize(
    ("data", "url", "strategy", "word"),
    [
        (b"a,b\n1,2\n3\n", "p.csv", "", r"row 2 \(line 3\) has 1 cells, the header has 2"),
        (b"a,b\n1,2,3\n", "p.csv", "", "row 1 .line 2. has 3 cells"),
        (b"a,a\n1,2\n", "p.csv", "", "two columns are named 'a'"),
        (b"a,\n1,2\n", "p.csv", "", "column 2 has no name"),
        (b"", "p.csv", "", "is empty"),
        (b"\xff\xfe", "p.csv", "", "not UTF-8"),
        (b'a\n"x', "p.csv", "", "no CSV"),
        (b"a\n1\n", "p.csv", "grid", "its strategy is list, not grid"),
        (b"a: 1", "p.yaml", "", "must end in .csv or .json"),
        (b"{", "p.json", "", "no JSON"),
        (b"[" * 100_000, "p.json", "", "no JSON"),
        (b"3", "p.json", "", "object of lists"),
        (b'{"a": 3}', "p.json", "", "'a' must be a list"),
        (b'[{"a": 1}, {"b": 2}]', "p.json", "", "row 2 has not the parameters of the first row: they differ in 'a', 'b'"),
        (b'[{"a": 1}, 5]', "p.json", "", "row 2 is no object"),
        (b'[{"a": 1}]', "p.json", "random", "its strategy is list"),
    ],
)
def test_a_bad_parameter_file_is_an_error_that_names_it(data: bytes, url: str, strategy: str, word: str) -> None:
    """Ragged rows are named by their number; nothing is guessed."""
    with pytest.raises(InvalidRequest, match=word) as caught:
        read_param_file(data, url, strategy)
    assert url in caught.value.message
    assert caught.value.field == "param_file"


def test_a_json_file_is_a_space_or_a_list() -> None:
    """An object of lists is a space, for a grid unless told otherwise; a list of objects is a list."""
    assert read_param_file(b'{"a": [1, 2]}', "p.json") == ({"a": [1, 2]}, "grid")
    assert read_param_file(b'{"a": [1, 2]}', "p.json", "random") == ({"a": [1, 2]}, "random")
    assert read_param_file(b'[{"a": 1, "b": 2}, {"b": 4, "a": 3}]', "p.json") == ({"a": [1, 3], "b": [2, 4]}, "list")


def test_the_selector_takes_the_first_of_the_best() -> None:
    """The greatest is meant unless min is said; numbers and texts of numbers count, NaN and others do not; the first wins a tie."""
    results = [(1, {"acc": 0.5}), (2, {"acc": "0.9"}), (3, {"acc": 0.9}), (4, {"acc": float("nan")}), (5, {"acc": "high"}), (6, {})]
    assert parse_selector("max.acc").best(results) == parse_selector("acc").best(results) == 2
    assert parse_selector("min.acc").best(results) == 1
    assert parse_selector("max.nope").best(results) == 0
    assert parse_selector("max.val.acc").best([(7, {"val.acc": 1})]) == 7


@pytest.mark.parametrize(("text", "column"), [("mean.acc", 1), ("max.", 5), (" ", 1), (" sum.x", 2)])
def test_a_bad_selector_is_pointed_at(text: str, column: int) -> None:
    """The error shows the selector with a caret."""
    with pytest.raises(InvalidExpression, match=r"selector: ") as caught:
        parse_selector(text)
    assert caught.value.detail["column"] == column


ROWS = [
    Row(2, "error", {"lr": 0.2, "name": "b"}, {}),
    Row(1, "completed", {"lr": 0.1, "name": "a"}, {"loss": 3.0, "note": "fine"}),
    Row(3, "completed", {"lr": 0.3, "name": "<c>"}, {"loss": 1.0, "extra": float("nan")}),
]


def test_the_table_has_a_row_for_each_iteration() -> None:
    """state, iter, param.* and output.*, in the order of the numbers; what is missing is None."""
    header, *rows = iteration_table(ROWS)
    assert header == ["state", "iter", "param.lr", "param.name", "output.loss", "output.note", "output.extra"]
    assert rows[:2] == [["completed", 1, 0.1, "a", 3.0, "fine", None], ["error", 2, 0.2, "b", None, None, None]]


def test_the_picture_is_a_page_of_its_own() -> None:
    """A line per iteration, the best marked, texts escaped, nothing loaded from elsewhere and no script."""
    page = parallel_coordinates(ROWS, Selector("min", "loss"), best=3)
    assert "<script" not in page
    assert page.count("http") == 1  # the name of SVG's namespace
    assert "<c>" not in page
    drawing = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    paths = drawing.findall("{http://www.w3.org/2000/svg}path")
    assert [path.get("class") for path in paths] == [None, "failed", "best"]
    assert "iteration 3" in str(paths[-1][0].text)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=5)), max_size=4)))
def test_any_rows_can_be_drawn(results: list[dict[str, Any]]) -> None:
    """Numbers of any size, NaN, texts and gaps make a page that is well-formed, or none."""
    page = parallel_coordinates([Row(i, "completed", {"p": i}, found) for i, found in enumerate(results, 1)], None, 1)
    assert not results or "nan" not in "".join(part.split('"')[0] for part in page.split(' d="')[1:])


def test_a_large_search_is_drawn_within_bounds() -> None:
    """Of very many iterations and names a part is drawn, and the page says so; the best is among it."""
    rows = [Row(i, "completed", {f"p{n}": i for n in range(40)}, {"loss": i}) for i in range(1, 5001)]
    page = parallel_coordinates(rows, Selector("max", "loss"), best=5000)
    assert "2999 of 5000 iterations are not drawn" in page
    assert "axes are not drawn" in page
    assert 'class="best"' in page
    assert len(page) < 8_000_000
