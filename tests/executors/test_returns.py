"""What a handler returns, recorded as its log hints say; and what a handler is given."""

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.executors.conftest import console, run_at
from tracker.errors import RunFailed


def returned(value: Any, hints: list[Any] | None = None) -> Any:
    """The run of a handler that returns a value."""
    return tracker.run_function(lambda: value, project="p", name="r", returns=hints, watch=False)


def kind_of(run: Any, key: str) -> Any:
    """What the target knows of an artifact of a run."""
    from tracker.connection import PROCESS

    return PROCESS.connection("").ask("GET", f"/v1/projects/p/runs/{run.uid()}/artifacts/{key}").result(15)


def test_without_hints() -> None:
    """A value without a hint is the result `return`; None is nothing."""
    assert returned({"a": [1, 2.5, None]}).status.results == {"return": {"a": [1, 2.5, None]}}
    assert returned(None).status.results in (None, {})


def test_plain_values_are_results() -> None:
    """Numbers, texts, bytes, lists, dicts, None and small arrays are results under their keys."""
    np = pytest.importorskip("numpy")
    run = returned((3, "text", b"by\xfftes", [1], {"a": 1}, None, np.float32(0.5), np.arange(3)), list("abcdefgh"))
    expected = {"a": 3, "b": "text", "c": "by\\xfftes", "d": [1], "e": {"a": 1}, "f": None, "g": 0.5, "h": [0, 1, 2]}
    assert run.status.results == expected
    assert run_at(run.uid())["results"] == expected


def test_frames_are_datasets() -> None:
    """A frame becomes a dataset, whatever library it is of."""
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    run = returned((pd.DataFrame({"a": [1, 2]}), pl.DataFrame({"b": [3.5]}), pd.Series([1], name="c")), ["one", "two : dataset", "three"])
    assert {key: kind_of(run, key)["kind"] for key in ("one", "two", "three")} == dict.fromkeys(("one", "two", "three"), "dataset")
    assert run.artifact("one").as_df()["a"].tolist() == [1, 2]


def test_objects_are_pickled() -> None:
    """Any other object is kept as a pickled file; asked for as a model, as a model."""
    run = returned((partial(int, base=2), complex(1, 2)), ["parse", "number : model"])
    assert pickle.loads(run.artifact("parse").get())("101") == 5
    assert kind_of(run, "number")["kind"] == "model"


def test_figures_are_pictures() -> None:
    """A figure becomes a plot."""
    figures = pytest.importorskip("matplotlib.figure")
    figure = figures.Figure()
    figure.subplots().plot([1, 2, 3])
    run = returned(figure, ["curve"])
    assert kind_of(run, "curve")["kind"] == "plot"
    assert b"base64" in run.artifact("curve").get()


def test_files_are_kept(tmp_path: Path) -> None:
    """A path is the file there; any value is a file when it is asked for as one."""
    (tmp_path / "notes.txt").write_text("kept")
    np = pytest.importorskip("numpy")
    values = (tmp_path / "notes.txt", str(tmp_path / "notes.txt"), "a text", {"a": 1}, np.zeros(500))
    run = returned(values, ["path", "named : file", "text : file", "tree : file[format='json']", "array"])
    assert [run.artifact(key).get() for key in ("path", "named", "text", "tree")] == [b"kept", b"kept", b"a text", b'{"a": 1}']
    assert run.artifact("array").get().startswith(b"\x93NUMPY")


def test_collections_are_itemised() -> None:
    """`*x` records a collection and what is in it; `2*x` that of its parts, too."""
    assert returned([5, 6], ["*x"]).status.results == {"x": [5, 6], "x_0": 5, "x_1": 6}
    assert returned({"a": [1]}, ["2*x"]).status.results == {"x": {"a": [1]}, "x_a": [1], "x_a_0": 1}


def test_as_many_hints_as_values() -> None:
    """Values without a hint are left out, and hints without a value, with a warning in the console; the run completes."""
    fewer, more = returned((1, 2), ["a"]), returned(1, ["a", "b"])
    assert fewer.status.results == more.status.results == {"a": 1}
    assert "more values than there are hints" in console(fewer.uid())
    assert "fewer values than there are hints" in console(more.uid())


@pytest.mark.parametrize("hint", ["x : dataset", "x : plot", "x : nonsense", {"key": "x", "artifact_type": "file", "nonsense": 1}])
def test_what_cannot_be_recorded_as_asked(hint: Any) -> None:
    """A value that cannot be recorded as its hint says is skipped with a warning that names it; the run completes."""
    run = returned(3, [hint])
    assert run.status.state == "completed"
    assert "a returned value is not recorded key='x'" in console(run.uid())


def handlers() -> list[Callable[..., Any]]:
    """Functions of every shape."""

    def named(context, x, y=2):  # type: ignore[no-untyped-def]
        return (context.uid, x, y)

    def typed(run: tracker.Context, x: int, y: int = 2) -> Any:
        return (run.uid, x, y)

    def spelled(run: "tracker.MLClientCtx", x: int, y: int = 2) -> Any:
        return (run.uid, x, y)

    def by_place(context: Any, x: int, /, y: int = 2) -> Any:
        return (context.uid, x, y)

    def by_name(*, context: Any, x: int, y: int = 2) -> Any:
        return (context.uid, x, y)

    def anything(context: Any, *args: Any, **kwargs: Any) -> Any:
        return (context.uid, kwargs["x"], kwargs.get("y", 2))

    class Object:
        def __call__(self, context: Any, x: int, y: int = 2) -> Any:
            return (context.uid, x, y)

        def method(self, context: Any, x: int, y: int = 2) -> Any:
            return (context.uid, x, y)

    return [named, typed, spelled, by_place, by_name, anything, Object(), Object().method, partial(by_name, y=2)]


@pytest.mark.parametrize("number", range(9))
def test_what_a_handler_is_given(number: int) -> None:
    """The context comes first, by its name or its type; parameters by their names, defaults stay, those nobody takes are left out."""
    run = tracker.run_function(handlers()[number], project="p", name="h", params={"x": "5", "other": 1}, returns=["uid", "x", "y"])
    assert run.status.results == {"uid": run.uid(), "x": "5", "y": 2}


def test_an_input_that_is_not_there(tmp_path: Path) -> None:
    """An input that cannot be read fails the run with its place."""

    def job(data: str) -> None: ...

    with pytest.raises(RunFailed, match=r"gone\.txt"):
        tracker.run_function(job, project="p", inputs={"data": str(tmp_path / "gone.txt")})


@pytest.mark.parametrize(("wanted", "said"), [("dict", "is no dict: it holds list"), ("int", "is no int"), ("socket", "wanted as socket")])
def test_an_input_of_another_shape(tmp_path: Path, wanted: str, said: str) -> None:
    """An input that cannot be read as its type fails the run with its name and what it is."""
    (tmp_path / "x.json").write_text("[1]")

    def job(data: Any) -> None: ...

    with pytest.raises(RunFailed, match=said):
        tracker.run_function(job, project="p", inputs={f"data : {wanted}": str(tmp_path / "x.json")})
