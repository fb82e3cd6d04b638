"""A model: its file or directory, with what is known of how it was made, and what it takes and gives.

The files are those of the model, at the paths they have in its directory, and beside them what `extra_data` brings as bytes. One file
alone is an artifact of one file, whose bytes are the model.
"""

import os
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from inspect import isawaitable
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import Any

from tracker.artifacts.artifact import Artifact, Described
from tracker.artifacts.parts import Part, file_part, parts_of
from tracker.dataitem.urls import path_of, shown
from tracker.errors import InvalidRequest
from tracker.names import check_artifact_key
from tracker.values import plain, plain_dict, text_of


class ModelArtifact(Artifact):
    """A model. `model_file` is its file (or directory) in `model_dir`, or the name for `body`; alone, `model_dir` is kept whole."""

    kind = "model"
    family = "models"
    needs = "a body, a model_file or a model_dir"
    framework = Described[str](str)
    algorithm = Described[str](str)
    metrics = Described[dict[str, Any]](dict)
    parameters = Described[dict[str, Any]](dict)
    inputs = Described[list[dict[str, Any]]](list)
    outputs = Described[list[dict[str, Any]]](list)
    feature_vector = Described[str](str)
    feature_weights = Described[list[Any]](list)
    feature_stats = Described[dict[str, Any]](dict)
    extra_data = Described[dict[str, str]](dict)
    model_file = Described[str](str)  # its path among the files

    def __init__(
        self,
        key: str = "",
        body: Any = None,
        *,
        model_file: Any = None,
        model_dir: Any = None,
        framework: str = "",
        algorithm: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        feature_vector: str | None = None,
        feature_weights: Sequence[Any] | None = None,
        extra_data: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(key, **kwargs)
        self.source: Any = None
        self.directory: Path | None = None
        self.extras: dict[str, Any] = {}
        self.take(
            body,
            model_file=model_file,
            model_dir=model_dir,
            framework=framework,
            algorithm=algorithm,
            metrics=metrics,
            parameters=parameters,
            inputs=inputs,
            outputs=outputs,
            feature_vector=feature_vector,
            feature_weights=feature_weights,
            extra_data=extra_data,
        )

    def take(
        self,
        body: Any = None,
        *,
        model_file: Any = None,
        model_dir: Any = None,
        feature_weights: Sequence[Any] | None = None,
        extra_data: Mapping[str, Any] | None = None,
        **said: Any,
    ) -> None:
        """Set what is said of the model, where it is not None. Raises InvalidRequest."""
        self.body = body if body is not None else self.body
        self.source = model_file if model_file is not None else self.source
        if not isinstance(model_dir, str | os.PathLike | NoneType):
            raise InvalidRequest(f"model_dir is the path of a directory, not {type(model_dir).__name__}", field="model_dir")
        self.directory = Path(model_dir) if model_dir is not None else self.directory
        if extra_data is not None and not isinstance(extra_data, Mapping):
            raise InvalidRequest(f"extra_data must be a dict, not {type(extra_data).__name__}", field="extra_data")
        self.extras.update(extra_data or {})
        for name in ("framework", "algorithm", "feature_vector"):
            if said.get(name):
                self.spec[name] = text_of(said[name])
        for name in ("metrics", "parameters"):
            if said.get(name) is not None:
                self.spec[name] = plain_dict(said[name], name)
        for name in ("inputs", "outputs"):
            if said.get(name) is not None:
                self.spec[name] = [_feature(item, name) for item in _many(said[name], name)]
        if feature_weights is not None:
            self.feature_weights = plain(list(_many(feature_weights, "feature_weights")))
        if self.framework:
            self.labels.setdefault("framework", self.framework)

    def has_content(self) -> bool:
        """See Artifact."""
        return self.source is not None or self.directory is not None or bool(self.extras) or super().has_content()

    def where(self) -> Path | None:
        """See Artifact."""
        if self.body is not None or (self.source is None and self.directory is None):
            return None
        return self.directory / (self.source or "") if self.directory is not None else Path(self.source)

    def infer(self, training_set: Any, label_column: str | Sequence[str] | None) -> None:
        """Say from a frame what the model takes and gives, and what the features are like. Raises InvalidRequest."""
        if self.inputs or self.outputs:
            raise InvalidRequest("give training_set, or inputs and outputs: not both", field="training_set")
        from tracker.artifacts.frames import Frame, named
        from tracker.artifacts.statistics import statistics

        frame = Frame(training_set, self.key)
        labels = named(frame.columns, label_column, "label_column", self.key)
        types = {field["name"]: field["type"] for field in frame.schema()["fields"]}
        features = [{"name": name, "value_type": types.get(name, "any")} for name in frame.columns]
        self.inputs = [feature for feature in features if feature["name"] not in labels]
        self.outputs = [feature for feature in features if feature["name"] in labels]
        self.feature_stats = statistics(frame)

    def parts(self) -> list[Part] | None:
        """See Artifact."""
        found = self._of_model()
        if not found:
            if self.extras:
                raise InvalidRequest(f"the extra_data of model {self.key!r} need the model's file, directory or body", field="extra_data")
            return None
        links = dict(self.extra_data)
        if self.body is not None and not self.extras:  # another model with the extras it had
            own = {part.path for part in found}
            found += [Part(path=file.path, known=file) for file in self.earlier if file.path in links.values() and file.path not in own]
        for name, value in self.extras.items():
            self._extra(str(name), value, found, links)
        if links:
            self.extra_data = links
        return found

    def _of_model(self) -> list[Part]:
        """The model's own files; `model_file` and `path` are set to what they are called."""
        source = self.source
        if source is not None and "://" in str(source):
            if self.body is not None or self.directory is not None:
                raise InvalidRequest("a model at a URL has neither body nor model_dir here", field="model_file")
            self.place = self.place or str(source)
            self.model_file = self.path = path_of(str(source)).name
            return []
        if self.body is not None:
            name = PurePosixPath(str(source)).name if source is not None else self.path or self.key.rpartition("/")[2]
            self.model_file = self.path = name
            return [Part(path=name, body=self.body)]
        if source is None and self.directory is None:
            return []
        if self.directory is not None and source is not None and ".." in PurePosixPath(str(source)).parts:
            raise InvalidRequest(
                f"model_file {str(source)!r} leads out of model_dir {self.directory}: name one below it", field="model_file"
            )
        home = self.directory / source if self.directory is not None and source is not None else Path(source or self.directory or "")
        if source is not None and self.directory is not None and not home.exists() and Path(source).exists():
            home = Path(source)
        self.model_file = PurePosixPath(str(source)).name if source is not None else ""
        if home.is_dir():
            prefix = f"{self.model_file}/" if source is not None and self.extras else ""
            return [Part(path=prefix + part.path, body=part.body, source=part.source) for part in parts_of(home)]
        self.path = home.name
        return [file_part(home)]

    def _extra(self, name: str, value: Any, found: list[Part], links: dict[str, str]) -> None:
        if isinstance(value, Artifact):
            if not value.uri:
                raise InvalidRequest(f"extra_data {name!r} is an artifact that was not logged", field="extra_data")
            links[name] = value.uri
        elif isinstance(value, (bytes, bytearray, memoryview)):
            check_artifact_key(name, "extra_data")
            found.append(Part(path=name, body=value))
            links[name] = name
        elif isinstance(value, (str, Path)):
            links[name] = self._linked(name, value, found)
        else:
            raise InvalidRequest(
                f"extra_data {name!r} is a path, a URL, bytes or an artifact, not {type(value).__name__}", field="extra_data"
            )

    def _linked(self, name: str, value: str | Path, found: list[Part]) -> str:
        text = str(value)
        if "://" in text or Path(text).is_absolute():
            return shown(text)
        check_artifact_key(text, "extra_data")
        if self.directory is None or not (self.directory / text).exists():
            where = f"in {self.directory}" if self.directory is not None else "without a model_dir"
            raise InvalidRequest(f"extra_data {name!r}: there is no {text} {where}", field="extra_data")
        if text not in {part.path for part in found}:
            found.append(Part(path=text, source=self.directory / text, root=self.directory))
        return text

    def get_body(self) -> Any:
        """See Artifact: the bytes of the model's file, also when there are others beside it."""
        if self.body is None and any(file.path == self.model_file for file in self.files):
            found = self.to_dataitem().file(self.model_file)
            return _read(found) if isawaitable(found) else found.get()
        return super().get_body()

    def let_go(self) -> None:
        """See Artifact."""
        super().let_go()
        self.source = self.directory = None
        self.extras = {}


async def _read(found: Awaitable[Any]) -> Any:
    return await (await found).get()


def _many(given: Any, field: str) -> Iterable[Any]:
    """What can be gone through, and is no text."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InvalidRequest(f"{field} must be a list, not {type(given).__name__}", field=field)
    return given


def _feature(item: Any, field: str) -> dict[str, Any]:
    """A feature as plain values: from its name, a dict, or an object with to_dict."""
    if isinstance(item, str):
        return {"name": item}
    if callable(told := getattr(item, "to_dict", None)):
        item = told()
    if not isinstance(item, Mapping) or "name" not in item:
        raise InvalidRequest(f"{field} are features, each with a name, not {item!r:.100}", field=field)
    return plain_dict(item, field)
