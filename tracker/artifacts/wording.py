"""From the arguments of `log_artifact`, `log_dataset` and `log_model` to an artifact object: what is said goes over what the object says.

An object that a user made is filled in and handed back; a key makes a new one. A word that no argument and no attribute has is a mistake
in the call, as in any call of Python: a TypeError.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tracker.artifacts.artifact import Artifact
from tracker.artifacts.dataset import DatasetArtifact
from tracker.artifacts.model import ModelArtifact
from tracker.errors import InvalidRequest
from tracker.values import plain_dict, text_of, texts_of

_WORDS = ("tag", "viewer", "format", "kind", "path", "content_type")


def artifact_of(item: Any, body: Any, local_path: Any, said: Mapping[str, Any]) -> Artifact:
    """The artifact that `log_artifact` is about. Raises InvalidRequest; TypeError for unknown words."""
    if not isinstance(item, (str, Artifact)):
        raise InvalidRequest(f"log_artifact takes a key or an artifact, not {type(item).__name__}", field="item")
    artifact = item if isinstance(item, Artifact) else Artifact(item)
    if body is not None:
        artifact.body = body
    if local_path is not None:
        artifact.local_path = local_path
    _say(artifact, said, "log_artifact")
    return artifact


def dataset_of(key: Any, df: Any, said: Mapping[str, Any]) -> DatasetArtifact:
    """The dataset that `log_dataset` is about."""
    if not isinstance(key, (str, DatasetArtifact)):
        raise InvalidRequest(f"log_dataset takes a key or a DatasetArtifact, not {type(key).__name__}", field="key")
    left = dict(said)
    mine = {name: left.pop(name) for name in ("preview", "stats", "label_column", "extra_data", "local_path")}
    artifact = key if isinstance(key, DatasetArtifact) else DatasetArtifact(key)
    artifact.take(df, **mine)
    _say(artifact, left, "log_dataset")
    return artifact


def model_of(key: Any, body: Any, said: Mapping[str, Any], training_set: Any, label_column: str | Sequence[str] | None) -> ModelArtifact:
    """The model that `log_model` is about."""
    if not isinstance(key, (str, ModelArtifact)):
        raise InvalidRequest(f"log_model takes a key or a ModelArtifact, not {type(key).__name__}", field="key")
    left = dict(said)
    names = ("framework", "model_dir", "model_file", "algorithm", "metrics", "parameters", "inputs", "outputs")
    mine = {name: left.pop(name) for name in (*names, "feature_vector", "feature_weights", "extra_data")}
    artifact = key if isinstance(key, ModelArtifact) else ModelArtifact(key)
    artifact.take(body, **mine)
    if training_set is not None:
        artifact.infer(training_set, label_column)
    elif label_column:
        raise InvalidRequest("label_column names columns of the training_set: give it, too", field="label_column")
    _say(artifact, left, "log_model")
    return artifact


def _say(artifact: Artifact, said: Mapping[str, Any], call: str) -> None:
    said = dict(said)
    artifact.labels = {**artifact.labels, **texts_of(said.pop("labels", None))}
    if (spec := said.pop("spec", None)) is not None:
        artifact.spec.update(plain_dict(spec, "spec"))
    if (db_key := said.pop("db_key", None)) is not None:
        artifact.db_key = db_key
    if place := said.pop("target_path", ""):
        artifact.place = str(place)
    for name, value in said.items():
        if name not in _WORDS:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")
        if value:
            setattr(artifact, name, text_of(value))
