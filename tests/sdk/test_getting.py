"""A context is found wherever code works: prepared elsewhere, in a handler, in a notebook's cells, in tasks, threads and forked workers."""

import asyncio
import contextvars
import json
import logging
import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

import tracker
import tracker.aio
from tests.sdk.conftest import Job, Server, serving
from tracker.errors import InvalidRequest

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all."""
    with serving(tmp_path_factory.mktemp("getting") / "data") as server:
        yield server


@pytest.fixture(autouse=True)
def target(service: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What names no target records to the server."""
    monkeypatch.setenv("TRACKER_URI", service.uri)


def kinds(server: Server, uid: str) -> list[str]:
    """The types of a run's events, in order."""
    return [e["event"]["type"] for e in server.events(uid)]


# -- prepared elsewhere -----------------------------------------------------------------------------------------------------

PREPARED = """
    import os, tracker
    if __name__ == "__main__":
        with tracker.get_or_create_ctx("train") as context:
            p1 = context.get_param("p1", 1)
            p2 = context.get_param("p2", "a-string")
            assert tracker.get_or_create_ctx("another name").uid == context.uid
            assert tracker.get_or_create_ctx("x", project="other").uid == context.uid  # it may run by itself, too, and names a project then
            assert "TRACKER_EXEC_SECRETS" not in os.environ
            assert context.get_secret("KEY") == "hidden-value"
            context.log_result("accuracy", p1 * 2)
            context.log_result("text", f"{p2} hidden-value")
        print(context.uid, context.name, context.state)
        assert tracker.get_or_create_ctx("train").uid != context.uid
"""


def test_a_script_works_on_the_run_that_was_prepared_for_it(service: Server, job: Job) -> None:
    """The environment's run wins over the names in the script; its secrets leave the environment and are written nowhere; started again,
    it is another attempt at the same run."""
    config = {
        "metadata": {"name": "prepared", "uid": "prep1", "project": "p", "labels": {"kind": "job"}},
        "spec": {"parameters": {"p1": 5}, "output_path": "/out", "handler": "train"},
    }
    for attempt in (1, 2):
        process = job(
            service.uri, PREPARED, TRACKER_EXEC_CONFIG=json.dumps(config), TRACKER_EXEC_SECRETS=json.dumps({"KEY": "hidden-value"})
        )
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.split()) == (0, ["prep1", "prepared", "completed"]), err
        run = service.run("prep1")
        assert (run["state"], run["attempt_count"]) == ("completed", attempt)
        assert run["results"] == {"accuracy": 10, "text": "a-string ***"}
        assert run["parameters"] == {"p1": 5, "p2": "a-string"}
        assert (run["labels"], run["spec"]) == ({"kind": "job"}, {"handler": "train", "output_path": "/out"})
    assert kinds(service, "prep1").count("run.created") == 1


async def test_async_code_finds_the_prepared_run_in_every_task(service: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that never heard of each other get the one run that was prepared for the process, and one attempt at it."""
    monkeypatch.setenv("TRACKER_EXEC_CONFIG", json.dumps({"metadata": {"name": "prepared", "uid": "prep2", "project": "p"}}))
    found = []

    async def work(name: str) -> None:
        run = await tracker.aio.get_or_create_ctx(name)
        found.append(run)
        run.log_metric(name, 1)

    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "c"):
            tasks.start_soon(work, name)
    assert len({id(run) for run in found}) == 1
    plain = tracker.aio.get_or_create_ctx("mine", with_env=False, project="q")
    assert plain.uid != "prep2"
    await plain.commit(completed=True)
    await found[0].commit(completed=True)
    stored = service.run("prep2")
    assert (stored["state"], stored["attempt_count"], stored["metrics"]) == ("completed", 1, {"a": 1, "b": 1, "c": 1})
    later = tracker.aio.get_or_create_ctx("later", project="p")
    assert later.uid != "prep2"
    await later.commit(completed=True)


def test_names_fill_what_a_prepared_run_does_not_say(service: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prepared run without a name, a project or a uid gets the first asker's, and a new uid; secrets alone prepare one, too."""
    monkeypatch.setenv("TRACKER_EXEC_CONFIG", json.dumps({"spec": {"parameters": {"p1": 5}}}))
    with tracker.get_or_create_ctx("named", project="p", labels={"a": "b"}) as run:
        assert tracker.get_or_create_ctx("other").uid == run.uid
    monkeypatch.delenv("TRACKER_EXEC_CONFIG")
    monkeypatch.setenv("TRACKER_EXEC_SECRETS", json.dumps({"KEY": "hidden-value"}))
    with tracker.get_or_create_ctx("secret", project="p") as other:
        assert (other.uid == run.uid, other.get_secret("KEY"), repr(other)) == (
            False,
            "hidden-value",
            f"Context('secret', project='p', uid='{other.uid}', running)",
        )
    assert tracker.flush()
    stored = service.run(run.uid)
    assert (stored["name"], stored["state"], stored["parameters"], stored["labels"]) == ("named", "completed", {"p1": 5}, {"a": "b"})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TRACKER_EXEC_CONFIG", "{not json", "the run's description is not JSON"),
        ("TRACKER_EXEC_CONFIG", "[1]", "attrs of a run must be a dict, not list"),
        ("TRACKER_EXEC_SECRETS", "[1]", "TRACKER_EXEC_SECRETS is not a JSON object"),
    ],
)
def test_an_environment_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    """What cannot be read is refused where the context is asked for, and no secret stays in the environment or stands in the error."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidRequest, match=words):
        tracker.get_or_create_ctx("x")
    assert "TRACKER_EXEC_SECRETS" not in os.environ


def test_a_run_from_a_task_or_a_dict(service: Server) -> None:
    """`spec` is a task, a run or a dict: a new run, inside another one, too; what is said beside it is added."""
    task = tracker.new_task("task", project="p", params={"p1": 1}, in_path="/in").with_secrets("inline", {"KEY": "hidden-value"})
    with tracker.get_or_create_ctx("outer", project="p") as outer:
        with tracker.get_or_create_ctx("ignored", spec=task, parameters={"p2": 2}, parent=outer.uid) as run:
            assert (run.parameters, run.in_path, run.get_secret("KEY")) == ({"p1": 1, "p2": 2}, "/in", "hidden-value")
            assert tracker.get_or_create_ctx().uid == run.uid != outer.uid
        assert tracker.get_or_create_ctx().uid == outer.uid
        with tracker.get_or_create_ctx("named", spec={"spec": {"parameters": {"p1": 3}}}, project="p") as other:
            assert (other.to_dict()["metadata"]["name"], other.parameters) == ("named", {"p1": 3})
    assert tracker.flush()
    stored = service.run(run.uid)
    assert (stored["name"], stored["parent"], stored["parameters"]) == ("task", outer.uid, {"p1": 1, "p2": 2})
    assert "hidden-value" not in json.dumps(service.events(run.uid))
    with pytest.raises(InvalidRequest, match="rundb and uri both say where to record"):
        tracker.get_or_create_ctx("x", rundb="./a", uri="./b")


def test_a_context_that_others_work_for(service: Server) -> None:
    """With `is_api` the run is recorded without an attempt, and is nobody's ambient run."""
    run = tracker.Context.from_dict({"metadata": {"name": "remote", "project": "p"}}, is_api=True, host="far-away")
    assert tracker.aio.get_or_create_ctx("x", project="p").uid != run.uid
    run.commit(completed=True)
    stored = service.run(run.uid)
    assert (stored["state"], stored["host"], stored["attempt_count"]) == ("completed", "far-away", 0)
    tracker.get_or_create_ctx("x", project="p").commit(completed=True)


def test_a_run_that_is_stored_later(service: Server) -> None:
    """Made without being stored, it is recorded by the first thing said, which comes after its beginning."""
    run = tracker.Context.from_dict({"metadata": {"name": "lazy", "project": "p"}}, store_run=False)
    run.log_metric("loss", 1)
    run.commit(completed=True)
    assert kinds(service, run.uid) == ["run.created", "attempt.started", "metric.logged", "run.committed", "attempt.ended", "state.changed"]


# -- where code works -------------------------------------------------------------------------------------------------------


def test_the_cells_of_a_notebook_share_their_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a prompt a cell finds the run that another cell opened, though each runs in a context of its own; when it has ended, none."""
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    first = contextvars.copy_context().run(tracker.get_or_create_ctx, "cells", project="p")

    async def cell() -> str:
        run = await tracker.aio.get_or_create_ctx("cells")
        return str(run.uid)

    assert asyncio.run(cell()) == first.uid
    assert contextvars.copy_context().run(tracker.get_or_create_ctx).uid == first.uid
    other = contextvars.copy_context().run(tracker.get_or_create_ctx, "other", project="p")
    assert other.uid != first.uid
    for run in (first, other):
        contextvars.copy_context().run(run.commit, completed=True)
    last = tracker.get_or_create_ctx("cells", project="p")
    assert last.uid != first.uid
    last.commit(completed=True)


def test_a_thread_pool_works_on_runs_of_its_own_and_on_one(service: Server) -> None:
    """Runs opened in threads of a pool do not mix, though of one name; children that threads make of one run have their own numbers."""

    def own(number: int) -> tuple[str, str]:
        with tracker.get_or_create_ctx("pooled", project="p", parameters={"number": number}) as run:
            together.wait(10)
            return run.uid, tracker.get_or_create_ctx().uid

    together = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(own, range(4)))
        assert len({uid for uid, _ in found}) == 4
        assert all(uid == again for uid, again in found)
        with tracker.get_or_create_ctx("one", project="p") as run:

            def child(number: int) -> int:
                with run.get_child_context(number=number) as child:
                    child.log_result("number", number)
                    return child.iteration

            assert sorted(pool.map(child, range(40))) == list(range(1, 41))
    assert tracker.flush()
    assert service.run(run.uid)["children"] == 40


def test_forked_workers_make_iterations_of_one_run(service: Server, job: Job) -> None:
    """Workers forked while the run is open, and their parent, never get one number twice; every iteration has its own result."""
    process = job(
        service.uri,
        """
        import multiprocessing, tracker

        def work(number):
            with run.get_child_context(number=number) as child:
                child.log_result("square", number * number)
                return child.iteration

        with tracker.get_or_create_ctx("forks", project="p", uid="forks") as run:
            first = work(100)
            with multiprocessing.get_context("fork").Pool(4) as pool:
                numbers = pool.map(work, range(20), chunksize=1)
                pool.close()
                pool.join()
            last = work(200)
            run.update_child_iterations(best_run=last)
            assert sorted([first, *numbers, last]) == list(range(1, 23)), (first, numbers, last)
        """,
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    table = service.get("/v1/projects/p/runs/forks/iterations")["iterations"]
    assert len(table) == 22
    assert all(row["results"] == {"square": row["parameters"]["number"] ** 2} for row in table)
    assert {row["state"] for row in table} == {"completed"}
    assert service.run("forks")["results"]["square"] == 40_000


def _log_square(run: Any, child: Any, number: int) -> int:
    """What a worker does with contexts that were handed to it."""
    run.log_metric(f"n{number}", number)
    with pytest.raises(InvalidRequest, match="numbered where the run was opened"):
        run.get_child_context()
    with child:
        child.log_result("square", number * number)
    assert tracker.flush()
    return int(child.iteration)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_context_can_be_handed_to_a_pool_of_processes(service: Server, method: str) -> None:
    """Contexts are arguments of tasks as anything else: workers record into the run and the iterations they were given; one with secrets
    stays where it is."""
    with tracker.get_or_create_ctx("handed", project="p") as run, ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        tasks = [pool.submit(_log_square, run, run.get_child_context(number=n), n) for n in (1, 2, 3)]
        assert [task.result(60) for task in tasks] == [1, 2, 3]
        secret = tracker.Context.from_dict(
            {"spec": {"secret_sources": [{"kind": "inline", "source": {"K": "hidden-value"}}]}}, store_run=False
        )
        with pytest.raises(TypeError, match="a context with secrets is not handed"):
            pickle.dumps(secret)
    assert tracker.flush()
    stored = service.run(run.uid)
    assert (stored["state"], stored["attempt_count"], stored["metrics"]) == ("completed", 1, {"n1": 1, "n2": 2, "n3": 3})
    rows = service.get(f"/v1/projects/p/runs/{run.uid}/iterations")["iterations"]
    assert [(row["state"], row["results"]) for row in rows] == [("completed", {"square": n * n}) for n in (1, 2, 3)]


def _iterate(attrs: dict[str, Any], uri: str, answer: Any) -> None:
    """An iteration in a process of its own, which says in the end what it came to."""
    with tracker.Context.from_dict(attrs, uri) as context:
        context.log_result("score", context.get_param("x") * 2)
        context.log_artifact("model", body=f"model {context.iteration}")
        with tracker.get_or_create_ctx() as ambient:
            assert ambient.iteration == context.iteration
    assert tracker.flush()
    answer.put(context.to_dict()["status"])


def test_an_iteration_in_another_process_is_taken_in(service: Server) -> None:
    """What a worker recorded of its iteration is known to the parent that absorbed it, recorded once, and can be the best of the run."""
    spawn = multiprocessing.get_context("spawn")
    answer = spawn.SimpleQueue()
    with tracker.get_or_create_ctx("search", project="p") as run:
        context = run._context
        told: list[tuple[int, str]] = []
        for x in (1, 2):
            child = context.get_child_context(x=x)
            child.on_state.append(lambda child, state, _: told.append((child.iteration, state)))
            process = spawn.Process(target=_iterate, args=(child.to_dict(), service.uri, answer))
            process.start()
            process.join(60)
            child.absorb(answer.get())
        child.mark_as_best()
        assert told == [(1, "completed"), (2, "completed")]
        assert run.results == {"score": 4, "best_iteration": 2}
        assert run.artifacts["model"].get_body() == b"model 2"
        assert [row[:4] for row in run.to_dict()["status"]["iterations"][1:]] == [["completed", 1, 1, 2], ["completed", 2, 2, 4]]
    assert tracker.flush()
    stored = service.run(run.uid)
    assert (stored["results"], stored["best_iteration"], stored["attempt_count"]) == ({"score": 4, "best_iteration": 2}, 2, 1)
    rows = service.get(f"/v1/projects/p/runs/{run.uid}/iterations")["iterations"]
    assert [(row["state"], row["results"]) for row in rows] == [("completed", {"score": 2}), ("completed", {"score": 4})]
    results = [e["event"] for e in service.events(run.uid) if e["event"]["type"] == "result.logged"]
    assert sorted((e.get("iteration", 0), e["key"]) for e in results) == [(0, "best_iteration"), (0, "score"), (1, "score"), (2, "score")]


async def test_every_change_of_state_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Those who want to know hear of every state with its error; one of them that fails is complained of, and the job goes on."""
    told: list[tuple[str, str]] = []

    def fail(run: Any, state: str, error: str) -> None:
        raise ValueError("nobody listens")

    run = tracker.aio.Context.from_dict({"metadata": {"name": "x"}}, str(tmp_path / "data"), store_run=False)
    run.on_state += [fail, lambda _, state, error: told.append((state, error))]
    with caplog.at_level(logging.WARNING):
        await run.store_run()
        await run.set_state("evaluating")
        with pytest.raises(ZeroDivisionError):
            async with run:
                1 / 0  # noqa: B018
    assert told == [("running", ""), ("evaluating", ""), ("error", "ZeroDivisionError: division by zero")]
    assert caplog.text.count("nobody listens") == 1


async def test_a_cancelled_task_ends_its_run(service: Server) -> None:
    """A run whose task is cancelled, by its own scope or from outside, is aborted; what it said before is there."""
    uids: list[str] = []

    async def work() -> None:
        async with tracker.aio.get_or_create_ctx("cancelled", project="p") as run:
            uids.append(run.uid)
            async with run.get_child_context(x=1) as child:
                child.log_result("y", 1)
                started.set()
                await anyio.sleep_forever()

    started = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await started.wait()
        tasks.cancel_scope.cancel()
    started = anyio.Event()
    task = asyncio.ensure_future(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await tracker.aio.flush()
    for uid in uids:
        child = service.get(f"/v1/projects/p/runs/{uid}?iteration=1")
        assert (service.run(uid)["state"], child["state"], child["results"]) == ("aborted", "aborted", {"y": 1})


def test_a_file_that_cannot_be_written_is_complained_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A `tmp` in a place that is none is named; the commit is stored all the same."""
    (tmp_path / "file").write_text("x")
    run = tracker.Context.from_dict({"metadata": {"name": "x", "project": "p"}}, tmp=tmp_path / "file" / "run.json")
    with caplog.at_level(logging.WARNING):
        assert run.commit(completed=True)
    assert f"the run cannot be written to {tmp_path / 'file' / 'run.json'}" in caplog.text
