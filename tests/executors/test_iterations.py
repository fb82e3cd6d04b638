"""Searches over parameters, run for real: in this process, in others, on a Dask cluster; and what becomes of iterations that go wrong."""

import csv
import io
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
import tracker.aio
from tests.executors.conftest import Server, run_at, started, until
from tests.sdk.conftest import Job, job
from tracker.connection import PROCESS
from tracker.errors import InvalidRequest, RunFailed, Unreachable

__all__ = ["job"]


def ask(path: str, **params: str) -> Any:
    """What the target knows."""
    return PROCESS.connection().ask("GET", f"/v1/projects/p/{path}", params).result(20)


def iterations(run: Any) -> list[dict[str, Any]]:
    """The iterations of a run as the views show them."""
    found: list[dict[str, Any]] = ask(f"runs/{run.metadata.uid}/iterations")["iterations"]
    return sorted(found, key=lambda child: child["iteration"])


def states(run: Any) -> list[str]:
    """Their states, by number."""
    return [child["state"] for child in iterations(run)]


def content(run: Any, key: str) -> bytes:
    """The bytes of an artifact of a run."""
    uid = run.metadata.uid
    found = tracker.get_dataitem(f"store://artifacts/p/{key}@{uid}").get()
    assert isinstance(found, bytes)
    return found


def train(context: Any, lr: float, layers: int = 1, fail_at: float = -1.0, way: str = "") -> None:
    """A job whose loss is least in the middle; at one learning rate it may fail in some way."""
    context.logger.info("training", lr=lr)
    context.log_result("loss", (lr - 0.3) ** 2 + 1 / layers)
    context.log_metric("step", lr)
    if lr == fail_at:
        if way == "raise":
            raise ValueError("it does not converge")
        if way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if way == "exit":
            sys.exit(3)
        if way == "term":
            os.kill(os.getpid(), signal.SIGTERM)
        if way in ("hang", "term"):
            try:
                until(lambda: False, 600)
            finally:
                context.log_result("cleared", 1)
    context.log_artifact("weights", body=f"weights of {lr}")


SPACE: dict[str, list[Any]] = {"lr": [0.1, 0.3, 0.5], "layers": [1, 2]}
PARALLEL = {"parallel_runs": 2}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Dask cluster of this machine that was there before."""
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield cluster


@pytest.mark.parametrize("where", ["in process", "processes", "dask"])
def test_a_grid_is_searched(where: str, request: pytest.FixtureRequest) -> None:
    """Each combination is an iteration with its parameters and results; the run gets the best one's, the table and the picture."""
    options: dict[str, Any] = {"selector": "min.loss"}
    if where == "processes":
        options |= PARALLEL
    elif where == "dask":
        options["dask_cluster_uri"] = request.getfixturevalue("cluster").scheduler_address
    run = tracker.run_function(train, name="search", project="p", hyperparams=SPACE, hyper_param_options=options)

    found = iterations(run)
    assert [child["iteration"] for child in found] == [1, 2, 3, 4, 5, 6]
    assert [(child["parameters"]["lr"], child["parameters"]["layers"]) for child in found] == [
        (0.1, 1), (0.3, 1), (0.5, 1), (0.1, 2), (0.3, 2), (0.5, 2),
    ]  # fmt: skip
    assert {child["state"] for child in found} == {"completed"}
    assert [child["metrics"]["step"] for child in found] == [0.1, 0.3, 0.5, 0.1, 0.3, 0.5]
    assert run.state() == "completed"
    assert (run.output("loss"), run.output("best_iteration")) == (0.5, 5)
    assert ask(f"runs/{run.metadata.uid}")["results"] == {"loss": 0.5, "best_iteration": 5}

    table = list(csv.reader(io.StringIO(content(run, "iteration_results").decode())))
    assert table[0] == ["state", "iter", "param.lr", "param.layers", "output.loss"]
    assert [row[1] for row in table[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert run.status.iterations[0] == table[0]
    assert b"<svg" in content(run, "parallel_coordinates")
    assert content(run, "weights") == b"weights of 0.3"


ENDS = {
    "": "",
    "raise": "ValueError: it does not converge",
    "exit": "SystemExit: 3",
    "kill": "its process was killed by SIGKILL",
    "term": "its process was killed by SIGTERM",
}


@pytest.mark.parametrize(("ways", "parallel"), [(["", "raise", "exit", ""], 0), (["", "raise", "exit", "kill", "term", ""], 2)])
def test_the_siblings_of_a_failed_iteration_go_on(ways: list[str], parallel: int, capfd: pytest.CaptureFixture[str]) -> None:
    """An iteration that raises, exits or dies has the state error and says why; what it recorded stays; the best is chosen all the same."""
    failed = len(ways) - 2
    with pytest.raises(RunFailed, match=f"{failed} of {len(ways)} iterations failed") as caught:
        tracker.run_function(
            train,
            name="search",
            project="p",
            params={"fail_at": 0.3},
            hyperparams={"way": ways, "lr": [0.1, *[0.3] * failed, 0.1]},
            hyper_param_options={"strategy": "list", "selector": "min.loss", "parallel_runs": parallel, "max_errors": failed},
        )
    run = caught.value.run
    found = iterations(run)
    assert [child["error"] for child in found] == [ENDS[way] for way in ways]
    assert [child["state"] for child in found] == ["error" if way else "completed" for way in ways]
    assert all(child["results"]["loss"] == pytest.approx(1) for child in found[1:-1])
    assert [child["results"].get("cleared") for child in found] == [1 if way == "term" else None for way in ways]
    assert ENDS["raise"] in run.status.error
    assert run.status.results["best_iteration"] == 1
    assert ask(f"runs/{run.metadata.uid}")["state"] == "error"
    assert "was left" not in capfd.readouterr().err


@pytest.mark.parametrize("parallel", [0, 2])
def test_an_iteration_that_hangs_is_aborted_alone(parallel: int) -> None:
    """Beyond its threshold an iteration is ended, and says so after all that it still said itself; its siblings complete."""
    with pytest.raises(RunFailed, match="1 of 3 iterations failed") as caught:
        tracker.run_function(
            train,
            project="p",
            params={"fail_at": 0.3, "way": "hang"},
            hyperparams={"lr": [0.1, 0.3, 0.5]},
            hyper_param_options={"parallel_runs": parallel},
            state_thresholds={"executing": "2s"},
        )
    run = caught.value.run
    assert states(run) == ["completed", "aborted", "completed"]
    hung = ask(f"runs/{run.metadata.uid}", iteration="2")
    assert hung["error"] == "exceeded its threshold: it was executing for more than 2s"
    assert (hung["results"]["cleared"], hung["late"]) == (1, 0)


def test_the_time_of_an_iteration_begins_with_its_work(tmp_path: Path) -> None:
    """Neither the start of its process nor the import of its code counts."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(2.7)\ndef job(x): return x\n")
    options = {"hyper_param_options": PARALLEL, "state_thresholds": {"executing": "2.5s"}}
    run = tracker.run_function(f"{tmp_path / 'slow.py'}:job", project="p", hyperparams={"x": [1, 2]}, **options)  # type: ignore[arg-type]
    assert states(run) == ["completed"] * 2


@pytest.mark.parametrize("where", ["processes", "dask"])
def test_each_iteration_is_told_of_once(where: str, request: pytest.FixtureRequest, server: Server) -> None:
    """The log of a search elsewhere has one beginning and one end of each iteration, in this order, whoever of the processes said it."""
    options = PARALLEL if where == "processes" else {"dask_cluster_uri": request.getfixturevalue("cluster").scheduler_address}
    run = tracker.run_function(square, project="p", hyperparams={"x": list(range(8))}, hyper_param_options=options, uri=server.uri)
    told: dict[int, list[str]] = {}
    for record in server.events(run.uid()):
        event = record["event"]
        if event.get("iteration") and event["type"] in ("iteration.started", "state.changed"):
            told.setdefault(event["iteration"], []).append(event.get("state", event["type"]))
    assert told == {number: ["iteration.started", "completed"] for number in range(1, 9)}


def test_a_dask_worker_that_dies_takes_one_iteration_with_it(cluster: Any) -> None:
    """The iteration has failed, the others complete on the workers that are left or come anew."""
    with pytest.raises(RunFailed, match="its Dask worker died"):
        tracker.run_function(
            train,
            name="dask",
            project="p",
            params={"fail_at": 0.3, "way": "kill"},
            hyperparams={"lr": [0.1, 0.3, 0.5, 0.7]},
            hyper_param_options={"dask_cluster_uri": cluster.scheduler_address},
        )
    run = ask("runs")["runs"][0]
    found = ask(f"runs/{run['uid']}/iterations")["iterations"]
    assert sorted((child["iteration"], child["state"]) for child in found) == [
        (1, "completed"), (2, "error"), (3, "completed"), (4, "completed"),
    ]  # fmt: skip


def test_a_local_dask_cluster_stays_until_a_search_tears_it_down() -> None:
    """A cluster of this machine is started by the first search that asks for one, used by the next, and ends with teardown_dask: none of
    its processes is left."""
    from tracker.executors import dask

    def search(**options: Any) -> list[str]:
        options["dask_cluster_uri"] = "local"
        return states(tracker.run_function(train, project="p", hyperparams={"lr": [0.1, 0.2]}, hyper_param_options=options))

    assert search() == ["completed", "completed"]
    cluster = dask._kept[os.getpid()]
    assert search(teardown_dask=True) == ["completed", "completed"]
    assert cluster.status.name == "closed"
    assert not dask._kept
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    spawned = [int(pid) for file in children for pid in file.read_text().split()]
    assert not [pid for pid in spawned if b"dask" in Path(f"/proc/{pid}/cmdline").read_bytes().lower()]


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """No iteration is started; the run has failed, and says which address was asked."""
    monkeypatch.setattr("tracker.executors.dask.PATIENCE", 0.5)
    with pytest.raises(RunFailed, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1") as caught:
        tracker.run_function(train, project="p", hyperparams={"lr": [0.1]}, hyper_param_options={"dask_cluster_uri": "tcp://127.0.0.1:1"})
    assert states(caught.value.run) == []
    assert Unreachable.__name__ in caught.value.run.status.error


def always_fails(context: Any, x: int) -> None:
    """A job that never works."""
    raise RuntimeError(f"no {x}")


@pytest.mark.parametrize(("most", "begun"), [(None, 4), (0, 1), (2, 3), (99, 8)])
def test_failures_beyond_the_limit_end_the_search(most: int | None, begun: int) -> None:
    """The search stops when failures exceed max_errors, 3 unless told otherwise."""
    with pytest.raises(RunFailed, match=f"{begun} of {begun} iterations failed") as caught:
        tracker.run_function(
            always_fails,
            project="p",
            hyperparams={"x": list(range(8))},
            hyper_param_options={"max_errors": most} if most is not None else {},
        )
    assert states(caught.value.run) == ["error"] * begun


def square(context: Any, x: int) -> int:
    """A job that returns a number."""
    return x * x


def test_the_iteration_that_meets_the_stop_condition_is_the_last() -> None:
    """Later combinations are not tried; the run completes."""
    run = tracker.run_function(
        square,
        project="p",
        hyperparams={"x": [1, 2, 3, 4, 5]},
        returns=["area"],
        hyper_param_options={"stop_condition": "area >= 9", "selector": "area"},
    )
    assert states(run) == ["completed"] * 3
    assert run.output("area") == 9


def test_a_stop_condition_that_never_made_sense_is_told_at_the_end() -> None:
    """A name that is no result stops nothing, loses nothing, and makes the run an error that points at it."""
    with pytest.raises(RunFailed, match="no value is named 'aera'") as caught:
        tracker.run_function(
            square, project="p", hyperparams={"x": [1, 2]}, returns=["area"], hyper_param_options={"stop_condition": "aera > 2"}
        )
    assert states(caught.value.run) == ["completed"] * 2


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"selector": "mean.area"}, "'mean' is neither min nor max"),
        ({"stop_condition": "area >"}, "stop_condition"),
        ({"strategy": "list", "max_iterations": 3}, "max_iterations"),
        ({"dask_cluster_uri": "db://p/dask"}, "dask_cluster_uri"),
        ({"paralel_runs": 2}, "there is no hyper-parameter option 'paralel_runs'"),
        ({"strategy": "custom", "max_errors": 2}, "the handler runs its own iterations"),
    ],
)
def test_a_search_that_makes_no_sense_is_no_run(options: dict[str, Any], word: str) -> None:
    """The error names what is wrong, before there is a run."""
    with pytest.raises(InvalidRequest, match=word):
        tracker.run_function(square, project="p", hyperparams={"x": [1, 2]}, hyper_param_options=options)
    assert ask("runs")["runs"] == []


def test_nothing_to_try_is_no_error() -> None:
    """An empty list gives no iterations; the run completes."""
    run = tracker.run_function(square, project="p", hyperparams={"x": []})
    assert (run.state(), states(run)) == ("completed", [])


def test_no_iteration_to_select_is_a_warning_only() -> None:
    """When no iteration has the selector's result there is no best one, and the run completes."""
    run = tracker.run_function(square, project="p", hyperparams={"x": [1]}, selector="max.nope")
    assert run.state() == "completed"
    assert run.output("best_iteration") is None


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_combinations_come_from_a_file(tmp_path: Path, kind: str) -> None:
    """A CSV's rows are combinations; a JSON object of lists is a grid."""
    path = tmp_path / f"params.{kind}"
    path.write_text("x\n2\n5\n" if kind == "csv" else '{"x": [2, 5]}')
    run = tracker.run_function(square, project="p", param_file=str(path), returns=["area"])
    assert [child["results"]["area"] for child in iterations(run)] == [4, 25]


def test_a_ragged_parameter_file_is_named_with_its_row(tmp_path: Path) -> None:
    """The run has failed before any iteration, with the file and the row."""
    path = tmp_path / "params.csv"
    path.write_text("x,y\n1,2\n3\n")
    with pytest.raises((RunFailed, InvalidRequest), match=r"params.csv row 2 \(line 3\) has 1 cells"):
        tracker.run_function(square, project="p", param_file=str(path))


def test_a_random_search_can_be_told_from_its_run() -> None:
    """It makes as many iterations as asked for, each with values of the lists."""
    run = tracker.run_function(
        square, project="p", hyperparams={"x": [1, 2, 3]}, hyper_param_options={"strategy": "random", "max_iterations": 6}
    )
    found = [child["parameters"]["x"] for child in iterations(run)]
    assert len(found) == 6
    assert set(found) <= {1, 2, 3}


def own_search(context: Any, base: int) -> None:
    """A job that makes its own iterations."""
    for x in (1, 2, 3):
        with context.get_child_context(x=x) as child:
            child.log_result("y", base - x)


def test_with_the_custom_strategy_the_handler_makes_its_iterations() -> None:
    """It is called once, with the run's own context; the table and the best are made of what it did."""
    run = tracker.run_function(own_search, project="p", params={"base": 7}, hyper_param_options={"strategy": "custom", "selector": "max.y"})
    assert states(run) == ["completed"] * 3
    assert run.output("y") == 6
    assert run.output("best_iteration") == 1


@pytest.mark.anyio
async def test_an_async_handler_is_searched_by_async_code() -> None:
    """The async twin is the same, and coroutine functions work on iterations with the async context."""

    async def job(context: tracker.aio.Context, x: int) -> None:
        await context.log_result("y", -x)

    run = await tracker.aio.run_function(job, project="p", hyperparams={"x": [3, 1, 2]}, selector="max.y")
    assert run.status.results == {"y": -1, "best_iteration": 2}


@pytest.mark.parametrize("parallel", [0, 2])
def test_one_iteration_is_aborted_from_elsewhere(parallel: int, tmp_path: Path) -> None:
    """abort_run with a number ends that iteration; its siblings go on, and the run completes, as nothing failed."""

    def look() -> None:
        runs = until(lambda: [run for run in ask("runs")["runs"] if run["state"] == "running"])
        uid = runs[0]["uid"]

        def printed() -> bool:
            found = ask(f"runs/{uid}/iterations")["iterations"]
            return any(child["iteration"] == 2 and child["results"] for child in found)

        until(printed)
        tracker.abort_run(uid, "p", iter=2, reason="it is of no use")

    helper = threading.Thread(target=look)
    helper.start()
    try:
        run = tracker.run_function(
            train,
            project="p",
            params={"fail_at": 0.3, "way": "hang"},
            hyperparams={"lr": [0.1, 0.3, 0.5]},
            hyper_param_options={"parallel_runs": parallel},
        )
    finally:
        helper.join(30)
    assert states(run) == ["completed", "aborted", "completed"]
    assert iterations(run)[1]["error"] == "it is of no use"
    assert run.state() == "completed"


@pytest.mark.parametrize("parallel", [0, 2])
def test_an_abort_of_the_run_ends_its_iterations(parallel: int) -> None:
    """The run and the iterations that were under way are aborted; none is started any more; the table has what there is."""

    def look() -> None:
        uid = until(lambda: [run["uid"] for run in ask("runs")["runs"] if run["state"] == "running"])[0]
        until(lambda: [child for child in ask(f"runs/{uid}/iterations")["iterations"] if child["iteration"] == 2 and child["results"]])
        tracker.abort_run(uid, "p", reason="enough")

    helper = threading.Thread(target=look)
    helper.start()
    with pytest.raises(RunFailed, match="enough") as caught:
        tracker.run_function(
            train,
            project="p",
            params={"fail_at": 0.1, "way": "hang"},
            hyperparams={"lr": [0.2, 0.1, 0.1, 0.1]},
            hyper_param_options={"parallel_runs": parallel, "selector": "min.loss"},
        )
    helper.join(30)
    run = caught.value.run
    assert run.status.state == "aborted"
    assert states(run) == ["completed"] + ["aborted"] * (parallel or 1)
    table = content(run, "iteration_results").decode().splitlines()
    assert [row.partition(",")[0] for row in table[1:]] == states(run)
    assert run.status.results["best_iteration"] == 1


def test_iterations_end_with_the_program_that_started_them(job: Job, tmp_path: Path) -> None:
    """When that is killed, the iterations in its processes are aborted for that reason; none goes on unwatched."""
    code = """
        import time, tracker
        def work(context, x):
            context.log_result("started", x)
            while True:
                time.sleep(0.01)
        if __name__ == "__main__":
            task = {"metadata": {"uid": "aaa", "project": "p"}}
            tracker.run_function(work, task, hyperparams={"x": [1, 2]}, hyper_param_options={"parallel_runs": 2})
    """
    starter = job(str(tmp_path / "data"), code)
    for number in (1, 2):
        started("aaa", iteration=number)
    starter.kill()
    for number in (1, 2):
        shown = until(lambda number=number: (one := run_at("aaa", iteration=number))["state"] == "aborted" and one)
        assert shown["error"] == "the process that started it is gone"


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize(("what", "parallel"), [("function", 2), ("script", 0), ("script", 2)])
def test_what_an_iteration_prints_in_its_process(
    what: str, parallel: int, watch: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is recorded once as the console of the run, and printed here once, unless that is not wanted."""
    (tmp_path / "job.py").write_text("import tracker\nwith tracker.get_or_create_ctx() as c:\n    print('this is', c.get_param('x'))\n")
    handler = speak if what == "function" else str(tmp_path / "job.py")
    options = {"parallel_runs": parallel}
    run = tracker.run_function(handler, project="p", hyperparams={"x": [1, 2]}, hyper_param_options=options, watch=watch)
    printed = capfd.readouterr().out
    assert [printed.count(f"this is {x}") for x in (1, 2)] == [int(watch)] * 2
    assert run.logs(watch=False)[0] == "completed"
    shown = capfd.readouterr().out
    assert [shown.count(f"this is {x}") for x in (1, 2)] == [1, 1]


@pytest.mark.parametrize("parallel", [0, 2])
def test_a_script_is_run_for_each_combination(tmp_path: Path, parallel: int) -> None:
    """A whole program finds its iteration by asking for a context; one that fails is a failed iteration."""
    program = tmp_path / "job.py"
    program.write_text(
        "import tracker\nwith tracker.get_or_create_ctx('any name') as context:\n    context.log_result('y', 10 / context.get_param('x'))\n"
    )
    with pytest.raises(RunFailed, match="1 of 3 iterations failed") as caught:
        tracker.run_function(
            str(program), project="p", hyperparams={"x": [1, 0, 5]}, selector="max.y", hyper_param_options={"parallel_runs": parallel}
        )
    found = iterations(caught.value.run)
    assert [child["state"] for child in found] == ["completed", "error", "completed"]
    assert [child["results"] for child in found] == [{"y": 10}, {}, {"y": 2}]
    assert caught.value.run.status.results["best_iteration"] == 1


def speak(x: int) -> None:
    """A job that prints."""
    print(f"this is {x}", flush=True)


def test_a_program_without_a_guard_is_refused(tmp_path: Path) -> None:
    """New processes import the program they come from; one that would start its search again is told what to write."""
    import subprocess

    program = tmp_path / "search.py"
    program.write_text(
        textwrap.dedent("""
        import tracker

        def job(context, x):
            context.log_result("y", x)

        tracker.run_function(job, hyperparams={"x": [1, 2]}, hyper_param_options={"parallel_runs": 2})
        """)
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert "if __name__ == '__main__'" in done.stderr


def test_a_program_that_is_no_file_is_told_to_be_one(tmp_path: Path) -> None:
    """New processes cannot import what came by a pipe."""
    import subprocess

    code = "import tracker\ntracker.run_function(print, hyperparams={'x': [1]}, hyper_param_options={'parallel_runs': 2})\n"
    done = subprocess.run([sys.executable], input=code, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert "<stdin> is no file: write it into one" in done.stderr


def test_a_program_with_a_guard_searches_in_processes(tmp_path: Path) -> None:
    """A handler of the program itself reaches the processes with its code."""
    import subprocess

    program = tmp_path / "search.py"
    program.write_text(
        textwrap.dedent("""
        import tracker

        def job(context, x):
            context.log_result("y", x)

        if __name__ == "__main__":
            run = tracker.run_function(job, hyperparams={"x": [1, 5, 3]}, selector="y", hyper_param_options={"parallel_runs": 2})
            print(run.output("best_iteration"))
        """)
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["2"]), done.stderr
