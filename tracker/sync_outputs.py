"""The artifacts of a context, for code that waits."""

import os
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from tracker import context as aio
from tracker.artifacts.artifact import Artifact
from tracker.artifacts.dataset import DatasetArtifact
from tracker.artifacts.model import ModelArtifact
from tracker.connection import PROCESS
from tracker.dataitem.item import DataItem

T = TypeVar("T")
A = TypeVar("A", bound=Artifact)


def wait(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that is run in the portal's loop."""
    return PROCESS.portal.submit(work).result()


class Outputs:
    """The part of a context that logs artifacts."""

    def __init__(self, context: aio.Context) -> None:
        self._context = context

    def log_artifact(
        self,
        item: Any,
        body: Any = None,
        local_path: str | os.PathLike[str] | None = None,
        artifact_path: str | None = None,
        tag: str = "",
        viewer: str | None = None,
        target_path: str = "",
        src_path: str | os.PathLike[str] | None = None,
        upload: bool | None = None,
        labels: Mapping[str, str] | None = None,
        format: str | None = None,
        db_key: str | bool | None = None,
        **kwargs: Any,
    ) -> Artifact:
        """Keep a new version of an artifact: `body` (text, bytes, an open binary file), or the file or directory at `local_path`.

        `item` is its key, or an artifact object of any class. `tag` names the version. `artifact_path` is a place of your own that gets the
        bytes, too ("+/x": below `out_path`; {{run.uid}} and {{project}} are filled in). `target_path`, an absolute path or URL, is recorded
        as the place of the bytes, which are put there only with `upload=True`; `upload=False` only records where `local_path` is. In the
        project it is registered as `db_key` (None: its key; False: not at all). Raises InvalidRequest, Conflict.
        """
        work = self._context.log_artifact(
            item, body, local_path, artifact_path, tag, viewer, target_path, src_path, upload, labels, format, db_key, **kwargs
        )
        return self._opened(wait(work))

    def log_dataset(
        self,
        key: str | DatasetArtifact,
        df: Any,
        tag: str = "",
        local_path: str | os.PathLike[str] | None = None,
        artifact_path: str | None = None,
        upload: bool | None = True,
        labels: Mapping[str, str] | None = None,
        format: str = "",
        preview: int | None = None,
        stats: bool | None = None,
        db_key: str | bool | None = None,
        target_path: str = "",
        extra_data: Mapping[str, Any] | None = None,
        label_column: str | None = None,
        **kwargs: Any,
    ) -> DatasetArtifact:
        """Keep a frame (pandas, polars, pyarrow, whatever narwhals takes) as a new version of a dataset, in parquet or csv.

        `format` is parquet when neither it nor the suffix of `local_path` or `target_path` says otherwise. A file at `local_path`, when
        there is one, is kept instead of `df`. `preview` rows (20) travel with it, and `stats` of its columns (None: when it is small).
        `extra_data` are links: paths, URLs, artifacts, or bytes, which are kept. Without `upload` the frame is only described. The rest
        is as in `log_artifact`. Raises InvalidRequest for what is no frame, cannot be written, or has no `label_column`.
        """
        work = self._context.log_dataset(
            key,
            df,
            tag,
            local_path,
            artifact_path,
            upload,
            labels,
            format,
            preview,
            stats,
            db_key,
            target_path,
            extra_data,
            label_column,
            **kwargs,
        )
        return self._opened(wait(work))

    def log_model(
        self,
        key: str | ModelArtifact,
        body: Any = None,
        framework: str = "",
        tag: str = "",
        model_dir: str | os.PathLike[str] | None = None,
        model_file: str | os.PathLike[str] | None = None,
        algorithm: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        artifact_path: str | None = None,
        upload: bool | None = True,
        labels: Mapping[str, str] | None = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        feature_vector: str | None = None,
        feature_weights: Sequence[Any] | None = None,
        training_set: Any = None,
        label_column: str | Sequence[str] | None = None,
        extra_data: Mapping[str, Any] | None = None,
        db_key: str | bool | None = None,
        **kwargs: Any,
    ) -> ModelArtifact:
        """Keep a new version of a model: `body` under the name `model_file`, that file (of `model_dir`), or all of `model_dir`.

        `model_file` may be a URL, which is recorded. `framework` becomes a label, too. `inputs` and `outputs` are features (names, dicts
        with a name, objects with to_dict), or come from `training_set`, a frame, with its `label_column`, and `feature_stats` with them.
        `extra_data` are bytes (kept beside the model), names in `model_dir` (kept), absolute paths, URLs or artifacts (recorded). The rest
        is as in `log_artifact`. Raises InvalidRequest.
        """
        said: dict[str, Any] = {
            "model_dir": model_dir,
            "model_file": model_file,
            "algorithm": algorithm,
            "metrics": metrics,
            "parameters": parameters,
        }
        said |= {"inputs": inputs, "outputs": outputs, "feature_vector": feature_vector, "feature_weights": feature_weights}
        said |= {"training_set": training_set, "label_column": label_column, "extra_data": extra_data, "db_key": db_key, **kwargs}
        work = self._context.log_model(key, body, framework, tag, artifact_path=artifact_path, upload=upload, labels=labels, **said)
        return self._opened(wait(work))

    def update_artifact(self, artifact_object: Artifact) -> Artifact:
        """Record what was changed about an artifact that was logged here: labels, viewer, format, spec, tag. With other bytes than before
        it becomes a new version. Raises InvalidRequest when nothing was logged here under its key."""
        return self._opened(wait(self._context.update_artifact(artifact_object)))

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """A copy of the dict of artifacts logged here, by key."""
        return {key: self._opened(artifact.released()) for key, artifact in self._context.artifacts.items()}

    def get_cached_artifact(self, key: str) -> Artifact:
        """An artifact that was logged here, as it is remembered here, to be changed and updated. Raises NotFound."""
        return self._opened(self._context.get_cached_artifact(key).released())

    def _opened(self, artifact: A) -> A:
        """The artifact, which from now on gives data items for code that waits."""
        connection = self._context.connection
        artifact.opener = lambda logged: DataItem(logged.uri, logged.key, connection=connection)
        return artifact
