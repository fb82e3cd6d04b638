"""Every public member of the execution context that users come from: its parameters, and what it does, in plain and in async code.

`MEMBERS` is written from the published documentation of that context: name, parameters in order, defaults. A behaviour is written once,
for both kinds of code: what it calls is awaited where it can be.
"""

import inspect
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tracker
import tracker.aio
from tests.sdk.conftest import Server, serving, until
from tracker.errors import InvalidRequest, NotFound

pytestmark = pytest.mark.anyio

REQUIRED, REST, WORDS = "required", "*", "**"

MEMBERS: dict[str, dict[str, Any] | None] = {
    "annotations": None,
    "artifact_subpath": {"subpaths": REST},
    "artifacts": None,
    "commit": {"message": "", "completed": False},
    "from_dict": {
        "attrs": REQUIRED,
        "rundb": "",
        "autocommit": False,
        "tmp": "",
        "host": None,
        "log_stream": None,
        "is_api": False,
        "store_run": True,
    },
    "get_cached_artifact": {"key": REQUIRED},
    "get_child_context": {"with_parent_params": False, "params": WORDS},
    "get_dataitem": {"url": REQUIRED, "secrets": None},
    "get_input": {"key": REQUIRED, "url": ""},
    "get_meta": {},
    "get_param": {"key": REQUIRED, "default": None},
    "get_project_param": {"key": REQUIRED, "default": None},
    "get_secret": {"key": REQUIRED},
    "get_store_resource": {"url": REQUIRED, "secrets": None},
    "in_path": None,
    "inputs": None,
    "iteration": None,
    "kind": None,
    "labels": None,
    "log_artifact": {
        "item": REQUIRED,
        "body": None,
        "local_path": None,
        "artifact_path": None,
        "tag": "",
        "viewer": None,
        "target_path": "",
        "src_path": None,
        "upload": None,
        "labels": None,
        "format": None,
        "db_key": None,
        "kwargs": WORDS,
    },
    "log_dataset": {
        "key": REQUIRED,
        "df": REQUIRED,
        "tag": "",
        "local_path": None,
        "artifact_path": None,
        "upload": True,
        "labels": None,
        "format": "",
        "preview": None,
        "stats": None,
        "db_key": None,
        "target_path": "",
        "extra_data": None,
        "label_column": None,
        "kwargs": WORDS,
    },
    "log_iteration_results": {"best": REQUIRED, "summary": REQUIRED, "task": REQUIRED, "commit": False},
    "log_level": None,
    "log_metric": {"key": REQUIRED, "value": REQUIRED, "timestamp": None, "labels": None},
    "log_metrics": {"keyvals": REQUIRED, "timestamp": None, "labels": None},
    "log_model": {
        "key": REQUIRED,
        "body": None,
        "framework": "",
        "tag": "",
        "model_dir": None,
        "model_file": None,
        "algorithm": None,
        "metrics": None,
        "parameters": None,
        "artifact_path": None,
        "upload": True,
        "labels": None,
        "inputs": None,
        "outputs": None,
        "feature_vector": None,
        "feature_weights": None,
        "training_set": None,
        "label_column": None,
        "extra_data": None,
        "db_key": None,
        "kwargs": WORDS,
    },
    "log_result": {"key": REQUIRED, "value": REQUIRED, "commit": False},
    "log_results": {"results": REQUIRED, "commit": False},
    "logger": None,
    "mark_as_best": {},
    "out_path": None,
    "parameters": None,
    "project": None,
    "results": None,
    "set_annotation": {"key": REQUIRED, "value": REQUIRED, "replace": True},
    "set_hostname": {"host": REQUIRED},
    "set_label": {"key": REQUIRED, "value": REQUIRED, "replace": True},
    "set_logger_stream": {"stream": REQUIRED},
    "set_state": {"execution_state": None, "error": None, "commit": True},
    "state": None,
    "store_run": {},
    "tag": None,
    "to_dict": {},
    "to_json": {},
    "to_yaml": {},
    "uid": None,
    "update_artifact": {"artifact_object": REQUIRED},
    "update_child_iterations": {"best_run": 0, "commit_children": False, "completed": True},
}
OURS = {"log_metric": {"step": None}, "log_metrics": {"step": None}}  # what we have beyond it, always last


def default_of(parameter: inspect.Parameter) -> Any:
    """A parameter as `MEMBERS` has it."""
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return REST
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return WORDS
    return REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default


@pytest.mark.parametrize("api", [tracker, tracker.aio])
@pytest.mark.parametrize("name", MEMBERS)
def test_members_have_the_documented_parameters(api: Any, name: str) -> None:
    """A call written for the documented context fits ours: same names, same order, same defaults; what we add comes last."""
    wanted = MEMBERS[name]
    if wanted is None:
        assert isinstance(inspect.getattr_static(api.Context, name), property | str)
        return
    found = inspect.signature(getattr(api.Context, name)).parameters
    given = {key: default_of(parameter) for key, parameter in found.items() if key != "self"}
    assert list(given.items()) == list({**wanted, **OURS.get(name, {})}.items())


# -- behaviour -----------------------------------------------------------------------------------------------------------


async def now(value: Any) -> Any:
    """The value, awaited where it can be."""
    return await value if inspect.isawaitable(value) else value


class Told:
    """A run that is open, in plain or in async code, and what the server knows of it."""

    def __init__(self, api: Any, server: Server, place: Path, run: Any) -> None:
        self.api, self.server, self.place, self.run = api, server, place, run

    async def stored(self, iteration: int = 0) -> dict[str, Any]:
        """The run, or an iteration of it, as the server has it after a commit."""
        assert await now(self.run.commit())
        uid, health = self.run.uid.partition("-")[0], self.server.get("/health")
        found = self.server.get(f"/v1/projects/p/runs/{uid}?iteration={iteration}&min_offset={health['offset']}")
        assert found is not None
        return dict(found)

    async def artifact(self, key: str) -> dict[str, Any]:
        """The latest version of an artifact as the server has it."""
        await self.stored()
        found: dict[str, Any] = self.server.get(f"/v1/projects/p/artifacts/{key}")
        assert found is not None
        return found


Behaviour = Callable[[Told], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {}


def of(*names: str) -> Callable[[Behaviour], Behaviour]:
    """Says which members a behaviour shows."""

    def note(behaviour: Behaviour) -> Behaviour:
        BEHAVIOURS.update(dict.fromkeys(names, behaviour))
        return behaviour

    return note


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all."""
    with serving(tmp_path_factory.mktemp("members") / "data") as server:
        yield server


@pytest.fixture(params=["plain", "async"])
async def told(request: pytest.FixtureRequest, service: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    """An open run with a parameter, a label and an annotation."""
    api = tracker if request.param == "plain" else tracker.aio
    monkeypatch.setenv("TRACKER_URI", service.uri)
    given = {"parameters": {"lr": 0.5, "layers": [1]}, "labels": {"owner": "ann"}, "annotations": {"note": "n"}}
    run = await now(api.get_or_create_ctx("train", project="p", **given))
    yield Told(api, service, tmp_path, run)
    await now(run.commit(completed=True))


def test_every_member_is_shown() -> None:
    """No documented member goes without a behaviour."""
    assert set(BEHAVIOURS) == set(MEMBERS)
    assert len(MEMBERS) == 48


@pytest.mark.parametrize("name", MEMBERS)
async def test_members_do_what_is_documented(told: Told, name: str) -> None:
    """Each member does its work, shows it at once, and has it stored."""
    await BEHAVIOURS[name](told)


@of("kind", "uid", "project", "iteration", "tag")
async def _names(told: Told) -> None:
    run = told.run
    assert (run.kind, run.project, run.iteration, run.tag) == ("run", "p", 0, run.uid)
    assert len(run.uid) == 32
    child = run.get_child_context()
    assert (child.uid, child.iteration, child.tag) == (f"{run.uid}-1", 1, run.uid)
    run.set_label("workflow", "w7")
    assert run.tag == "w7"


@of("parameters", "get_param")
async def _parameters(told: Told) -> None:
    run = told.run
    run.parameters["layers"].append(2)
    assert run.parameters == {"lr": 0.5, "layers": [1]}
    assert (run.get_param("lr", 1), run.get_param("batch", 32), run.get_param("batch", 64), run.get_param("none")) == (0.5, 32, 32, None)
    assert (await told.stored())["parameters"] == {"lr": 0.5, "layers": [1], "batch": 32, "none": None} == run.parameters


@of("labels", "set_label")
async def _labels(told: Told) -> None:
    run = told.run
    for key, value, replace in (("framework", "sklearn", True), ("framework", "torch", False), ("n", 5, True), ("owner", "bob", True)):
        await now(run.set_label(key, value, replace))
    run.labels["x"] = "y"
    assert (await told.stored())["labels"] == {"framework": "sklearn", "n": "5", "owner": "bob"} == run.labels


@of("annotations", "set_annotation")
async def _annotations(told: Told) -> None:
    run = told.run
    await now(run.set_annotation("comment", "some text"))
    await now(run.set_annotation("note", "other", replace=False))
    await now(run.set_annotation("none", None))
    assert (await told.stored())["annotations"] == {"note": "n", "comment": "some text", "none": "None"} == run.annotations


@of("results", "log_result", "log_results")
async def _results(told: Told) -> None:
    run = told.run
    await now(run.log_result("accuracy", 0.85, commit=True))
    assert told.server.run(run.uid)["results"] == {"accuracy": 0.85}
    await now(run.log_results({"loss": 0.2, "matrix": [[1], [2]]}))
    with pytest.raises(InvalidRequest):
        await now(run.log_results([1]))
    assert (await told.stored())["results"] == {"accuracy": 0.85, "loss": 0.2, "matrix": [[1], [2]]} == run.results


@of("log_metric", "log_metrics")
async def _metrics(told: Told) -> None:
    run = told.run
    for value in (3, 2):
        await now(run.log_metric("loss", value))
    await now(run.log_metric("loss", 1.5, 1_700_000_000.0, {"phase": "test"}, step=7))
    await now(run.log_metrics({"a": 1, "b": 2}, labels={"x": "y"}))
    stored = await told.stored()
    assert stored["metrics"] == {"loss": 1.5, "a": 1, "b": 2}
    events = [e["event"] for e in told.server.events(run.uid) if e["event"]["type"] == "metric.logged"]
    assert [e.get("step", 0) for e in events] == [0, 1, 7, 0, 0]
    assert (events[2]["time"], events[2]["labels"]) == (1_700_000_000 * 10**9, {"phase": "test"})


@of("state", "set_state")
async def _state(told: Told) -> None:
    run = told.run
    assert run.state == "running"
    await now(run.set_state("preparing"))
    assert (run.state, told.server.run(run.uid)["state"]) == ("preparing", "preparing")
    await now(run.set_state(error="no memory", commit=False))
    await now(run.set_state("running"))
    stored = await told.stored()
    assert (run.state, stored["state"], stored["error"]) == ("error", "error", "no memory")


@of("set_hostname")
async def _host(told: Told) -> None:
    await now(told.run.set_hostname("worker-7"))
    assert told.run.to_dict()["status"]["host"] == (await told.stored())["host"] == "worker-7"


@of("commit")
async def _commit(told: Told) -> None:
    run = told.run
    child = run.get_child_context(x=1)
    assert await now(run.commit("half way")) is True
    assert told.server.run(run.uid)["message"] == run.to_dict()["status"]["commit"] == "half way"
    assert await now(run.commit(completed=True)) is True
    assert (run.state, child.state, told.server.run(run.uid)["state"]) == ("completed", "completed", "completed")
    assert told.server.get(f"/v1/projects/p/runs/{run.uid}?iteration=1")["state"] == "completed"
    assert told.server.run(run.uid)["message"] == "half way"


@of("to_dict", "to_json", "to_yaml")
async def _as_data(told: Told) -> None:
    run = told.run
    run.log_result("best", 1.5)
    for number in (1, 2):
        run.get_child_context(number=number).log_result("score", number * 10)
    shape = run.to_dict()
    assert shape["kind"] == "run"
    assert shape["metadata"] == {
        "name": "train",
        "uid": run.uid,
        "iteration": 0,
        "project": "p",
        "labels": {"owner": "ann"},
        "annotations": {"note": "n"},
    }
    assert shape["spec"] == {"parameters": {"lr": 0.5, "layers": [1]}, "inputs": {}}
    assert (shape["status"]["state"], shape["status"]["results"]) == ("running", {"best": 1.5})
    assert shape["status"]["iterations"] == [
        ["state", "iter", "param.number", "output.score"],
        ["running", 1, 1, 10],
        ["running", 2, 2, 20],
    ]
    assert json.loads(run.to_json()) == yaml.safe_load(run.to_yaml()) == shape


@of("logger", "log_level", "set_logger_stream")
async def _logger(told: Told) -> None:
    run, stream = told.run, io.StringIO()
    assert run.log_level == "info"
    run.set_logger_stream(stream)
    run.logger.debug("unheard")
    run.logger.info("started experiment..", param=5)
    run.log_level = "ERROR"
    run.logger.warning("unheard")
    assert (run.log_level, stream.getvalue()[24:]) == ("error", "[info] started experiment.. param=5\n")
    await told.stored()
    assert until(lambda: told.server.bytes(f"/v1/projects/p/runs/{run.uid}/log")).decode() == stream.getvalue()
    run.set_logger_stream(None)


@of("get_meta")
async def _meta(told: Told) -> None:
    run = told.run
    assert run.get_meta() == {"name": "train", "kind": "run", "uri": f"p/{run.uid}", "owner": "ann"}
    run.set_label("workflow", "w7")
    child = run.get_child_context()
    assert child.get_meta() == {"name": "train", "kind": "run", "uri": f"p/{run.uid}-1", "owner": "ann", "workflow": "w7"}


@of("in_path", "out_path", "artifact_subpath")
async def _places(told: Told) -> None:
    run = told.run
    assert (run.in_path, run.out_path) == ("", "store://artifacts/p")
    assert run.artifact_subpath("data", "raw") == "store://artifacts/p/data/raw"
    for wrong in ("../up", "a/../../b", "a\x00b", "a\nb"):
        with pytest.raises(InvalidRequest, match="subpaths"):
            run.artifact_subpath(wrong)
    spec = {"input_path": "/data/in", "output_path": "s3://bucket/out/"}
    other = told.api.Context.from_dict({"metadata": {"name": "x", "project": "p"}, "spec": spec}, store_run=False)
    assert (other.in_path, other.out_path, other.artifact_subpath("data")) == ("/data/in", "s3://bucket/out/", "s3://bucket/out/data")
    assert (other.get_child_context().out_path, other.to_dict()["spec"]["input_path"]) == ("s3://bucket/out/", "/data/in")
    spec = {"output_path": "/data/{{project}}/{{run.uid}}"}
    other = told.api.Context.from_dict({"metadata": {"name": "x", "project": "p"}, "spec": spec}, store_run=False)
    assert (other.out_path, other.artifact_subpath("a")) == (f"/data/p/{other.uid}", f"/data/p/{other.uid}/a")
    with pytest.raises(InvalidRequest, match=r"run\.name"):
        told.api.Context.from_dict({"spec": {"output_path": "/data/{{run.name}}"}}, store_run=False)


@of("from_dict")
async def _from_dict(told: Told) -> None:
    lines, file = io.StringIO(), told.place / "made" / "run.json"
    attrs = {
        "kind": "run",
        "metadata": {"name": "made", "project": "p", "labels": {"a": 1}, "annotations": {"b": "c"}},
        "spec": {
            "parameters": {"p1": 5},
            "inputs": {"data": "in.csv"},
            "handler": "module.function",
            "outputs": ["model"],
            "secret_sources": [{"kind": "inline", "source": {"KEY": "hidden-value"}}],
        },
    }
    run = told.api.Context.from_dict(attrs, told.server.uri, autocommit=True, tmp=str(file), host="worker-1", log_stream=lines)
    assert (run.parameters, run.labels, run.annotations, run.get_secret("KEY")) == ({"p1": 5}, {"a": "1"}, {"b": "c"}, "hidden-value")
    assert told.api.get_or_create_ctx("made").uid == run.uid
    await now(run.log_result("seen", "it is hidden-value"))
    stored = told.server.run(run.uid)  # no commit: each call was waited for
    assert (stored["host"], stored["results"], stored["attempt_count"]) == ("worker-1", {"seen": "it is ***"}, 1)
    assert stored["spec"] == {"handler": "module.function", "outputs": ["model"], "inputs": {"data": "in.csv"}}
    if told.api is tracker:  # the calls that return something cannot be awaited
        run.get_param("p2", 7)
        assert told.server.run(run.uid)["parameters"] == {"p1": 5, "p2": 7}
        child = run.get_child_context(x=1)
        assert told.server.get(f"/v1/projects/p/runs/{run.uid}?iteration=1")["parameters"] == {"x": 1}
        child.log_result("y", 2)
        assert told.server.get(f"/v1/projects/p/runs/{run.uid}?iteration=1")["results"] == {"y": 2}
    run.logger.info("line")
    assert "line" in lines.getvalue()
    await now(run.commit(completed=True))
    written = json.loads(file.read_text())
    assert (written["metadata"]["uid"], written["status"]["state"]) == (run.uid, "completed")
    assert "hidden-value" not in json.dumps([told.server.events(run.uid), written])
    assert [path.name for path in file.parent.iterdir()] == ["run.json"]
    for field, wrong in (
        ("attrs", [1]),
        ("metadata", {"metadata": "x"}),
        ("name", {"metadata": {"name": "a\nb"}}),
        ("uid", {"metadata": {"uid": "../x"}}),
        ("project", {"metadata": {"project": "a/b"}}),
        ("iteration", {"metadata": {"iteration": 3}}),
        ("parameters", {"spec": {"parameters": [1]}}),
        ("notifications", {"spec": {"notifications": "x"}}),
        ("secret_sources", {"spec": {"secret_sources": {"kind": "inline"}}}),
    ):
        with pytest.raises(InvalidRequest) as caught:
            told.api.Context.from_dict(wrong)
        assert caught.value.field == field


@of("store_run")
async def _store_run(told: Told) -> None:
    attrs = {"metadata": {"name": "later", "project": "p", "uid": f"later-{told.run.uid[-8:]}"}}
    run = told.api.Context.from_dict(attrs, told.server.uri, store_run=False)
    await told.stored()
    assert told.server.run(run.uid) is None
    assert told.api.get_or_create_ctx().uid == told.run.uid
    await now(run.store_run())
    assert told.server.run(run.uid)["state"] == "running"
    await now(run.store_run())
    await now(run.commit(completed=True))
    assert [e["event"]["type"] for e in told.server.events(run.uid)].count("run.created") == 1


@of("get_child_context", "mark_as_best")
async def _children(told: Told) -> None:
    run = told.run
    run.log_results({"accuracy": 0.1, "kept": 1})
    for number in (1, 2):
        child = run.get_child_context(with_parent_params=True, number=number)
        assert child.parameters == {"lr": 0.5, "layers": [1], "number": number}
        assert child.labels == {"owner": "ann"}
        child.log_result("accuracy", number / 2)
        await now(child.log_artifact("model", body=f"model {number}"))
        if number == 1:
            await now(child.mark_as_best())
        await now(child.commit(completed=True))
    assert run.results == {"accuracy": 0.5, "kept": 1, "best_iteration": 1}
    assert run.get_child_context(number=3).parameters == {"number": 3}
    stored = await told.stored()
    assert (stored["best_iteration"], stored["results"], stored["children"]) == (1, run.results, 3)
    links = [e["event"] for e in told.server.events(run.uid) if e["event"]["type"] == "artifact.logged" and not e["event"].get("iteration")]
    assert [(link["key"], link["spec"]["link_iteration"]) for link in links] == [("model", 1)]
    assert links[0]["digest"] == run.artifacts["model"].digest
    for wrong in (run.mark_as_best, child.get_child_context):
        with pytest.raises(InvalidRequest, match="child iteration"):
            wrong()


@of("update_child_iterations")
async def _update_children(told: Told) -> None:
    run = told.run
    for number in (1, 2):
        run.get_child_context(number=number).log_result("score", number)
    with pytest.raises(InvalidRequest, match="iteration 3 is none of the 2"):
        await now(run.update_child_iterations(best_run=3))
    await now(run.update_child_iterations(best_run=2, commit_children=True, completed=False))
    assert told.server.get(f"/v1/projects/p/runs/{run.uid}?iteration=2")["state"] == "running"
    assert run.results == {"score": 2, "best_iteration": 2} == told.server.run(run.uid)["results"]
    await now(run.update_child_iterations())
    assert (await told.stored(iteration=1))["state"] == "completed"
    assert [row[0] for row in run.to_dict()["status"]["iterations"][1:]] == ["completed", "completed"]


@of("log_iteration_results")
async def _iteration_results(told: Told) -> None:
    run = told.run
    child = run.get_child_context(x=1)
    child.log_result("score", 5)
    table = [["state", "iter", "param.x", "output.score"], ["completed", 1, 1, 5]]
    await now(run.log_iteration_results(1, table, child.to_dict(), commit=True))
    assert run.results == {"score": 5, "best_iteration": 1} == told.server.run(run.uid)["results"]
    assert run.to_dict()["status"]["iterations"] == table
    assert (await now(run.artifacts["iteration_results"].get_body())).decode().splitlines() == [
        "state,iter,param.x,output.score",
        "completed,1,1,5",
    ]
    elsewhere = {"status": {"state": "completed", "results": {"score": 9}}}
    await now(run.log_iteration_results(7, None, elsewhere))
    assert (await told.stored())["results"] == {"score": 9, "best_iteration": 7} == run.results
    for best, summary, task in ((8, None, {}), (-1, None, elsewhere), ("x", None, elsewhere), (0, [["a"], [1, 2]], {})):
        with pytest.raises(InvalidRequest):
            await now(run.log_iteration_results(best, summary, task))


@of("artifacts", "log_artifact", "get_cached_artifact")
async def _artifacts(told: Told) -> None:
    run = told.run
    file = told.place / "model.txt"
    file.write_text("from a file")
    logged = await now(run.log_artifact("some-data", body=b"abc is 123", local_path="model.txt", labels={"framework": "xgboost"}, tag="v1"))
    await now(run.log_artifact("file", local_path=str(file)))
    await now(run.log_artifact("page", body="<b> Some HTML <b>", format="html"))
    assert set(run.artifacts) == {"some-data", "file", "page"}
    assert run.get_cached_artifact("some-data").digest == logged.digest
    with pytest.raises(NotFound, match="logged: file, page, some-data"):
        run.get_cached_artifact("other")
    stored = await told.artifact("some-data")
    assert (stored["digest"], stored["size"], stored["labels"], stored["uid"]) == (logged.digest, 10, {"framework": "xgboost"}, run.uid)
    assert told.server.bytes("/v1/projects/p/artifacts/file/content") == b"from a file"
    assert run.to_dict()["status"]["artifacts"]["some-data"]["digest"] == logged.digest
    for wrong in ({"item": "../up", "body": "x"}, {"item": "x", "local_path": "/no/such/file"}, {"item": "x", "target_path": "relative"}):
        with pytest.raises(InvalidRequest):
            await now(run.log_artifact(**wrong))


@of("update_artifact")
async def _update_artifact(told: Told) -> None:
    run = told.run
    artifact = await now(run.log_artifact(f"notes-{run.uid}", body="text", labels={"a": "b"}))
    artifact.labels["c"] = "d"
    await now(run.update_artifact(artifact))
    assert (await told.artifact(artifact.key))["labels"] == {"a": "b", "c": "d"} == run.get_cached_artifact(artifact.key).labels
    assert run.to_dict()["status"]["artifacts"][artifact.key]["labels"] == {"a": "b", "c": "d"}


@of("log_dataset")
async def _dataset(told: Told) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"first_name": ["Jason", "Molly"], "age": [42, 52]})
    logged = await now(told.run.log_dataset("mydf", df=frame, stats=True, label_column="age"))
    stored = await told.artifact("mydf")
    assert (stored["kind"], stored["format"], stored["digest"]) == ("dataset", "parquet", logged.digest)
    assert told.run.get_cached_artifact("mydf").digest == logged.digest


@of("log_model")
async def _model(told: Told) -> None:
    logged = await now(told.run.log_model("model", body=b"weights", model_file="model.pkl", framework="none", metrics={"accuracy": 0.9}))
    stored = await told.artifact("model")
    assert (stored["kind"], stored["labels"]["framework"], stored["digest"]) == ("model", "none", logged.digest)


@of("inputs", "get_input", "get_dataitem")
async def _inputs(told: Told) -> None:
    run, file = told.run, told.place / "infile.txt"
    file.write_text("content")
    assert run.inputs == {}
    assert await now(run.get_input("infile", str(file)).get()) == b"content"
    assert await now(run.get_dataitem(str(file)).get()) == b"content"
    assert list(run.inputs) == ["infile"]
    assert await now(run.inputs["infile"].get()) == b"content"
    assert (await told.stored())["inputs"] == {"infile": str(file)}


@of("get_store_resource")
async def _resource(told: Told) -> None:
    run, key = told.run, f"kept-{told.run.uid}"
    logged = await now(run.log_artifact(key, body="text"))
    await told.stored()
    found = await now(run.get_store_resource(f"store://artifacts/p/{key}"))
    assert (found.key, found.digest) == (key, logged.digest)
    with pytest.raises(NotFound):
        await now(run.get_store_resource("store://artifacts/p/no-such-thing"))


@of("get_project_param")
async def _project_param(told: Told) -> None:
    name = f"q{told.run.uid}"
    run = told.api.Context.from_dict({"metadata": {"name": "x", "project": name}}, told.server.uri, store_run=False)
    request = {"name": name, "parameters": {"rate": 5}}
    posted(told.server, "/v1/projects", request)
    assert (await now(run.get_project_param("rate", 1)), await now(run.get_project_param("other", 1))) == (5, 1)


@of("get_secret")
async def _secret(told: Told) -> None:
    spec = {"secret_sources": [{"kind": "inline", "source": {"ACCESS_KEY": "hidden-value"}}]}
    run = told.api.Context.from_dict({"metadata": {"name": "x", "project": "p"}, "spec": spec}, store_run=False)
    assert (run.get_secret("ACCESS_KEY"), run.get_secret("OTHER_KEY"), told.run.get_secret("ACCESS_KEY")) == ("hidden-value", None, None)
    assert "hidden-value" not in run.to_json()


def posted(server: Server, path: str, body: dict[str, Any]) -> None:
    """Send JSON to the server."""
    import urllib.request

    request = urllib.request.Request(server.uri + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.status in (200, 201)
