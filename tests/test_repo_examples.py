"""The examples run, and what they record is what they say they show."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TRACKER = (sys.executable, "-c", "from tracker.cli.main import main; main()")
DRIVEN = {"plain_script", "asyncio_service", "search_digits", "pipeline", "many_at_once", "train_digits"}


def run(directory: Path, *command: str, **env: str) -> str:
    """What a command prints in a directory, as a user without any setting would see it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    environment |= {"HOME": str(directory), "XDG_STATE_HOME": str(directory / "state"), **env}
    environment["OMP_NUM_THREADS"] = "1"  # threads of a library that wait in a circle for processors that other tests have
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def example(directory: Path, name: str, *arguments: str, **env: str) -> str:
    """What an example prints."""
    return run(directory, sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments, **env)


def runs(directory: Path, query: str = "") -> list[dict[str, Any]]:
    """The runs that were recorded, the newest first."""
    return [json.loads(line) for line in run(directory, *TRACKER, "runs", query, "--json").splitlines()]


def test_every_example_is_driven() -> None:
    """No example is left that nobody runs."""
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == DRIVEN


def test_plain_script_says_everything(tmp_path: Path) -> None:
    """Run by itself, the script records parameters, an input, results, a label, a text, a page, a chart and a dataset."""
    assert "p2=a-string" in example(tmp_path, "plain_script")
    (found,) = runs(tmp_path)
    assert (found["state"], found["parameters"], found["results"]) == (
        "completed",
        {"p1": 1, "p2": "a-string"},
        {"accuracy": 2, "loss": 3},
    )
    shown = json.loads(run(tmp_path, *TRACKER, "show", "examples/train", "--json"))
    assert {artifact["key"]: artifact["kind"] for artifact in shown["artifacts"]} == {
        "model": "artifact",
        "html_result": "artifact",
        "chart": "chart",
        "flowers": "dataset",
    }


def test_plain_script_is_the_run_that_was_asked_for(tmp_path: Path) -> None:
    """Started as a task, the same script works on the run that was prepared for it."""
    program = f"import tracker; tracker.run_function({str(ROOT / 'examples' / 'plain_script.py')!r}, name='asked', params={{'p1': 5}})"
    run(tmp_path, sys.executable, "-c", program)
    (found,) = runs(tmp_path)
    assert (found["name"], found["state"], found["results"]["accuracy"], found["parameters"]["p2"]) == (
        "asked",
        "completed",
        10,
        "a-string",
    )


def test_asyncio_service_has_a_run_for_each_job(tmp_path: Path) -> None:
    """Six jobs in one loop are six runs; the one that cannot be done failed, and the service went on."""
    assert "math domain error" in example(tmp_path, "asyncio_service")
    found = {one["parameters"]["function"]: one for one in runs(tmp_path)}
    assert {name: one["state"] for name, one in found.items()} == {
        "exp": "completed",
        "sin": "completed",
        "cos": "completed",
        "atan": "completed",
        "sqrt": "completed",
        "log": "error",
    }
    assert found["exp"]["results"]["integral"] == pytest.approx(1.718, abs=0.001)


@pytest.mark.parametrize("where", ["processes", "dask"])
def test_search_digits_finds_the_best(tmp_path: Path, where: str) -> None:
    """On processes and on Dask the search has nine iterations, a table, a picture, and the best one's results and model."""
    printed = example(tmp_path, "search_digits", *(["--dask"] if where == "dask" else []))
    assert "best: iteration 9, accuracy 0.99" in printed
    (found,) = runs(tmp_path)
    assert (found["state"], found["children"], found["best_iteration"]) == ("completed", 9, 9)
    shown = json.loads(run(tmp_path, *TRACKER, "show", f"digits/{found['uid']}", "--json"))
    own = {artifact["key"] for artifact in shown["artifacts"] if artifact["iteration"] == 0}
    assert own == {"model", "iteration_results", "parallel_coordinates"}


def test_pipeline_knows_who_read_what(tmp_path: Path) -> None:
    """The lineage of the dataset names the run that made it and the run that read it."""
    assert "accuracy" in example(tmp_path, "pipeline")
    train, prepare = runs(tmp_path)
    lineage = json.loads(run(tmp_path, *TRACKER, "lineage", "wine/features", "--json"))
    told = json.dumps(lineage)
    assert prepare["uid"] in told
    assert train["uid"] in told


def test_many_at_once_has_twenty_runs(tmp_path: Path) -> None:
    """Twenty tasks in one loop are twenty runs, each with its own series."""
    example(tmp_path, "many_at_once")
    assert [one["state"] for one in runs(tmp_path)] == ["completed"] * 20


def test_train_digits_records_a_search(tmp_path: Path) -> None:
    """The job of the demo marks the best of its nine iterations."""
    example(tmp_path, "train_digits", MPLBACKEND="Agg")
    (found,) = runs(tmp_path)
    assert (found["state"], found["children"]) == ("completed", 9)
    assert found["best_iteration"] in range(1, 10)
