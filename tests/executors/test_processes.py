"""Functions and scripts in processes of their own: what arrives there, what comes back, and how they may die."""

import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

import tracker
from tests.executors.conftest import Running, Server, console, run_at, started, until
from tests.sdk.conftest import Job, job
from tracker.errors import RunFailed
from tracker.executors.process import run_process
from tracker.secrets.store import SecretsStore

__all__ = ["job"]


def elsewhere(context: tracker.Context, here: int, factor: int = 2) -> int:
    """Work in another process."""
    assert os.getpid() != here
    assert tracker.get_or_create_ctx("any").uid == context.uid
    print("printed", context.get_secret("KEY"))
    print("to stderr", file=sys.stderr)
    context.log_result("product", factor * 21)
    context.log_artifact("notes", body="kept")
    context.set_label("where", "there")
    return factor


def script(tmp_path: Path, code: str) -> str:
    """A program."""
    path = tmp_path / "job.py"
    path.write_text(textwrap.dedent(code))
    return str(path)


def test_a_function_in_a_process_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """With `subprocess` the handler works in another process, with its parameters and secrets, and its run is as any other."""
    said = {"project": "p", "params": {"here": os.getpid()}, "secrets": {"KEY": "open-sesame"}, "returns": ["factor"]}
    run = tracker.run_function(elsewhere, subprocess=True, **said)  # type: ignore[arg-type]
    assert run.status.state == "completed"
    assert run.status.results == {"product": 42, "factor": 2}
    shown = run_at(run.uid())
    assert (shown["state"], shown["results"], shown["labels"]["where"]) == ("completed", {"product": 42, "factor": 2}, "there")
    assert sorted(console(run.uid()).splitlines()) == ["printed ***", "to stderr"]
    assert "printed" in capfd.readouterr().out
    assert run.artifact("notes").get() == b"kept"
    quiet = tracker.run_function(elsewhere, subprocess=True, watch=False, **said)  # type: ignore[arg-type]
    assert "printed" not in capfd.readouterr().out
    assert "printed ***" in console(quiet.uid())


def test_a_closure_in_a_process_of_its_own(tmp_path: Path) -> None:
    """A function that no other process could import works there, in the directory it is given."""
    given = {"answer": 42}

    async def job(context: tracker.Context) -> str:
        context.log_results(given)
        return str(Path.cwd())

    run = tracker.run_function(job, project="p", workdir=tmp_path)
    assert run.status.results == {"answer": 42, "return": str(tmp_path)}


def test_errors_come_back_from_another_process() -> None:
    """What a handler raises in another process is the error of the run here and at the target, with its traceback."""

    def job(context: tracker.Context) -> None:
        context.log_result("before", 1)
        raise KeyError("lost")

    with pytest.raises(RunFailed, match="KeyError: 'lost'") as caught:
        tracker.run_function(job, project="p", subprocess=True)
    shown = run_at(caught.value.run.uid())
    assert (shown["state"], shown["results"]) == ("error", {"before": 1})
    assert 'raise KeyError("lost")' in shown["traceback"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_by_a_signal(number: signal.Signals) -> None:
    """A handler killed by a signal ends its run as error with the signal's name; what it had recorded and printed is there."""

    def job(context: tracker.Context) -> None:
        context.log_result("before", 1)
        print("last words")
        os.kill(os.getpid(), number)

    with pytest.raises(RunFailed, match=f"killed by {number.name}") as caught:
        tracker.run_function(job, project="p", subprocess=True)
    uid = caught.value.run.uid()
    shown = until(lambda: (run := run_at(uid))["results"] and run)
    assert (shown["state"], shown["error"], shown["results"]) == ("error", f"killed by {number.name}", {"before": 1})
    assert "last words" in console(uid)


def test_a_process_that_dies_recording_to_a_server(server: Server) -> None:
    """What a killed process had not sent to its server yet is sent for it."""

    def job(context: tracker.Context) -> None:
        for i in range(1000):
            context.log_metric("loss", i)
        os.kill(os.getpid(), signal.SIGKILL)

    run = tracker.run_function(job, project="p", subprocess=True, raise_on_failure=False, uri=server.uri)
    assert run.status.error == "killed by SIGKILL"
    until(lambda: len(server.steps(run.uid())) == 1000)
    until(lambda: server.run(run.uid())["state"] == "error")


def test_a_process_that_hangs() -> None:
    """A handler beyond its threshold is ended, however far its process has come by then; its run is aborted."""

    def job() -> None:
        while True:
            time.sleep(0.05)

    run = tracker.run_function(job, project="p", subprocess=True, raise_on_failure=False, state_thresholds={"executing": "1s"})
    assert run.status.state == "aborted"
    assert run.status.error == "exceeded its threshold: it was executing for more than 1s"
    assert run_at(run.uid())["state"] == "aborted"


def test_a_process_takes_its_children_with_it() -> None:
    """A process that is stopped ends with all that it started."""

    def job(context: tracker.Context) -> None:
        import subprocess

        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        context.log_result("child", child.pid)
        while True:
            time.sleep(0.05)

    running = Running(job, "aaa", subprocess=True)
    child = started("aaa", result="child")["results"]["child"]
    assert alive(child)
    tracker.abort_run("aaa", "p")
    assert running.ended().status.state == "aborted"
    until(lambda: not alive(child))


def alive(pid: int) -> bool:
    """Whether a process runs (one that waits to be collected does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_handler_that_cannot_be_imported_there(tmp_path: Path) -> None:
    """What cannot be imported in the other process is the error of the run."""
    path = script(tmp_path, "import no_such_library\ndef work(): pass\n")
    run = tracker.run_function(f"{path}:work", project="p", subprocess=True, raise_on_failure=False)
    assert run.status.state == "error"
    assert "No module named 'no_such_library'" in run.status.error


def test_a_script_is_a_run(tmp_path: Path) -> None:
    """A script finds the run it was started for under any name, with its parameters; its console is recorded once."""
    path = script(
        tmp_path,
        """
        import tracker
        if __name__ == "__main__":
            with tracker.get_or_create_ctx("train", capture=True) as context:
                p1 = context.get_param("p1", 1)
                p2 = context.get_param("p2", "a-string")
                print("p1 is", p1, "the key is", context.get_secret("KEY"))
                context.logger.info("noted")
                context.log_result("accuracy", p1 * 2)
        """,
    )
    run = tracker.run_function(path, project="p", params={"p1": 5}, secrets={"KEY": "open-sesame"})
    assert run.status.state == "completed"
    assert run.outputs["accuracy"] == 10
    shown = run_at(run.uid())
    assert (shown["name"], shown["parameters"], shown["state"]) == ("job", {"p1": 5, "p2": "a-string"}, "completed")
    printed = console(run.uid())
    assert printed.count("p1 is 5 the key is ***") == 1
    assert printed.count("noted") == 1


@pytest.mark.parametrize(
    ("code", "state", "error"),
    [
        ("print('done')", "completed", ""),
        ("import sys; sys.exit(3)", "error", "the process exited with code 3"),
        ("import os; os.kill(os.getpid(), 9)", "error", "killed by SIGKILL"),
        ("import tracker\nwith tracker.get_or_create_ctx() as c:\n    raise ValueError('bad')", "error", "ValueError: bad"),
        ("import tracker\ntracker.get_or_create_ctx().set_state(error='gave up')", "error", "gave up"),
        ("import tracker\nc = tracker.get_or_create_ctx()\nc.log_result('x', 1)\nraise ValueError('bad')", "error", "ValueError: bad"),
    ],
)
def test_how_scripts_end(tmp_path: Path, code: str, state: str, error: str) -> None:
    """A script's run ends as the script said, or else as its process did, even if it never asked for its run."""
    run = tracker.run_function(script(tmp_path, code), project="p", raise_on_failure=False)
    assert (run.status.state, run.status.error or "") == (state, error)
    shown = run_at(run.uid())
    assert (shown["state"], shown["error"]) == (state, error)


def test_a_script_with_too_much_to_hand_over(tmp_path: Path) -> None:
    """Parameters too big for the environment fail the run with what to do instead."""
    with pytest.raises(RunFailed, match="give that as an input"):
        tracker.run_function(script(tmp_path, ""), project="p", params={"x": "x" * 200_000})


def test_a_run_prepared_for_this_process_is_not_handed_on(tmp_path: Path) -> None:
    """A script that runs a function in another process, or another script, nests these runs in its own."""
    (tmp_path / "inner.py").write_text(
        "import tracker\nwith tracker.get_or_create_ctx() as c:\n    c.log_result('x', c.get_param('x', 0))\n"
    )
    code = f"""
        import tracker
        def work(context):
            context.log_result("x", tracker.get_or_create_ctx("deep").get_param("x"))
        if __name__ == "__main__":
            with tracker.get_or_create_ctx() as context:
                runs = [tracker.run_function(handler, params={{"x": x}}, subprocess=True)
                        for x, handler in enumerate((work, {str(tmp_path / "inner.py")!r}), 1)]
                context.log_results({{run.uid(): run.output("x") for run in runs}})
    """
    outer = tracker.run_function(script(tmp_path, code), project="p")
    assert sorted(outer.status.results.values()) == [1, 2]
    assert [run_at(uid)["parent"] for uid in outer.status.results] == [outer.uid()] * 2


def test_threads_of_a_process_of_its_own_mean_its_run() -> None:
    """In a process that is one run's, a thread pool finds the run as well."""

    def work() -> None:
        from concurrent.futures import ThreadPoolExecutor

        def deep(x: int) -> None:
            tracker.get_or_create_ctx("deep").log_result(f"x{x}", x)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(deep, range(3)))

    run = tracker.run_function(work, project="p", subprocess=True)
    assert run.status.results == {"x0": 0, "x1": 1, "x2": 2}


def test_a_script_is_searched_over_parameters(tmp_path: Path) -> None:
    """A script runs for each combination of hyper-parameters as well; each process is an iteration."""
    code = "import tracker\nwith tracker.get_or_create_ctx() as c:\n    c.log_result('double', c.get_param('x') * 2)\n"
    run = tracker.run_function(script(tmp_path, code), project="p", hyperparams={"x": [1, 3]}, selector="max.double")
    assert run.outputs["best_iteration"] == 2
    assert run.outputs["double"] == 6
    started(run.uid(), iteration=1, result="double")


def test_what_a_process_prints_while_it_is_stopped(tmp_path: Path) -> None:
    """A script that is told to end may clear up, and what it prints then is recorded, however much."""
    code = """
        import signal, sys, time, tracker
        context = tracker.get_or_create_ctx()
        def end(*_):
            print("x" * 1_000_000)
            print("cleared up")
            sys.exit(1)
        signal.signal(signal.SIGTERM, end)
        context.log_result("started", 1)
        while True:
            time.sleep(0.01)
    """
    running = Running(script(tmp_path, code), "aaa", watch=False)
    started("aaa")
    tracker.abort_run("aaa", "p")
    assert running.ended().status.state == "aborted"
    printed = console("aaa")
    assert printed.endswith("cleared up\n")
    assert len(printed) > 1_000_000


@pytest.mark.anyio
async def test_what_a_process_leaves_running_holds_up_nobody() -> None:
    """A process that ended is done, even if a child of its own still holds the console."""
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print('out')"
    said: list[bytes] = []
    begin = time.monotonic()
    ended = await run_process(
        lambda _: [sys.executable, "-c", code],
        lambda data, _: said.append(data),
        secrets=SecretsStore(),
        echo=False,
        env=os.environ,
    )
    assert ended.code == 0
    assert b"".join(said) == b"out\n"
    assert time.monotonic() - begin < 10


def test_a_process_whose_starter_is_killed_ends(job: Job, tmp_path: Path) -> None:
    """A run does not go on unwatched when the process that started it is killed: it ends as aborted, for that reason."""
    code = """
        import time, tracker
        def work(context):
            context.log_result("started", 1)
            while True:
                time.sleep(0.01)
        tracker.run_function(work, {"metadata": {"uid": "aaa", "project": "p"}}, subprocess=True)
    """
    starter = job(str(tmp_path / "data"), code)
    started("aaa")
    starter.kill()
    shown = until(lambda: (run := run_at("aaa"))["state"] == "aborted" and run)
    assert shown["error"] == "the process that started it is gone"


def test_an_interrupted_call_aborts_its_run(job: Job, tmp_path: Path) -> None:
    """Ctrl-C stops the handler, wherever it works, and leaves its run aborted; the caller sees KeyboardInterrupt."""
    for uid, subprocess in (("here", False), ("there", True)):
        code = f"""
            import time, tracker
            def work(context):
                context.log_result("started", 1)
                while True:
                    time.sleep(0.01)
            try:
                tracker.run_function(work, {{"metadata": {{"uid": "{uid}", "project": "p"}}}}, subprocess={subprocess})
            except KeyboardInterrupt:
                print("interrupted")
        """
        caller = job(str(tmp_path / "data"), code)
        started(uid)
        caller.send_signal(signal.SIGINT)
        out, error = caller.communicate(timeout=60)
        assert "interrupted" in out, error
        shown = until(lambda uid=uid: (run := run_at(uid))["state"] == "aborted" and run)
        assert shown["error"] == "the call that ran it was cancelled"


def test_a_run_elsewhere_is_told_of_once() -> None:
    """Notifications of a run in another process are sent by the one that started it, once."""

    def work() -> None: ...

    one = tracker.Notification(kind="console", name="done", message="it is {{ run.state }}", when=["completed"])
    run = tracker.run_function(work, project="p", notifications=[one], subprocess=True)
    sent = until(lambda: run_at(run.uid())["notifications"])
    assert [(notification["name"], notification["status"]) for notification in sent] == [("done", "sent")]
