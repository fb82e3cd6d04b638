"""Running functions in this process: what they are given, what is recorded of them, and how their runs end."""

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.executors.conftest import Server, console, run_at, until
from tracker import aio
from tracker.errors import InvalidRequest, RunFailed
from tracker.executors import threads


def my_job(context: tracker.Context, p1: int = 1, p2: str = "x") -> None:
    """The job of the context's documentation."""
    print(f"Run: {context.name} (uid={context.uid})")
    print(f"Params: p1={p1}, p2={p2}")
    context.log_result("accuracy", p1 * 2)
    context.log_result("loss", p1 * 3)
    context.set_label("framework", "sklearn")
    context.logger.info("said it")


def test_a_function_is_a_run() -> None:
    """A function gets its context and parameters, and its run is completed with what it recorded and printed."""
    run = tracker.run_function(my_job, name="train", project="p", params={"p1": 5})
    assert (run.state(), run.outputs["accuracy"], run.output("loss")) == ("completed", 10, 15)
    shown = run_at(run.uid())
    assert shown["state"] == "completed"
    assert shown["name"] == "train"
    assert shown["parameters"] == {"p1": 5}
    assert shown["results"] == {"accuracy": 10, "loss": 15}
    assert shown["labels"]["framework"] == "sklearn"
    printed = console(run.uid())
    assert f"Run: train (uid={run.uid()})\nParams: p1=5, p2=x\n" in printed
    assert printed.count("said it") == 1


@pytest.mark.anyio
async def test_an_async_function_is_a_run() -> None:
    """A coroutine function gets the async context; its run is awaited beside other work."""

    async def job(context: aio.Context, lr: float) -> float:
        assert isinstance(context, aio.Context)
        await context.log_result("loss", lr * 2, commit=True)
        await asyncio.sleep(0)
        return lr

    run = await aio.run_function(job, project="p", params={"lr": 0.5}, returns=["rate"])
    assert run.status.state == "completed"
    assert run.status.results == {"loss": 1.0, "rate": 0.5}


@pytest.mark.anyio
async def test_a_plain_function_does_not_hold_up_the_loop() -> None:
    """While a plain function works, the caller's loop goes on."""
    released = threading.Event()

    def job() -> int:
        assert released.wait(10)
        return 1

    async def release() -> None:
        released.set()

    async with asyncio.timeout(15):
        run, _ = await asyncio.gather(aio.run_function(job, project="p"), release())
    assert run.status.results == {"return": 1}


@pytest.mark.anyio
async def test_runs_beside_each_other_stay_apart() -> None:
    """Several runs on one loop record to themselves, with the ambient run being each one's own."""

    async def job(context: aio.Context, k: int) -> None:
        for _ in range(5):
            await asyncio.sleep(0.001)
            found = aio.get_or_create_ctx("whatever it is called")
            assert found is context
            found.log_result("k", k)

    runs = await asyncio.gather(*(aio.run_function(job, project="p", params={"k": k}) for k in range(4)))
    assert [run.status.results for run in runs] == [{"k": k} for k in range(4)]


def test_the_run_is_found_by_any_name() -> None:
    """Code deep in a handler gets the run by get_or_create_ctx, whatever name it says."""

    def job() -> None:
        tracker.get_or_create_ctx("deep").log_result("found", 1)

    run = tracker.run_function(job, project="p", name="outer")
    assert run.outputs["found"] == 1
    assert tracker.get_or_create_ctx("mine", project="p").uid != run.uid()


def test_a_run_in_a_run_knows_its_parent() -> None:
    """A run that a handler starts is nested in the handler's."""

    def inner() -> int:
        return 1

    def outer(context: tracker.Context) -> None:
        context.log_result("inner", tracker.run_function(inner, name="inner").uid())
        assert tracker.get_or_create_ctx().uid == context.uid

    run = tracker.run_function(outer, project="p")
    assert run_at(run.outputs["inner"])["parent"] == run.uid()


@pytest.mark.anyio
async def test_plain_code_may_run_functions_where_a_loop_runs() -> None:
    """In a notebook, whose thread has a running loop, the plain `run_function` works, too."""
    run = tracker.run_function(my_job, project="p")
    assert run.status.state == "completed"


def test_a_task_and_what_is_said_beside_it() -> None:
    """A task says what to run and how; arguments beside it count more, and the task stays as it was."""
    task = tracker.new_task("search", project="p", handler=my_job, params={"p1": 2, "p2": "y"})
    task.set_label("team", "a")
    run = tracker.run_function(None, task, params={"p1": 3}, labels={"stage": "test"})
    shown = run_at(run.uid())
    assert shown["parameters"] == {"p1": 3, "p2": "y"}
    assert shown["labels"] == {"team": "a", "stage": "test", "framework": "sklearn"}
    assert task.spec.parameters == {"p1": 2, "p2": "y"}
    again = tracker.run_function(my_job, run)
    assert again.uid() != run.uid()
    assert run_at(again.uid())["parameters"] == {"p1": 3, "p2": "y"}


def test_inputs_are_data_items_or_what_the_types_say(tmp_path: Path) -> None:
    """An input arrives as a data item, or read as its type says, in the annotation or in the task."""
    pd = pytest.importorskip("pandas")
    table, document = tmp_path / "t.csv", tmp_path / "d.json"
    table.write_text("a,b\n1,2\n3,4\n")
    document.write_text('{"depth": 3}')

    def job(context: tracker.Context, item, frame: pd.DataFrame, text: str, raw: bytes, place: Path, tree: dict, hinted) -> None:  # type: ignore[no-untyped-def, type-arg]
        assert item.get() == b"a,b\n1,2\n3,4\n"
        assert frame["b"].tolist() == [2, 4]
        assert text.encode() == raw == table.read_bytes()
        assert place.read_bytes() == raw
        assert tree == {"depth": 3}
        assert hinted.columns.tolist() == ["a", "b"]

    names = ("item", "frame", "text", "raw", "place", "hinted : pandas.DataFrame")
    run = tracker.run_function(job, project="p", inputs={**dict.fromkeys(names, str(table)), "tree": str(document)})
    assert run_at(run.uid())["inputs"]["frame"] == str(table)


@pytest.mark.anyio
async def test_inputs_of_a_coroutine_function(tmp_path: Path) -> None:
    """An async handler gets data items that are awaited, and typed inputs read."""
    (tmp_path / "x.txt").write_text("seven")

    async def job(item: Any, text: str) -> None:
        assert await item.get() == b"seven"
        assert text == "seven"

    await aio.run_function(job, project="p", inputs={"item": str(tmp_path / "x.txt"), "text": str(tmp_path / "x.txt")})


def test_a_handler_that_raises() -> None:
    """A handler that raises ends its run as error, with the text and the traceback, and loses nothing it recorded; its own exception is
    the cause of ours."""

    def job(context: tracker.Context) -> None:
        context.log_result("before", 1)
        raise ValueError("no such luck")

    with pytest.raises(RunFailed, match="ended as error: ValueError: no such luck") as caught:
        tracker.run_function(job, project="p")
    assert isinstance(caught.value.__cause__, ValueError)
    shown = run_at(caught.value.run.uid())
    assert (shown["state"], shown["error"], shown["results"]) == ("error", "ValueError: no such luck", {"before": 1})
    assert 'raise ValueError("no such luck")' in shown["traceback"]
    run = tracker.run_function(job, project="p", raise_on_failure=False)
    assert run.status.state == "error"


@pytest.mark.parametrize("code", [None, 0, 3])
def test_a_handler_that_exits(code: int | None) -> None:
    """sys.exit in a handler ends the run, not the caller: as completed, or as error with the code."""

    def job() -> None:
        sys.exit(code)

    run = tracker.run_function(job, project="p", raise_on_failure=False)
    assert run.status.state == ("error" if code else "completed")


def test_a_missing_parameter() -> None:
    """A handler whose parameter nobody gave fails with its name, and what to do."""

    def job(context: tracker.Context, rate: float) -> None: ...

    with pytest.raises(RunFailed, match=r"needs 'rate'.*give it as params=\{'rate': ...\}"):
        tracker.run_function(job, project="p", params={"other": 1})


def test_a_handler_that_cannot_be_imported() -> None:
    """A handler that cannot be imported is a run that failed for that reason."""
    with pytest.raises(RunFailed, match="there is no module 'no_such_module'") as caught:
        tracker.run_function("no_such_module.train", project="p")
    assert run_at(caught.value.run.uid())["state"] == "error"


def test_what_makes_no_sense_makes_no_run(tmp_path: Path) -> None:
    """What is wrong before anything runs is refused, naming the argument, and no run is left behind."""
    for said, field in (
        ({"handler": None}, "handler"),
        ({"handler": my_job, "workdir": tmp_path / "gone"}, "workdir"),
        ({"handler": my_job, "state_thresholds": {"executing": "soon"}}, "state_thresholds.executing"),
        ({"handler": my_job, "returns": ["a : b : c"]}, "returns"),
        ({"handler": my_job, "inputs": {"a : b : c": "x"}}, "inputs"),
        ({"handler": my_job, "params": ["a"]}, "params"),
        ({"handler": my_job, "project": "../x"}, "project"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            tracker.run_function(**said)  # type: ignore[arg-type]
        assert caught.value.field == field


def test_a_plain_handler_that_hangs() -> None:
    """A plain function beyond its threshold is interrupted, even if it catches exceptions, and its run is aborted with the reason."""
    ended = threading.Event()

    def job(context: tracker.Context) -> None:
        context.log_result("before", 1)
        try:
            while True:
                try:
                    time.sleep(0.01)
                except Exception:
                    continue
        finally:
            ended.set()

    run = tracker.run_function(job, project="p", state_thresholds={"executing": "0.3s"}, raise_on_failure=False)
    assert run.status.state == "aborted"
    assert run.status.error == "exceeded its threshold: it was executing for more than 0.3s"
    assert ended.is_set()
    shown = run_at(run.uid())
    assert (shown["state"], shown["error"], shown["results"]) == ("aborted", run.status.error, {"before": 1})


def test_a_handler_that_cannot_be_interrupted_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain function that sits in foreign code beyond its threshold holds up nobody: its run is aborted, the caller goes on."""
    monkeypatch.setattr(threads, "GRACE", 0.2)
    released = threading.Event()
    run = tracker.run_function(released.wait, project="p", name="stuck", state_thresholds={"executing": 0.2}, raise_on_failure=False)
    assert run.status.state == "aborted"
    released.set()


@pytest.mark.anyio
async def test_an_async_handler_that_hangs() -> None:
    """A coroutine function beyond its threshold is cancelled and may clear up."""

    async def job(context: aio.Context) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            context.log_result("cleared", 1)

    with pytest.raises(RunFailed, match="ended as aborted: exceeded its threshold") as caught:
        await aio.run_function(job, project="p", state_thresholds={"executing": 0.2})
    assert caught.value.run.status.results == {"cleared": 1}


@pytest.mark.anyio
async def test_a_cancelled_call_aborts_its_run() -> None:
    """Cancelling run_function stops the handler and leaves the run aborted, not running."""
    begun = asyncio.Event()
    known: list[str] = []

    async def job(context: aio.Context) -> None:
        known.append(context.uid)
        begun.set()
        await asyncio.sleep(60)

    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(aio.run_function(job, project="p"))
        await begun.wait()
        work.cancel()
    assert work.cancelled()
    shown = await asyncio.to_thread(run_at, known[0])
    assert (shown["state"], shown["error"]) == ("aborted", "the call that ran it was cancelled")


def test_what_is_printed_need_not_be_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """watch=False records the console without printing it."""
    run = tracker.run_function(my_job, project="p", watch=False)
    shown = tracker.run_function(my_job, project="p")
    out, _ = capfd.readouterr()
    assert run.uid() not in out
    assert shown.uid() in out
    assert "p1=1" in console(run.uid())


@pytest.mark.anyio
async def test_a_quiet_run_does_not_silence_its_service(capfd: pytest.CaptureFixture[str]) -> None:
    """What other code of the same loop prints while a run works is still printed."""

    async def job() -> None:
        await asyncio.sleep(0)

    async def service() -> None:
        print("the service goes on")

    await asyncio.gather(aio.run_function(job, project="p", watch=False), service())
    assert "the service goes on" in capfd.readouterr().out


def test_secrets_reach_the_handler_only() -> None:
    """A secret is the handler's to use, and is found nowhere in what is recorded."""

    def job(context: tracker.Context) -> None:
        print("it is", context.get_secret("KEY"))
        context.log_result("length", len(context.get_secret("KEY") or ""))

    for secrets in ({"KEY": "open-sesame"}, [{"kind": "inline", "source": {"KEY": "open-sesame"}}]):
        run = tracker.run_function(job, project="p", secrets=secrets)
        assert run.status.results == {"length": 11}
        assert "it is ***" in console(run.uid())
        assert "open-sesame" not in str(run_at(run.uid()))


def test_notifications_are_sent_for_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    """Notifications of a run are sent when it ends; two of one name are refused before it begins."""
    one = tracker.Notification(kind="console", name="done", message="it is {{ run.state }}", when=["completed"])
    run = tracker.run_function(my_job, project="p", notifications=[one])
    until(lambda: run_at(run.uid())["notifications"])
    with pytest.raises(InvalidRequest, match="done"):
        tracker.run_function(my_job, project="p", notifications=[one, one])


def test_a_server_is_a_target_as_well(server: Server) -> None:
    """`uri` says where a run is recorded, a server for instance."""
    run = tracker.run_function(my_job, project="p", uri=server.uri)
    until(lambda: (server.run(run.uid()) or {}).get("state") == "completed")


def test_hyper_parameters_are_searched() -> None:
    """With hyper-parameters the handler runs for each combination, and the run has the best one's results."""
    run = tracker.run_function(my_job, project="p", hyperparams={"p1": [2, 4, 1]}, selector="max.accuracy")
    assert run.outputs["best_iteration"] == 2
    assert run.outputs["accuracy"] == 8
    assert run_at(run.uid())["children"] == 3


class Untold(Exception):
    """An exception that cannot say what is wrong."""

    def __str__(self) -> str:
        raise LookupError("no text")


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ValueError("half \ud800 pair"), "ValueError: half \\ud800 pair"),
        (Untold(), "Untold, whose text cannot be told: it raised LookupError"),
        (ValueError("x" * 5_000_000), "ValueError: xxx"),
    ],
    ids=["half a surrogate pair", "no text", "a very long text"],
)
def test_an_exception_that_is_hard_to_tell_ends_its_run(raised: Exception, told: str) -> None:
    """A run ends with what its handler raised, whatever the exception's text holds and however long it is."""

    def job(context: tracker.Context) -> None:
        context.log_result("loss", 1)
        raise raised

    with pytest.raises(RunFailed) as failed:
        tracker.run_function(job, project="p")
    shown = run_at(failed.value.run.uid())
    assert (shown["state"], shown["results"]) == ("error", {"loss": 1})
    assert shown["error"].startswith(told)
    assert len(shown["error"]) <= 65536


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("project", b"p"),
        ("labels", ["a"]),
        ("labels", "a"),
        ("workdir", 5),
        ("notifications", "mail"),
        ("notifications", [5]),
    ],
)
def test_an_argument_of_a_wrong_kind_is_refused_by_name(field: str, value: Any) -> None:
    """What no run can be called, labelled, told by or worked in is refused before there is a run."""
    with pytest.raises(InvalidRequest, match=field.removesuffix("s")):
        tracker.run_function(my_job, **{field: value})


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_generator_is_no_handler(kind: str) -> None:
    """A handler that yields has done nothing when it is called: its run says so, and is not completed."""

    def plain(context: tracker.Context) -> Any:
        yield context.log_result("loss", 1)

    async def coroutine(context: aio.Context) -> Any:
        yield context.log_result("loss", 1)

    with pytest.raises(RunFailed, match="the handler is a generator"):
        tracker.run_function(plain if kind == "plain" else coroutine, project="p")


def test_an_exception_beside_all_others_ends_its_run() -> None:
    """A handler that raises what is no Exception aborted its run, and the run says what it raised."""

    class Outcome(BaseException):
        """What a test's framework raises, for one."""

    def job(context: tracker.Context) -> None:
        raise Outcome("skipped")

    with pytest.raises(RunFailed) as failed:
        tracker.run_function(job, project="p")
    assert isinstance(failed.value.__cause__, Outcome)
    shown = run_at(failed.value.run.uid())
    assert (shown["state"], shown["error"]) == ("aborted", "Outcome: skipped")
