"""Run objects, sync and async, at a directory and at a server: what is asked, waited for, printed and shown."""

import asyncio
import contextlib
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas
import pytest

import tracker
import tracker.aio
from tracker.errors import InvalidRequest, NotFound, OutOfRange, RunFailed, RunTimeout
from tracker.model import RunMetadata, RunObject, RunSpec, RunStatus, RunTemplate, new_task
from tracker.model.run_object import RunObject as AioRunObject

LONG = 600  # seconds; a wait that asks again only after so long hears of the end in another way


def begun(**options: Any) -> Any:
    """A run that this process works on."""
    context = tracker.get_or_create_ctx("train", project="p", **options)
    context.commit()
    return context


def of(context: Any, kind: type = RunObject) -> Any:
    """The run object of a run, knowing nothing but its name."""
    return kind(metadata=RunMetadata(uid=context.uid, project="p"))


@contextlib.contextmanager
def later(work: Callable[[], Any]) -> Iterator[None]:
    """Do something while the block waits."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)


def test_a_run_is_learned_from_its_target(uri: str) -> None:
    """refresh() finds labels, parameters, results, artifacts, iterations and times, and returns the run."""
    context = begun(parameters={"p1": 1}, labels={"a": "b"})
    context.log_artifact("text", body="abc")
    child = context.get_child_context(p2=2)
    child.log_result("accuracy", 0.5)
    child.commit(completed=True)
    context.log_result("accuracy", 0.9)
    run = of(context)
    assert run.state() == "running"
    assert run.refresh() is run
    assert (run.metadata.name, run.metadata.labels["a"], run.spec.parameters) == ("train", "b", {"p1": 1})
    assert run.status.results == {"accuracy": 0.9}
    assert [artifact["key"] for artifact in run.status.artifacts] == ["text"]
    header, row = run.status.iterations
    found = dict(zip(header, row, strict=True))
    assert (found["state"], found["iter"], found["param.p2"], found["output.accuracy"]) == ("completed", 1, 2, 0.5)
    assert run.status.start_time
    assert run.status.host
    child_run = RunObject(metadata=RunMetadata(uid=context.uid, project="p", iteration=1)).refresh()
    assert (child_run.status.state, child_run.status.results) == ("completed", {"accuracy": 0.5})
    context.commit(completed=True)
    assert run.state() == "completed"
    assert RunObject.from_dict(run.to_dict()) == run


def test_outputs_are_results_and_artifacts_when_the_run_has_ended(uri: str) -> None:
    """outputs, output() and artifact() wait for the end; artifacts are named by store:// and can be read."""
    context = begun()
    context.log_artifact("text", body="abc")
    context.log_artifact("private", body="own", db_key=False)
    table = pandas.DataFrame({"a": [1, 2]})
    context.log_dataset("table", df=table)

    def end() -> None:
        context.log_result("accuracy", 0.9)
        context.commit(completed=True)

    run = of(context)
    with later(end):
        outputs = run.outputs
    assert outputs["accuracy"] == 0.9
    assert outputs["text"].startswith("store://artifacts/p/text")
    assert run.output("accuracy") == 0.9
    assert run.output("nothing") is None
    item = run.artifact("text")
    assert (item.key, item.get()) == ("text", b"abc")
    assert run.artifact("nothing") is None
    assert run.artifact("private").get() == b"own"
    assert run.artifact("table").as_df().equals(table)


def test_a_run_known_by_its_name_can_be_run_again(uri: str) -> None:
    """refresh() of a run of which only the uid is known finds what it was asked to do; what is known here is not replaced."""
    made = tracker.run_function(task=new_task("t", "p", "math.sqrt", {"x": 4}, out_path="/tmp/x", outputs=["y"]), raise_on_failure=False)
    run = RunObject(metadata=RunMetadata(uid=made.uid(), project="p")).refresh()
    assert (run.spec.handler, run.spec.parameters, run.spec.output_path, run.spec.outputs) == ("math.sqrt", {"x": 4}, "/tmp/x", ["y"])
    own = RunObject(RunSpec(handler="my.own"), RunMetadata(uid=made.uid(), project="p")).refresh()
    assert (own.spec.handler, own.spec.parameters, own.spec.output_path) == ("my.own", {"x": 4}, "")


@pytest.mark.parametrize("subprocess", [False, True])
def test_a_verbose_run_logs_what_is_for_debugging(uri: str, capfd: pytest.CaptureFixture[str], subprocess: bool) -> None:
    """`verbose` of a task sets the level of its logger; without it, lines for debugging are not written."""

    def work(context: Any) -> None:
        context.logger.debug("in detail")

    for verbose, times in ((True, 1), (None, 0)):
        task = RunTemplate(RunSpec(verbose=verbose, function="f", scrape_metrics=True), RunMetadata(name="t", project="p"))
        run = tracker.run_function(work, task, subprocess=subprocess)
        capfd.readouterr()
        run.logs()
        assert capfd.readouterr().out.count("[debug] in detail") == times
    assert RunObject(metadata=RunMetadata(uid=run.uid(), project="p")).refresh().spec.function == "f"


def test_a_run_that_goes_on_is_learned_by_asking(uri: str) -> None:
    """A run object that saw the end says so until it is refreshed, or its log is read; then it waits for the next end."""
    context = begun()
    context.commit(completed=True)
    run = of(context)
    assert run.wait_for_completion(timeout=60) == "completed"
    again = tracker.get_or_create_ctx("train", project="p", uid=context.uid)
    again.commit()
    assert (run.state(), run.wait_for_completion(), run.outputs) == ("completed", "completed", {})
    assert run.refresh().status.state == "running"

    def end() -> None:
        again.log_result("x", 1)
        again.set_state(error="worse")
        again.commit()

    with later(end), pytest.raises(RunFailed, match="worse"):
        run.wait_for_completion(timeout=60)
    assert run.status.results == {"x": 1}


def test_outputs_need_not_wait(uri: str) -> None:
    """With outputs_wait_for_completion off, what is known so far is given at once."""
    context = begun()
    context.log_result("loss", 1)
    run = of(context)
    run.outputs_wait_for_completion = False
    assert run.outputs == {}
    assert run.refresh().outputs == {"loss": 1}
    context.commit(completed=True)


def test_waiting_is_live(uri: str) -> None:
    """The end of a run is heard of when it comes, not at the next look."""
    context = begun()
    ended: list[float] = []

    def end() -> None:
        time.sleep(0.2)  # so that the wait has begun
        context.commit(completed=True)
        ended.append(time.monotonic())

    with later(end):
        assert of(context).wait_for_completion(sleep=LONG, timeout=60, show_logs=False) == "completed"
    assert time.monotonic() - ended[0] < 10


def test_waiting_ends_in_time(uri: str) -> None:
    """A run that goes on is a RunTimeout, which is a TimeoutError, and the run goes on."""
    context = begun()
    with pytest.raises(RunTimeout, match=r"is running after 0\.2 seconds; it goes on") as late:
        of(context).wait_for_completion(timeout=0.2)
    assert isinstance(late.value, TimeoutError)
    context.commit(completed=True)
    assert of(context).wait_for_completion(timeout=60) == "completed"


def test_a_failed_run_is_raised_with_the_run(uri: str) -> None:
    """RunFailed names the run and why; without raise_on_failure the state is returned, and `error` says why."""
    context = begun()
    context.set_state(error="no data")
    context.commit()
    run = of(context)
    with pytest.raises(RunFailed, match=f"run p/{context.uid} ended as error: no data") as failed:
        run.wait_for_completion()
    assert failed.value.run is run
    with pytest.raises(RunFailed):
        _ = of(context).outputs
    again = of(context)
    assert again.wait_for_completion(raise_on_failure=False) == "error"
    assert again.error == "no data"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (RunStatus("completed", error="old"), ""),
        (RunStatus("running"), ""),
        (RunStatus("error", error="a", status_text="b", reason="c"), "a"),
        (RunStatus("aborted", status_text="b", reason="c"), "b"),
        (RunStatus("error", reason="c"), "c"),
        (RunStatus("error"), "the run ended as error, and nobody said why"),
    ],
)
def test_error_is_the_best_reason_there_is(status: RunStatus, error: str) -> None:
    """`error` is text for a failed run, and "" for any other."""
    assert RunObject(status=status).error == error
    assert AioRunObject(status=status).error == error


def test_what_there_is_not_is_said(uri: str) -> None:
    """A run that nobody knows is in state "unknown", cannot be refreshed or waited for, and one without a uid has not begun."""
    stranger = RunObject(metadata=RunMetadata(uid="nobody", project="p"))
    assert stranger.state() == "unknown"
    for ask in (stranger.refresh, stranger.wait_for_completion, stranger.logs):
        with pytest.raises(NotFound, match="p/nobody"):
            ask()
    fresh = RunObject.from_template(new_task("t"))
    assert (fresh.uid(), fresh.metadata.name, fresh.status.state) == ("", "t", "created")
    with pytest.raises(InvalidRequest, match="this run has not begun"):
        fresh.refresh()
    with pytest.raises(InvalidRequest, match="uid must be"):
        RunObject(metadata=RunMetadata(uid="../x", project="p")).refresh()
    for wrong in ({"timeout": -1}, {"sleep": "3"}, {"logs_interval": float("nan")}):
        with pytest.raises(InvalidRequest, match=f"{next(iter(wrong))} must be seconds"):
            stranger.wait_for_completion(**wrong)


def test_logs_print_from_an_offset_to_the_end(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """logs() prints what there is, or goes on until the run has ended, and returns the state and where the text ends."""
    context = begun()
    context.set_logger_stream(io.StringIO())  # only the record is of interest
    context.logger.info("first ä")
    context.commit()
    size = _size(context)
    run = of(context)
    assert run.logs(watch=False) == ("running", size)
    whole = capsys.readouterr().out
    assert "first ä" in whole
    assert len(whole.encode()) == size

    def end() -> None:
        context.logger.info("second")
        context.commit(completed=True)

    context.logger.info("middle")
    context.commit()
    with later(end):
        state, last = run.logs(offset=size)
    printed = capsys.readouterr().out
    assert state == "completed"
    assert last == _size(context)
    assert "middle" in printed
    assert "second" in printed
    assert "first" not in printed
    assert run.logs(db=uri, offset=last) == ("completed", last)
    with pytest.raises(OutOfRange):
        run.logs(watch=False, offset=last + 1)
    with pytest.raises(InvalidRequest, match="offset must be a number of bytes"):
        run.logs(offset=-1)
    other = begun()
    other.commit()
    with pytest.raises(OutOfRange):
        of(other).logs(offset=1)
    other.commit(completed=True)


def _size(context: Any) -> int:
    """Bytes of console that a run has."""
    run = of(context, AioRunObject)

    async def count() -> int:
        pieces: list[str] = []

        async def take(text: str) -> None:
            pieces.append(text)

        from tracker.model import following

        return (await following.logs(run, take, watch=False, db=None, offset=0))[1]

    return asyncio.run(count())


@pytest.mark.parametrize("interval", [None, 0.05])
def test_waiting_prints_the_log_once(uri: str, capsys: pytest.CaptureFixture[str], interval: float | None) -> None:
    """The log is printed whole, at the end or in intervals, nothing twice; show_logs=False prints nothing."""
    context = begun()

    def work() -> None:
        for number in range(5):
            text = f"line {number}."
            context.logger.info(text)
            context.commit()
        context.commit(completed=True)

    with later(work):
        of(context).wait_for_completion(logs_interval=interval, timeout=60)
    capsys.readouterr()
    of(context).wait_for_completion(logs_interval=interval, timeout=60)
    text = capsys.readouterr().out
    assert [text.count(f"line {number}.") for number in range(5)] == [1] * 5
    of(context).wait_for_completion(show_logs=False, logs_interval=interval)
    assert "line" not in capsys.readouterr().out


def test_the_async_run_does_the_same(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """tracker.aio's run object waits, prints, reads and refreshes by being awaited, with other tasks going on meanwhile."""

    async def main() -> None:
        context = tracker.aio.get_or_create_ctx("train", project="p")
        await context
        context.logger.info("said")
        await context.log_artifact("text", body="abc")
        await context.log_result("loss", 2, commit=True)
        run = of(context, AioRunObject)
        assert await run.state() == "running"
        waiting = asyncio.gather(run.wait_for_completion(sleep=LONG, timeout=60), run.logs(), of(context, AioRunObject).outputs)
        await asyncio.sleep(0)
        await context.commit(completed=True)
        state, (last, _), outputs = await waiting
        assert (state, last, outputs["loss"]) == ("completed", "completed", 2)
        assert (await run.refresh()) is run
        assert await run.output("loss") == 2
        item = await run.artifact("text")
        assert await item.get() == b"abc"
        assert await run.artifact("nothing") is None
        await run.show()

    asyncio.run(main())
    shown = capsys.readouterr().out
    assert shown.count("said") >= 2
    assert "completed" in shown


def test_a_wait_that_is_cancelled_leaves_nothing_behind(uri: str) -> None:
    """Cancelling a wait ends it at once, and the same run can be waited for again."""

    async def main() -> None:
        context = tracker.aio.get_or_create_ctx("train", project="p")
        await context
        await context.commit()
        run = of(context, AioRunObject)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await run.wait_for_completion(show_logs=False)
        await context.commit(completed=True)
        assert await run.wait_for_completion(show_logs=False) == "completed"

    asyncio.run(main())


def test_a_run_is_shown_as_a_table(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """show() prints fields and iterations; nothing that a job wrote can drive the terminal."""
    context = begun(parameters={"p1": "\x1b]0;owned\x07", "p2": "[bold]x"})
    context.get_child_context(lr=0.1).commit(completed=True)
    context.log_result("accuracy", 0.123456789)
    context.log_artifact("text", body="abc")
    context.commit(completed=True)
    run = of(context)
    capsys.readouterr()
    run.show()
    shown = capsys.readouterr().out
    for text in (context.uid, "train", "completed", "accuracy = 0.123457", "p2 = [bold]x", "text = store://", "param.lr"):
        assert text in shown
    assert "\x1b]0;" not in shown


def wide(columns: int, rows: int) -> RunObject:
    """A run with many iterations of many parameters, some of them long or hostile."""
    names = [f"param.p{number}" for number in range(columns - 4)]
    table: list[list[Any]] = [["state", "iter", *names, "output.accuracy", "output.a_name_of_some_length"]]
    same = ["same"] * (columns - 5)
    table += [["completed", row, *same, f"{row}\x1b[2J\n" + "x" * 50, row / 7, 1e-9] for row in range(1, rows + 1)]
    parameters = {"long": "v" * 700, "nested": {"a": [1] * 200}, "\x1b]0;x\x07": "[bold]\r\n\u202e"}
    return RunObject(RunSpec(parameters), RunMetadata("u1", "n", "p"), RunStatus("error", error="bad " * 300, iterations=table))


@pytest.mark.parametrize("columns", [5, 7, 40])
def test_a_run_fits_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns no line is longer, each iteration is one line, the names of its results are whole, and what has no room is named."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    run = wide(columns, 120)
    with contextlib.redirect_stdout(terminal):
        run.show()
    lines = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    begin = next(number for number, line in enumerate(lines) if line.startswith("state ") and "iter" in line) + 1
    assert [line.split()[:2] for line in lines[begin : begin + 100]] == [["completed", str(row)] for row in range(1, 101)]
    assert lines[begin + 100].rstrip() == "and 20 more"
    assert "0.142857" in lines[begin]
    if columns == 40:
        assert "1\\e[2J" in lines[begin]  # the one that varies
        assert "no room for param.p2, param.p3" in "".join(lines[begin:])
    assert begin < 60
    assert not set("".join(lines)) & set("\x1b\x07\r\u202e")


def test_a_run_is_html_in_a_notebook() -> None:
    """What a notebook displays has every field, and no markup of a job's."""
    table = [["state", "iter", "param.<b>"], *[["completed", number, "<script>"] for number in range(150)]]
    status = RunStatus("error", error="<img src=x onerror=alert(1)>", results={"a<b": 1}, iterations=table)
    run = RunObject(RunSpec(parameters={"p": "<i>"}), RunMetadata("u1", "n<n", "p"), status)
    page = run._repr_html_()
    assert page == AioRunObject(run.spec, run.metadata, run.status)._repr_html_()
    for text in ("u1", "n&lt;n", "&lt;img", "a&lt;b = 1", "p = &lt;i&gt;", "param.&lt;b&gt;", "and 50 more"):
        assert text in page
    for markup in ("<img", "<script", "<i>", "<b>"):
        assert markup not in page


def test_json_of_a_run_can_leave_out_what_happened(uri: str) -> None:
    """to_json has all of a run, without excluded fields; stripped, it is the task to run it again."""
    run = RunObject(RunSpec({"p": 1}), RunMetadata("u1", "n", "p", {"a": "b"}), RunStatus("completed", results={"r": float("nan")}))
    assert '"NaN"' in run.to_json()
    assert "spec" not in run.to_json(exclude=["spec"])
    assert run.to_dict(strip=True) == {"spec": {"parameters": {"p": 1}}, "metadata": {"name": "n", "project": "p", "labels": {"a": "b"}}}
    twin = run.copy()
    twin.status.results["r"] = 1
    assert run.status.results["r"] != 1
    assert new_task(base=run).to_dict()["spec"] == {"parameters": {"p": 1}}
    assert run.ui_url == (f"{uri}/v1/projects/p/runs/u1" if uri.startswith("http") else "")
    assert RunObject(status=RunStatus(ui_url="http://x/y")).ui_url == "http://x/y"
