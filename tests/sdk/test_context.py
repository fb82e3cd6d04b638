"""The context: what a job says is remembered at once, and stored as it was said."""

import asyncio
import inspect
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest

import tracker
import tracker.aio
from tests.sdk.conftest import Server
from tracker.errors import InvalidRequest

pytestmark = pytest.mark.anyio


def test_a_run_is_stored_as_it_was_told(server: Server) -> None:
    """Parameters, results, labels, annotations, metrics, children and the best of them stand on the server as the job said them."""
    with tracker.get_or_create_ctx("train", project="p", parameters={"lr": 0.1}, labels={"a": "b"}, uri=server.uri) as run:
        assert run.get_param("lr") == 0.1
        assert run.get_param("batch", 32) == 32
        run.log_results({"accuracy": 0.5, "name": "x", "matrix": [[1, 2], [3, 4]]})
        run.set_label("framework", "none")
        run.set_label("a", "other", replace=False)
        run.set_annotation("note", "long text")
        for step in range(5):
            run.log_metric("loss", 1 / (step + 1))
        run.log_metrics({"x": 1, "y": 2.5}, step=7)
        for number in range(3):
            with run.get_child_context(number=number) as child:
                child.log_result("score", number * 10)
        child.mark_as_best()
        assert run.commit("half way")
        uid = run.uid
    assert tracker.flush()
    stored = server.run(uid)
    assert stored["state"] == "completed"
    assert stored["parameters"] == {"lr": 0.1, "batch": 32}
    assert stored["results"] == {"accuracy": 0.5, "name": "x", "matrix": [[1, 2], [3, 4]], "score": 20, "best_iteration": 3} == run.results
    assert stored["labels"] == {"a": "b", "framework": "none"}
    assert stored["annotations"] == {"note": "long text"}
    assert (stored["children"], stored["best_iteration"], stored["message"], stored["late"]) == (3, 3, "half way", 0)
    assert server.steps(uid) == [0, 1, 2, 3, 4, 7, 7]
    child_row = server.get(f"/v1/projects/p/runs/{uid}?iteration=2")
    assert (child_row["state"], child_row["parameters"], child_row["results"]) == ("completed", {"number": 1}, {"score": 10})


async def test_the_async_context_does_the_same(server: Server) -> None:
    """In a loop the same names work, with or without await where nothing has to be waited for."""
    async with tracker.aio.get_or_create_ctx("train", project="p", parameters={"lr": 0.1}, uri=server.uri) as run:
        run.log_metric("loss", 1.0)
        await run.log_metric("loss", 2.0)
        await run.log_result("accuracy", 0.9, commit=True)
        await run.log_artifact("notes", body="text")
        async with run.get_child_context(x=1) as child:
            child.log_result("y", 2)
        assert await run.commit()
    assert await tracker.aio.flush()
    stored = await anyio.to_thread.run_sync(server.run, run.uid)
    assert (stored["state"], stored["results"], stored["children"]) == ("completed", {"accuracy": 0.9}, 1)
    assert await anyio.to_thread.run_sync(server.steps, run.uid) == [0, 1]


def test_an_exception_is_recorded_and_goes_on(server: Server) -> None:
    """A failing job has the state error, the error's text and the traceback, and its exception is not swallowed."""
    with pytest.raises(ZeroDivisionError), tracker.get_or_create_ctx("bad", project="p", uri=server.uri) as run:
        1 / 0  # noqa: B018
    assert tracker.flush()
    stored = server.run(run.uid)
    assert (stored["state"], stored["error"]) == ("error", "ZeroDivisionError: division by zero")
    assert "1 / 0" in stored["traceback"]
    with pytest.raises(KeyboardInterrupt), tracker.get_or_create_ctx("stopped", project="p", uri=server.uri) as run:
        raise KeyboardInterrupt
    assert tracker.flush()
    assert server.run(run.uid)["state"] == "aborted"


async def test_two_tasks_have_two_ambient_runs(tmp_path: Path) -> None:
    """Each task finds its own run without being handed it, though both share a thread."""
    seen: dict[str, str] = {}

    async def work(name: str) -> None:
        async with tracker.aio.get_or_create_ctx(name, project="p", uri=str(tmp_path / "data")) as run:
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
                assert tracker.aio.get_or_create_ctx() is run
            seen[name] = run.uid

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b"):
            tasks.start_soon(work, name)
    assert len(set(seen.values())) == 2
    with tracker.get_or_create_ctx("later", project="p", uri=str(tmp_path / "data")) as later:
        assert later.uid not in seen.values()
    await asyncio.to_thread(tracker.flush)


def test_resuming_goes_on_with_what_the_run_had(server: Server) -> None:
    """A run opened again by its uid is another attempt: it knows its parameters, results, children and the next step."""
    with tracker.get_or_create_ctx("long", project="p", uid="r1", parameters={"lr": 1}, uri=server.uri) as first:
        first.log_metric("loss", 3.0)
        first.log_result("a", 1)
        with first.get_child_context(n=1):
            pass
    with tracker.get_or_create_ctx("long", project="p", uid="r1", parameters={"more": 2}, uri=server.uri) as second:
        assert (second.parameters, second.results) == ({"lr": 1, "more": 2}, {"a": 1})
        second.log_metric("loss", 2.0)
        with second.get_child_context(n=2) as child:
            assert child.iteration == 2
    assert tracker.flush()
    stored = server.run("r1")
    assert (stored["state"], stored["attempt_count"], stored["parameters"]) == ("completed", 2, {"lr": 1, "more": 2})
    assert server.steps("r1") == [0, 1]
    assert [e["event"]["type"] for e in server.events("r1")].count("run.created") == 1


def test_asking_for_the_run_again_ignores_nothing(server: Server, tmp_path: Path) -> None:
    """`get_or_create_ctx` inside a run gives that run, with what was said differently this time; another uri is another run."""
    with tracker.get_or_create_ctx("x", project="p", uid="r1", uri=server.uri, parameters={"a": 1, "b": 2}) as run:
        again = tracker.get_or_create_ctx("x", parameters={"b": 3, "c": 4}, labels={"l": "m"}, annotations={"n": "o"})
        assert again.uid == run.uid
        assert run.parameters == {"a": 1, "b": 3, "c": 4}
        with tracker.get_or_create_ctx("x", project="p", uri=tmp_path / "data") as other:
            assert other.uid != run.uid
        assert run.commit()
    assert [e["event"]["key"] for e in server.events("r1") if e["event"]["type"] == "parameter.set"] == ["b", "c"]
    with tracker.get_or_create_ctx("x", project="p", uid="r1", uri=server.uri, annotations={"n": "new"}) as run:
        assert run.commit()
    stored = server.run("r1")
    assert (stored["parameters"], stored["labels"], stored["annotations"]) == ({"a": 1, "b": 3, "c": 4}, {"l": "m"}, {"n": "new"})


def test_values_arrive_as_they_were(server: Server) -> None:
    """Numpy scalars become numbers, NaN and infinities stay, arrays become lists; what no event can hold is refused with a clear error."""
    with tracker.get_or_create_ctx("values", project="p", uri=server.uri) as run:
        run.log_metric("np", np.float32(0.5))
        run.log_metric("np", np.array(2.0))
        run.log_metric("np", math.nan)
        run.log_metric("np", -math.inf)
        run.log_result("array", np.arange(3))
        run.log_result("int", np.int64(7))
        run.log_result(5, "five")
        run.log_result("nan", math.nan)
        run.log_result("when", datetime(2026, 1, 2, tzinfo=UTC))
        run.log_metric("at", 1, timestamp=datetime(2026, 1, 2, tzinfo=UTC))
        for bad in (
            lambda: run.log_result("big", 2**63),
            lambda: run.log_metric("text", "0.5"),
            lambda: run.log_metric("", 1.0),
            lambda: run.log_metric("a\x00b", 1.0),
            lambda: run.log_metric(None, 1.0),
            lambda: run.log_metric(["k"], 1.0),
            lambda: run.log_metric("k", None),
            lambda: run.log_metric("k", 10**400),
            lambda: run.log_metric("k", np.arange(2)),
            lambda: run.log_metric("k", 1.0, step=1.5),
            lambda: run.log_metric("k", 1.0, labels=["a"]),
            lambda: run.set_label({}, "x"),
            lambda: run.log_metric("k", 1.0, timestamp=1.7e12),
            lambda: run.log_results([1]),
            run.mark_as_best,
            lambda: run.log_artifact("../up", body="x"),
            lambda: run.log_artifact("x", body={"a": 1}),
            lambda: run.log_artifact("x", local_path="/no/such/file"),
            lambda: tracker.get_or_create_ctx("x", project="../p"),
            lambda: tracker.get_or_create_ctx("x", labels=["a"]),
        ):
            with pytest.raises(InvalidRequest):
                bad()
    assert tracker.flush()
    events = [e["event"] for e in server.events(run.uid)]
    assert [e["value"] for e in events if e.get("key") == "np"] == [0.5, 2.0, "NaN", "-Infinity"]
    assert server.run(run.uid)["results"] == {"5": "five", "array": [0, 1, 2], "int": 7, "nan": "NaN", "when": "2026-01-02T00:00:00+00:00"}
    assert [e["time"] for e in events if e.get("key") == "at"] == [1767312000 * 10**9]


def test_the_context_as_data(tmp_path: Path) -> None:
    """A context prints itself as dict, JSON and YAML; its properties are copies."""
    with tracker.get_or_create_ctx("shown", project="p", parameters={"lr": [1]}, uri=str(tmp_path / "data")) as run:
        run.log_result("nan", math.nan)
        run.parameters["lr"].append(2)
        assert run.parameters == {"lr": [1]}
        shape = run.to_dict()
        assert shape["metadata"]["name"] == "shown"
        assert shape["spec"]["parameters"] == {"lr": [1]}
        assert shape["status"]["state"] == "running"
        assert '"nan":"NaN"' in run.to_json()
        assert "lr:" in run.to_yaml()


def _members(kind: type) -> dict[str, Any]:
    found = {}
    for name, member in inspect.getmembers(kind):
        if not name.startswith("_"):
            found[name] = str(inspect.signature(member).replace(return_annotation=inspect.Signature.empty)) if callable(member) else ""
    return found


def test_sync_and_async_have_the_same_names_and_signatures() -> None:
    """Code moves between the two by adding or removing awaits, nothing else."""
    sync, async_ = _members(tracker.Context), _members(tracker.aio.Context)
    assert {name: signature for name, signature in async_.items() if name in sync} == sync
    assert tracker.__all__ == tracker.aio.__all__
    for name in ("get_or_create_ctx", "flush"):
        assert inspect.signature(getattr(tracker, name)).parameters == inspect.signature(getattr(tracker.aio, name)).parameters
