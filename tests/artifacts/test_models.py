"""Models: their files, what they were made of, what they take and give."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import polars as pl
import pytest

import tracker
from tests.artifacts.conftest import blob, versions
from tracker.errors import InvalidRequest

TRAINING = pd.DataFrame({"x": [1.0, 2.0, 3.0], "n": [1, 2, 3], "label": ["a", "b", "a"]})


def test_a_model_with_all_that_is_known_of_it(run: tracker.Context) -> None:
    """Bytes, metrics, parameters, weights, features: kept, shown, and read back from the project."""
    run.log_result("accuracy", 0.9)
    body = pickle.dumps({"coefficients": [1, 2]})
    logged = run.log_model(
        "model",
        body=body,
        model_file="model.pkl",
        framework="sklearn",
        algorithm="logistic",
        tag="best",
        metrics=run.results,
        parameters={"c": 1},
        training_set=TRAINING,
        label_column="label",
        feature_vector="store://feature-vectors/p/v",
        feature_weights=[0.5, 0.5],
        labels={"app": "fraud"},
    )
    assert logged.get_body() == body
    found = run.get_store_resource("store://models/p/model:best")
    assert isinstance(found, tracker.ModelArtifact)
    assert (found.framework, found.algorithm, found.metrics, found.parameters) == ("sklearn", "logistic", {"accuracy": 0.9}, {"c": 1})
    assert [feature["name"] for feature in found.inputs] == ["x", "n"]
    assert found.outputs == [{"name": "label", "value_type": "string"}]
    assert found.feature_stats["x"]["mean"] == 2.0
    assert (found.feature_vector, found.feature_weights) == ("store://feature-vectors/p/v", [0.5, 0.5])
    assert found.labels == {"framework": "sklearn", "app": "fraud"}
    assert (found.model_file, found.path, found.kind) == ("model.pkl", "model.pkl", "model")
    assert found.get_body() == body


def test_a_model_with_extras_has_several_files(run: tracker.Context, tmp_path: Path) -> None:
    """Bytes and files of the directory are kept beside the model; paths, URLs and artifacts are pointed to."""
    home = tmp_path / "models"
    home.mkdir()
    (home / "model.bin").write_bytes(b"weights")
    (home / "words.txt").write_text("a b c")
    (home / "unrelated.txt").write_text("no")
    chart = run.log_artifact("chart", body="x")
    extra = {"page": b"<b>", "words": "words.txt", "far": "s3://b/k", "here": "/etc/hostname", "chart": chart}
    logged = run.log_model("model", model_dir=home, model_file="model.bin", extra_data=extra)
    assert {file.path: blob(run, file.digest) for file in logged.files} == {"model.bin": b"weights", "page": b"<b>", "words.txt": b"a b c"}
    assert logged.extra_data == {"page": "page", "words": "words.txt", "far": "s3://b/k", "here": "/etc/hostname", "chart": chart.uri}


def test_another_body_keeps_what_lay_beside_it(run: tracker.Context) -> None:
    """An update of the model's bytes is a version with the same extras; get_body is the model, not its directory."""
    run.log_model("m", b"one", model_file="m.bin", extra_data={"page": b"<b>"})
    model = run.get_cached_artifact("m")
    assert model.get_body() == b"one"
    model.body = b"two"
    run.update_artifact(model)
    assert [{file["path"] for file in row["files"]} for row in versions(run, "m")] == [{"m.bin", "page"}] * 2
    assert run.get_cached_artifact("m").get_body() == b"two"
    assert model.to_dataitem().file("page").get() == b"<b>"


def test_a_model_object_can_be_logged(run: tracker.Context) -> None:
    """An object made by hand says the same, through either call."""
    for call in (run.log_artifact, run.log_model):
        model = tracker.ModelArtifact("m", b"weights", model_file="m.bin", framework="mine", metrics={"loss": 1.0})
        assert call(model) is model
        assert (model.labels, model.metrics, model.path, model.size) == ({"framework": "mine"}, {"loss": 1.0}, "m.bin", 7)
    first, second = versions(run, "m")
    assert (first["spec"], first["digest"]) == (second["spec"], second["digest"])


def test_a_whole_directory_is_a_model(run: tracker.Context, tmp_path: Path) -> None:
    """model_dir alone, or a model_file that is a directory: all its files are kept."""
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "graph.pb").write_bytes(b"graph")
    (tmp_path / "saved" / "variables" / "0").write_bytes(b"0")
    whole = run.log_model("whole", model_dir=tmp_path / "saved")
    named = run.log_model("named", model_dir=tmp_path, model_file="saved")
    assert [file.path for file in whole.files] == ["graph.pb", "variables/0"]
    assert [file.path for file in named.files] == ["graph.pb", "variables/0"]
    assert named.digest == whole.digest


def test_models_elsewhere_are_recorded(run: tracker.Context, tmp_path: Path) -> None:
    """A URL is the place; without upload a file is only pointed to."""
    far = run.log_model("far", model_file="https://example.org/m/model.onnx?x=1")
    assert (far.target_path, far.path, far.digest) == ("https://example.org/m/model.onnx?x=1", "model.onnx", "")
    (tmp_path / "m.bin").write_bytes(b"m")
    near = run.log_model("near", model_file=tmp_path / "m.bin", upload=False)
    assert (near.target_path, near.digest) == (str(tmp_path / "m.bin"), "")
    placed = run.log_model("placed", model_file=tmp_path / "m.bin", artifact_path=str(tmp_path / "out"))
    assert Path(placed.target_path).read_bytes() == b"m"


def test_features_as_they_come(run: tracker.Context) -> None:
    """Names, dicts and objects with to_dict are features; several label columns are outputs; any library's frame will do."""
    feature = SimpleNamespace(to_dict=lambda: {"name": "c", "value_type": "int"})
    logged = run.log_model("m", b"x", inputs=["a", {"name": "b"}, feature], outputs=["y"])
    assert (logged.inputs, logged.outputs) == ([{"name": "a"}, {"name": "b"}, {"name": "c", "value_type": "int"}], [{"name": "y"}])
    two = run.log_model("two", b"x", training_set=pl.DataFrame(TRAINING.to_dict("list")), label_column=["n", "label"])
    assert [feature["name"] for feature in two.outputs] == ["n", "label"]


def test_a_model_logged_again_is_another_version(run: tracker.Context) -> None:
    """The old one stays as it was."""
    for number in (1, 2):
        run.log_model("m", b"%d" % number, metrics={"loss": 1 / number})
    assert [(row["version"], row["spec"]["metrics"]) for row in versions(run, "m")] == [(1, {"loss": 1.0}), (2, {"loss": 0.5})]


def test_mistakes_are_named(run: tracker.Context, tmp_path: Path) -> None:
    """What is missing or contradicts itself is refused by name, and nothing is recorded."""
    for message, call in {
        "needs the content": lambda: run.log_model("m"),
        "cannot be read.*no-such.pkl": lambda: run.log_model("m", model_file=tmp_path / "no-such.pkl"),
        "not both": lambda: run.log_model("m", b"x", inputs=["a"], training_set=TRAINING),
        "no column 'y'": lambda: run.log_model("m", b"x", training_set=TRAINING, label_column="y"),
        "training_set: give it": lambda: run.log_model("m", b"x", label_column="y"),
        "there is no words.txt without a model_dir": lambda: run.log_model("m", b"x", extra_data={"words": "words.txt"}),
        "'.' or '..'": lambda: run.log_model("m", b"x", model_dir=tmp_path, extra_data={"words": "../words.txt"}),
        "each with a name": lambda: run.log_model("m", b"x", inputs=[{"type": "int"}]),
        "inputs must be a list": lambda: run.log_model("m", b"x", inputs=5),
        "outputs must be a list": lambda: run.log_model("m", b"x", outputs="y"),
        "feature_weights must be a list": lambda: run.log_model("m", b"x", feature_weights=5),
        "model_dir is the path of a directory, not int": lambda: run.log_model("m", model_dir=5),  # type: ignore[arg-type]
        "metrics must be a dict": lambda: run.log_model("m", b"x", metrics=[1]),
        "was not logged": lambda: run.log_model("m", b"x", extra_data={"a": tracker.Artifact("a", body="x")}),
        "two files of 'm'": lambda: run.log_model("m", b"x", model_file="a", extra_data={"a": b"y"}),
        "has no files": lambda: run.log_model("m", model_dir=_empty(tmp_path)),
    }.items():
        with pytest.raises(InvalidRequest, match=message):
            call()
    assert run.artifacts == {}


def _empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"
