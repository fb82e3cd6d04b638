"""Tasks, specs, options, notifications, targets: what they hold, what they give back, what they refuse."""

import json
import threading
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracker.errors import InvalidExpression, InvalidRequest
from tracker.model import (
    DataSource,
    DataTarget,
    DataTargetBase,
    FeatureSetProducer,
    HyperParamOptions,
    Notification,
    RunMetadata,
    RunSpec,
    RunStatus,
    RunTemplate,
    TargetPathObject,
    new_task,
)
from tracker.model.hints import LogHint, parse_hint

CANARY = "canary-7f3a91"


def full_task() -> RunTemplate:
    """A task with something of everything."""
    task = new_task(
        "train", "demo", "trainer.train", {"p1": 1}, {"lr": [0.1, 0.2]}, selector="max.accuracy",
        inputs={"data : pandas.DataFrame": "d.csv"},
        outputs=["log"], in_path="/in", artifact_path="/out", secrets=["env=A,B"], returns=["accuracy", "model: model"],
    )  # fmt: skip
    task.with_secrets("inline", {"token": CANARY}).set_label("team", 7)
    task.spec.notifications = [Notification("slack", "told", secret_params={"webhook": CANARY})]
    return task


def test_a_new_task_says_only_what_was_said() -> None:
    """What nobody chose is not in a task's plain values."""
    assert new_task("x").to_dict() == {"metadata": {"name": "x", "iteration": 0}}
    assert RunStatus().to_dict() == {"state": "created"}
    assert HyperParamOptions().to_dict() == {}


def test_a_task_keeps_all_it_is_given() -> None:
    """Every argument of new_task is found in the task."""
    struct = full_task().to_dict()
    assert struct["metadata"] == {"name": "train", "project": "demo", "labels": {"team": "7"}, "iteration": 0}
    assert struct["spec"] == {
        "parameters": {"p1": 1},
        "hyperparams": {"lr": [0.1, 0.2]},
        "handler": "trainer.train",
        "inputs": {"data : pandas.DataFrame": "d.csv"},
        "outputs": ["log"],
        "input_path": "/in",
        "output_path": "/out",
        "hyper_param_options": {"selector": "max.accuracy"},
        "returns": ["accuracy", "model: model"],
        "notifications": [{"kind": "slack", "name": "told", "severity": "info", "when": ["completed"]}],
    }


def test_secrets_are_given_only_to_who_asks_for_them() -> None:
    """Plain values, JSON, YAML, text and repr of a task hold no secret; `secrets=True` hands them to the job."""
    task = full_task()
    for shown in (
        str(task.to_dict()),
        task.to_json(),
        task.to_yaml(),
        task.to_str(),
        repr(task),
        repr(task.spec),
        f"{task.spec.notifications}",
    ):
        assert CANARY not in shown
        assert "A,B" not in shown
    given = task.to_dict(secrets=True)["spec"]
    assert given["secret_sources"] == [{"kind": "env", "source": "A,B"}, {"kind": "inline", "source": {"token": CANARY}}]
    assert given["notifications"][0]["secret_params"] == {"webhook": CANARY}
    assert "options" not in DataTargetBase("s3", storage_options={"key": CANARY}).to_json()


def test_a_task_travels_as_plain_values() -> None:
    """A task made from another's JSON or YAML is equal to it, and a copy shares nothing with it."""
    task = full_task()
    assert RunTemplate.from_dict(task.to_dict(secrets=True)) == task
    plain = RunTemplate.from_dict(task.to_dict())
    assert RunTemplate.from_dict(json.loads(plain.to_json())) == plain == RunTemplate.from_dict(yaml.safe_load(plain.to_yaml()))
    copy = task.copy()
    copy.spec.parameters["p1"] = 2
    copy.spec.notifications[0].name = "other"
    assert task.spec.parameters == {"p1": 1}
    assert task.spec.notifications[0].name == "told"
    assert copy != task


def test_fields_of_plain_values_can_be_chosen() -> None:
    """`fields`, `exclude` and `strip` say which fields are wanted; old names of fields are understood when told."""
    metadata = RunMetadata("u1", "n", "p", {"a": "b"}, iteration=3)
    assert metadata.to_dict(fields=["name", "uid"]) == {"name": "n", "uid": "u1"}
    assert "labels" not in metadata.to_dict(exclude=["labels"])
    assert metadata.to_dict(strip=True) == {"name": "n", "project": "p", "labels": {"a": "b"}}
    assert RunMetadata.from_dict({"title": "n", "no_field": 1}, deprecated_fields={"title": "name"}) == RunMetadata(name="n")
    assert RunMetadata.from_dict({"name": "n", "uid": "u"}, fields=["name"]).uid == ""
    with pytest.raises(InvalidRequest, match="RunMetadata is made from a dict, not from int"):
        RunMetadata.from_dict(7)


def test_a_base_is_a_beginning_and_stays_as_it_was() -> None:
    """`base` gives a task what is not said anew; the base itself does not change, even when it is a plain dict."""
    base = full_task()
    before = base.to_dict(secrets=True)
    task = new_task("other", base=base, params={"p2": 2}, returns=["loss"])
    assert (task.metadata.name, task.metadata.project, task.spec.handler) == ("other", "demo", "trainer.train")
    assert (task.spec.parameters, task.spec.returns, task.spec.selector) == ({"p2": 2}, ["loss"], "max.accuracy")
    task.spec.inputs["more"] = "x"
    assert base.to_dict(secrets=True) == before
    assert new_task(base={"metadata": {"name": "d", "uid": "old"}}).metadata == RunMetadata(name="d")


class Trainer:
    """An object with a handler, and a lock that cannot be copied."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def train(self) -> None:
        """A handler."""


def test_a_handler_may_be_a_method() -> None:
    """A task copied as a base keeps its handler, a method's object too; text for people and machines leaves functions out."""
    trainer = Trainer()
    base = new_task("t", handler=trainer.train, params={"a": [1]})
    task = new_task(base=base)
    assert task.spec.handler == trainer.train
    task.spec.parameters["a"].append(2)
    assert base.spec.parameters == {"a": [1]}
    assert "handler" not in task.to_dict().get("spec", {})


def test_with_methods_chain_and_replace_as_documented() -> None:
    """with_params replaces all parameters, with_input adds one, set_label makes text, and each returns the task."""
    task = new_task("t", params={"a": 1})
    assert task.with_params(b=2, c="x").with_input("data", "s3://bucket/d.csv").with_input("more", Path("m")).set_label("n", 1.5) is task
    assert task.spec.parameters == {"b": 2, "c": "x"}
    assert task.spec.inputs == {"data": "s3://bucket/d.csv", "more": "m"}
    assert task.metadata.labels == {"n": "1.5"}


class Strategy(Enum):
    """An enumeration, as some keep strategies in."""

    GRID = "grid"


def test_hyper_parameters_replace_the_options() -> None:
    """Each call of with_hyper_params or with_param_file says all options anew, and the spec shows them under both names."""
    task = new_task("g").with_hyper_params({"p1": [2, 4], "p2": [1]}, selector="max.accuracy", strategy=Strategy.GRID, parallel_runs=2)  # type: ignore[arg-type]
    assert task.spec.hyperparams == {"p1": [2, 4], "p2": [1]}
    assert (task.spec.strategy, task.spec.selector, task.spec.hyper_param_options.parallel_runs) == ("grid", "max.accuracy", 2)
    task.with_param_file("s3://bucket/params.json", selector="min.loss", stop_condition="loss < 0.1")
    assert task.spec.hyper_param_options.to_dict() == {
        "param_file": "s3://bucket/params.json",
        "selector": "min.loss",
        "stop_condition": "loss < 0.1",
    }
    assert task.spec.param_file == "s3://bucket/params.json"
    task.spec.selector = "max.f1"
    assert task.spec.hyper_param_options.selector == "max.f1"
    assert RunSpec(selector="max.x", strategy="list", param_file="p.csv").hyper_param_options.to_dict() == {
        "param_file": "p.csv",
        "strategy": "list",
        "selector": "max.x",
    }


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"strategy": "gird"}, "strategy"),
        ({"max_iteration": 3}, "max_iteration"),
        ({"max_iterations": 3}, "max_iterations"),
        ({"max_iterations": 0, "strategy": "random"}, "max_iterations"),
        ({"parallel_runs": -1}, "parallel_runs"),
        ({"parallel_runs": "four"}, "parallel_runs"),
        ({"max_errors": True}, "max_errors"),
        ({"teardown_dask": "yes"}, "teardown_dask"),
        ({"selector": 5}, "selector"),
        ({"dask_cluster_uri": 5}, "dask_cluster_uri"),
    ],
)
def test_a_bad_option_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    """An option that does not exist or makes no sense is named at once, not dropped."""
    with pytest.raises(InvalidRequest) as refused:
        new_task("t").with_hyper_params({"p": [1]}, **options)
    assert refused.value.field == field
    assert field in str(refused.value)


@pytest.mark.parametrize("options", [{"selector": "best.accuracy"}, {"selector": "max."}, {"stop_condition": "accuracy >"}])
def test_a_bad_expression_is_pointed_into(options: dict[str, Any]) -> None:
    """A selector or stop condition that does not parse is refused with the column at fault."""
    with pytest.raises(InvalidExpression) as refused:
        new_task("t").with_param_file("p.csv", **options)
    assert refused.value.detail["column"] >= 1


@pytest.mark.parametrize(
    "source", [("file", "file.txt"), ("vault", ["s1"]), ("vault", []), ("kubernetes", ["s1"]), ("azure_vault", {"name": "v"})]
)
def test_sources_of_secrets_are_kept_as_given(source: tuple[str, Any]) -> None:
    """Sources are read when the run begins, so with_secrets keeps them as they are, and touches nothing."""
    task = new_task("t", secrets=[{"kind": source[0], "source": source[1]}]).with_secrets(*source)
    assert task.spec.secret_sources == [{"kind": source[0], "source": source[1]}] * 2


@pytest.mark.parametrize("secrets", ["token", [CANARY], f"{CANARY}=1", [{"kind": "magic", "source": CANARY}], [7]])
def test_a_bad_source_of_secrets_is_refused_without_its_text(secrets: Any) -> None:
    """What is no source may be a secret itself, so that the error does not repeat it."""
    with pytest.raises(InvalidRequest) as refused:
        new_task("t", secrets=secrets)
    assert CANARY not in str(refused.value)


def test_inputs_may_carry_types() -> None:
    """The types behind the inputs' names move into the hints; names stay in order, and types said before stay."""
    spec = RunSpec(inputs={"data : pandas.DataFrame": "d.csv", "text": "t.txt"}, inputs_type_hints={"text": "str"})
    spec.extract_type_hints_from_inputs()
    assert spec.inputs == {"data": "d.csv", "text": "t.txt"}
    assert spec.inputs_type_hints == {"data": "pandas.DataFrame", "text": "str"}
    spec.extract_type_hints_from_inputs()
    assert spec.inputs_type_hints == {"data": "pandas.DataFrame", "text": "str"}


@pytest.mark.parametrize("key", ["a:b:c", ":x", "a:", " : "])
def test_a_malformed_input_is_refused(key: str) -> None:
    """An input's key that is neither a name nor a name with a type is an error that shows it, and nothing has moved."""
    spec = RunSpec(inputs={"ok : str": "x", key: "d.csv"})
    with pytest.raises(InvalidRequest, match="must be a name, or 'name : type'"):
        spec.extract_type_hints_from_inputs()
    assert list(spec.inputs) == ["ok : str", key]


def test_an_output_with_a_path_is_refused() -> None:
    """A dict of outputs means its keys; a path in it would be ignored, so that it is an error that says where to say it."""
    assert new_task(outputs={"model": "", "table": None}).spec.outputs == ["model", "table"]
    with pytest.raises(InvalidRequest, match=r"output 'model' is given a path.*log_artifact\('model', target_path"):
        new_task(outputs={"model": "s3://bucket/model"})


def test_expected_outputs_are_those_said_and_those_returned() -> None:
    """Outputs are the given keys and then the keys of the log hints, each once, in order."""
    spec = RunSpec(outputs=["b", "a"], returns=["a", "m: model", "*parts", {"key": "d", "artifact_type": "dataset"}])
    assert spec.outputs == ["b", "a", "m", "parts", "d"]
    assert RunSpec.join_outputs_and_returns([], []) == []
    spec.outputs = ["z"]
    spec.returns = None  # type: ignore[assignment]
    assert spec.outputs == ["z"]
    with pytest.raises(InvalidRequest, match='a dict needs "key"'):
        RunSpec(returns=[{"artifact_type": "dataset"}])


@pytest.mark.parametrize(
    ("hint", "meant"),
    [
        ("x", LogHint(key="x")),
        (" x ", LogHint(key="x")),
        ("x : dataset", LogHint(key="x", artifact_type="dataset")),
        ("x:Result", LogHint(key="x", artifact_type="result")),
        (
            "x : file[a=1, b='p:q', c=[1, {'k': None}]]",
            LogHint(key="x", artifact_type="file", extra={"a": 1, "b": "p:q", "c": [1, {"k": None}]}),
        ),
        ("*x", LogHint(key="x", unpack=1)),
        ("2*x : plot[]", LogHint(key="x", artifact_type="plot", unpack=2)),
        ({"key": "x"}, LogHint(key="x")),
        (
            {"key": "*x", "artifact_type": "dataset", "stats": True},
            LogHint(key="x", artifact_type="dataset", unpack=1, extra={"stats": True}),
        ),
    ],
)
def test_log_hints_mean_what_they_say(hint: Any, meant: LogHint) -> None:
    """Key, type, depth and arguments of a hint are read as written."""
    assert parse_hint(hint) == meant


@pytest.mark.parametrize(
    "hint",
    [
        "", ":", "x:", ":dataset", "x:y:z", "*", "x*", "x : file[a]", "x : file[a=b]", "x : file[a=__import__('os')]", "x : file[1]",
        "x : file[**{}]", "x : file[a=1", "x : a b", "x[a=1]", "x : file[a=1](b=2)", "x : file[" + "(" * 500 + "]", None, 7, ["x"], {},
        {"key": 1}, {"key": ""}, {"key": "x", "artifact_type": 3}, {"key": "x", "unpack": -1}, {"key": "x", 3: 4},
    ],
)  # fmt: skip
def test_a_malformed_log_hint_is_refused(hint: Any) -> None:
    """A hint that makes no sense is an error about `returns`, and code in it is not run."""
    with pytest.raises(InvalidRequest) as refused:
        parse_hint(hint)
    assert refused.value.field == "returns"


def test_a_notification_has_the_documented_defaults() -> None:
    """A notification that says nothing tells Slack of completed runs."""
    plain = Notification()
    assert (plain.kind, plain.severity, plain.when, plain.params, plain.secret_params) == ("slack", "info", ["completed"], {}, {})
    assert Notification("mail", when="error, aborted").when == ["error", "aborted"]
    assert Notification.from_dict(Notification("webhook", "n", params={"url": "http://x"}).to_dict()).params == {"url": "http://x"}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "no kind"}, "kind"), ({"severity": "loud"}, "severity"), ({"status": "lost"}, "status"), ({"when": [""]}, "when"),
        ({"when": 5}, "when"), ({"params": "url"}, "params"), ({"secret_params": ["x"]}, "secret_params"), ({"name": 5}, "name"),
    ],
)  # fmt: skip
def test_a_bad_notification_is_refused(wrong: dict[str, Any], field: str) -> None:
    """A notification that could never be sent is refused when it is made."""
    with pytest.raises(InvalidRequest) as refused:
        Notification(**wrong)
    assert refused.value.field == field


def test_names_of_notifications_are_unique() -> None:
    """Two notifications of one name are refused by the check, and by a spec that is given them."""
    one, two = Notification("slack", "n"), Notification("mail", "n")
    Notification.validate_notification_uniqueness([one, Notification("mail", "m")])
    with pytest.raises(InvalidRequest, match="two notifications have the name 'n'"):
        Notification.validate_notification_uniqueness([one, two])
    with pytest.raises(InvalidRequest, match="two notifications have the name 'n'"):
        RunSpec(notifications=[one, two.to_dict()])  # type: ignore[list-item]
    with pytest.raises(InvalidRequest, match="two notifications have the name 'slack'"):
        RunSpec(notifications=[Notification(), Notification()])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"parameters": [1]}, "parameters"), ({"inputs": "d.csv"}, "inputs"), ({"outputs": "model"}, "outputs"),
        ({"returns": "x"}, "returns"),
        ({"hyperparams": 5}, "hyperparams"), ({"state_thresholds": "1h"}, "state_thresholds"), ({"input_path": 5}, "input_path"),
        ({"hyper_param_options": "grid"}, "HyperParamOptions"), ({"notifications": "slack"}, "notifications"),
    ],
)  # fmt: skip
def test_wrong_types_are_refused_by_field(wrong: dict[str, Any], field: str) -> None:
    """A value of the wrong type is an error that names its field, when it is said and not when the run fails."""
    with pytest.raises(InvalidRequest) as refused:
        RunSpec(**wrong)
    assert refused.value.field == field


def test_parts_of_a_task_may_be_given_as_dicts() -> None:
    """A spec, metadata or status given as a dict becomes the object; anything else is refused."""
    task = RunTemplate(spec={"parameters": {"a": 1}, "in_path": "/i"}, metadata={"name": "n"})  # type: ignore[arg-type]
    assert (task.spec.parameters, task.spec.input_path, task.metadata.name) == ({"a": 1}, "/i", "n")
    with pytest.raises(InvalidRequest, match="spec must be a RunSpec or a dict, not str"):
        task.spec = "x"  # type: ignore[assignment]


def test_data_sources_and_targets_travel_as_plain_values() -> None:
    """Descriptions of data keep what they are given, with moments as text, and what became of a target."""
    source = DataSource("s", Path("/d"), {"a": 1}, "k", "t", "0 * * * *", datetime(2024, 1, 1, tzinfo=UTC), "2024-02-01")  # type: ignore[arg-type]
    assert source.to_dict()["start_time"] == "2024-01-01T00:00:00+00:00"
    assert DataSource.from_dict(source.to_dict()) == source
    base = DataTargetBase("parquet", "t", "/p", partition_cols=["a"], schema={"a": "int"}, storage_options={"key": CANARY}, max_events=5)
    assert DataTargetBase.from_dict(base.to_dict(secrets=True)) == base
    target = DataTarget("csv", "t", "/p", online=False)
    target.status, target.producer = "ready", FeatureSetProducer("run", "train", "p/u", "me", {"src": "s3://x"})
    again = DataTarget.from_dict(target.to_dict())
    assert again == target
    assert again.producer == target.producer
    with pytest.raises(InvalidRequest, match="start_time must be a datetime"):
        DataSource(start_time=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "run_id", "single", "templated", "absolute"),
    [
        ("/a/b", None, False, "/a/b", "/a/b"),
        ("/a/b", "id1", False, "/a/b/{run_id}/", "/a/b/id1/"),
        ("/a/b/", "id1", False, "/a/b/{run_id}/", "/a/b/id1/"),
        ("/a/b.csv", "id1", True, "/a/{run_id}/b.csv", "/a/id1/b.csv"),
        ("b.csv", "id1", True, "{run_id}/b.csv", "id1/b.csv"),
        ("s3://bucket/b.csv", "id1", True, "s3://bucket/{run_id}/b.csv", "s3://bucket/id1/b.csv"),
        ("/a/{run_id}/b", "id1", False, "/a/{run_id}/b", "/a/id1/b"),
        ("/a/{run_id}/b.csv", "id1", True, "/a/{run_id}/b.csv", "/a/id1/b.csv"),
        ("/{project}/b", "id1", False, "/{project}/b/{run_id}/", "/{project}/b/id1/"),
    ],
)
def test_a_target_path_has_a_place_for_the_run(base: str, run_id: str | None, single: bool, templated: str, absolute: str) -> None:
    """The run's id stands where the path says, or before the file, or at the end; other braces are left alone."""
    path = TargetPathObject(base, run_id, single)
    assert (path.get_templated_path(), path.get_absolute_path()) == (templated, absolute)
    assert path.get_absolute_path("p") == absolute.replace("{project}", "p")


@pytest.mark.parametrize(
    ("base", "run_id", "single"), [("/a/{run_id}", None, False), (None, "id1", False), ("", None, False), ("/a/", "id1", True)]
)
def test_a_target_path_that_cannot_be_is_refused(base: str | None, run_id: str | None, single: bool) -> None:
    """No path, no id for the place that waits for one, no name for a file: errors that say so."""
    with pytest.raises(InvalidRequest):
        TargetPathObject(base, run_id, single)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: new_task(secrets=5), "secrets"),
        (lambda: RunMetadata(iteration="first"), "step"),  # type: ignore[arg-type]
        (lambda: HyperParamOptions(selector=object()).to_json(), "HyperParamOptions"),  # type: ignore[arg-type]
        (lambda: new_task("half \ud800 pair").to_json(), "RunTemplate"),
    ],
)
def test_values_that_no_description_can_hold(make: Any, field: str) -> None:
    """What cannot be a source of secrets, an iteration, or JSON, is refused by name."""
    with pytest.raises(InvalidRequest) as refused:
        make()
    assert refused.value.field == field
