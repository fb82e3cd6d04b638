"""What a context keeps of what its run made: artifacts, with their bytes.

Bytes are hashed and kept in worker threads, which then record the event that names them: a version is never half there, and whoever is
cancelled before finds nothing kept. Logging a key again makes a new version; what is said about a version may be changed by
`update_artifact`, its bytes may not.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from events.types import ArtifactLogged, ArtifactTagged, ArtifactUpdated
from tracker.artifacts.artifact import Artifact
from tracker.artifacts.dataset import DatasetArtifact
from tracker.artifacts.keeping import Producer, check_words, log
from tracker.artifacts.model import ModelArtifact
from tracker.artifacts.outside import Outside
from tracker.artifacts.wording import artifact_of, dataset_of, model_of
from tracker.dataitem.urls import secrets_in, shown
from tracker.errors import InvalidRequest
from tracker.recording import Recording
from tracker.threads import Check, in_thread
from tracker.values import plain

A = TypeVar("A", bound=Artifact)


class Outputs(Recording):
    """The part of a context that logs artifacts."""

    async def log_artifact(
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
        said = {"tag": tag, "viewer": viewer, "target_path": target_path, "labels": labels, "format": format, "db_key": db_key, **kwargs}
        source = local_path if local_path is not None else src_path
        return await self._keep(item, lambda: artifact_of(item, body, source, said), artifact_path, upload)

    async def log_dataset(
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
        said: dict[str, Any] = {
            "tag": tag,
            "local_path": local_path,
            "target_path": target_path,
            "labels": labels,
            "format": format,
            "db_key": db_key,
        }
        said |= {"preview": preview, "stats": stats, "label_column": label_column, "extra_data": extra_data, **kwargs}

        elsewhere = "://" in str(local_path or getattr(key, "local_path", None) or "")  # and stays there
        return await self._keep(key, lambda: dataset_of(key, df, said), artifact_path, None if elsewhere else bool(upload))

    async def log_model(
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
            "framework": framework,
            "tag": tag,
            "model_dir": model_dir,
            "model_file": model_file,
            "algorithm": algorithm,
        }
        said |= {"metrics": metrics, "parameters": parameters, "labels": labels, "inputs": inputs, "outputs": outputs, "db_key": db_key}
        said |= {"feature_vector": feature_vector, "feature_weights": feature_weights, "extra_data": extra_data, **kwargs}
        return await self._keep(key, lambda: model_of(key, body, said, training_set, label_column), artifact_path, bool(upload))

    async def update_artifact(self, artifact_object: Artifact) -> Artifact:
        """Record what was changed about an artifact that was logged here: labels, viewer, format, spec, tag. With other bytes than before
        it becomes a new version. Raises InvalidRequest when nothing was logged here under its key."""
        given: Any = artifact_object
        logged = self.memory.logged.get(given.key) if isinstance(given, Artifact) else None
        if logged is None:
            what = given.key if isinstance(given, Artifact) else type(given).__name__
            raise InvalidRequest(
                f"update_artifact takes an artifact that was logged here; {what!r} was not: log it", field="artifact_object"
            )
        await self._keep_extras(given, None)
        await in_thread(partial(self._update, given, logged))
        await self._reply
        return artifact_object

    async def _keep(self, given: Any, make: Callable[[], A], artifact_path: str | None, upload: bool | None) -> A:
        """Keep and record; what was made here of a key lets go of its content, an object that was given does not."""
        artifact = await in_thread(lambda _: make())
        await self._keep_extras(artifact, artifact_path)

        def work(check: Check) -> None:
            self._hide(artifact, artifact_path)
            self.record(log(self._producer(check), artifact, artifact_path, upload))
            if artifact is not given:
                artifact.let_go()
            elif callable(getattr(artifact.body, "read", None)):  # it was read to its end
                artifact.body = None
            self._remember(artifact)

        await in_thread(work)
        await self._reply
        return artifact

    def _update(self, artifact: Artifact, logged: ArtifactLogged, check: Check) -> None:
        self._hide(artifact, None)
        event = _renewed(self._producer(check), artifact, logged)
        self.record(*([event] if event is not None else _changes(artifact, logged)))
        self._remember(artifact)

    def _hide(self, artifact: Artifact, artifact_path: str | None) -> None:
        """What is secret in the places that were said is masked in all that is recorded from now on."""
        places = (artifact.place, artifact.local_path, getattr(artifact, "source", None), artifact_path)
        if found := [secret for place in places for secret in secrets_in(str(place or ""))]:
            self.secrets.hide(found)

    async def _keep_extras(self, artifact: Artifact, artifact_path: str | None) -> None:
        """Keep the bytes that are linked with a dataset as artifacts of the run; the links are in its `extra_data`."""
        if not isinstance(artifact, DatasetArtifact) or not artifact.extras:
            return
        links = dict(artifact.extra_data)
        for name, value in artifact.extras.items():
            if isinstance(value, Artifact):
                if not value.uri:
                    raise InvalidRequest(f"extra_data {name!r} is an artifact that was not logged", field="extra_data")
                links[str(name)] = value.uri
            elif isinstance(value, (bytes, bytearray, memoryview)):
                links[str(name)] = (
                    await self.log_artifact(f"{artifact.key}_{name}", body=value, artifact_path=artifact_path, db_key=False)
                ).uri
            elif isinstance(value, (str, Path)):
                self.secrets.hide(secrets_in(str(value)))
                links[str(name)] = shown(str(value))
            else:
                message = f"extra_data {name!r} is a path, a URL, bytes or an artifact, not {type(value).__name__}"
                raise InvalidRequest(message, field="extra_data")
        artifact.extra_data, artifact.extras = links, {}

    def _remember(self, artifact: Artifact) -> None:
        from tracker.dataitem.aio_item import DataItem
        from tracker.dataitem.item import DataItem as Blocking

        connection = self.connection
        artifact.opener = lambda logged: DataItem(Blocking(logged.uri, logged.key, connection=connection))
        self.memory.artifacts[artifact.key] = artifact.released()

    def _producer(self, check: Check) -> Producer:
        return Producer(
            connection=self.connection,
            project=self._project,
            uid=self._uid,
            iteration=self._iteration,
            out_path=self.out_path,
            outside=Outside(self.connection, self.secrets),
            check=check,
        )


def _renewed(producer: Producer, artifact: Artifact, logged: ArtifactLogged) -> ArtifactLogged | None:
    """The event of a new version, when the artifact has other content, or is at another place, than what was logged."""
    check_words(artifact)
    if not artifact.has_content() and shown(artifact.place) == logged.uri:
        return None
    event = log(producer, artifact, upload=artifact.upload)
    return None if (event.digest, event.uri) == (logged.digest, logged.uri) else event


def _changes(artifact: Artifact, logged: ArtifactLogged) -> list[ArtifactUpdated | ArtifactTagged]:
    """What is said otherwise now."""
    now, iteration = time.time_ns(), logged.iteration
    known = {"format": logged.format, "viewer": logged.viewer, "labels": logged.labels, "spec": logged.spec}
    wanted = {"format": artifact.format, "viewer": artifact.viewer, "labels": dict(artifact.labels), "spec": plain(artifact.said())}
    said: dict[str, Any] = {name: value for name, value in wanted.items() if value != known[name]}
    found: list[ArtifactUpdated | ArtifactTagged] = []
    if said:
        found.append(ArtifactUpdated(time=now, iteration=iteration, key=artifact.key, **said))
    if artifact.tag and artifact.tag != logged.tag_name:
        found.append(ArtifactTagged(time=now, iteration=iteration, key=artifact.key, name=artifact.tag))
    return found
