"""Logging an artifact: from what a user says to bytes on disk and the event that names them.

All of it blocks, and runs in worker threads. Bytes are kept by the tracker under their digest; a place of the user's own gets them first.
Nothing is recorded here: what is returned is the event, and only when all bytes are where they belong. Until the first bytes are kept the
work can be called off; from then on it is finished, so that no bytes are kept without an event that names them.
"""

import mimetypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from events.types import ArtifactFile, ArtifactLogged
from tracker.artifacts.artifact import Artifact
from tracker.artifacts.outside import Outside, base_of, check_target, place_for, split
from tracker.artifacts.parts import Part, parts_of
from tracker.connection import Connection
from tracker.dataitem.progress import Step, moving
from tracker.dataitem.urls import path_of, shown
from tracker.errors import InvalidRequest
from tracker.names import check_artifact_key, check_name
from tracker.staging import Copy, home_of, keep, keep_written, open_content, open_file
from tracker.threads import NOBODY, Check
from tracker.values import plain, text_of, texts_of

MAX_SPEC = 4 * 1024 * 1024  # bytes; an event has to fit a request


class Producer(msgspec.Struct, frozen=True, kw_only=True):
    """The run that logs, as far as that matters here. `check` raises when the call is called off."""

    connection: Connection
    project: str
    uid: str
    iteration: int
    out_path: str
    outside: Outside
    check: Check = NOBODY


def log(producer: Producer, artifact: Artifact, artifact_path: str | None = None, upload: bool | None = None) -> ArtifactLogged:
    """Keep the bytes, if there are any to keep, and fill in the artifact; returns its event. Raises InvalidRequest, Conflict, OSError."""
    check_words(artifact)
    artifact.earlier, artifact.files, artifact.digest, artifact.size = artifact.files, (), "", 0
    artifact.artifact_path = artifact_path if artifact_path is not None else artifact.artifact_path
    artifact.upload = upload
    base, below = split(base_of(artifact.artifact_path, producer.out_path, project=producer.project, uid=producer.uid), producer.project)
    if artifact.place == artifact.placed:
        artifact.place = ""
    given = artifact.place
    if given:
        check_target(given)
    artifact.describe()
    source = _source(artifact, upload)
    artifact.path = artifact.path or _shown_name(artifact)
    if below and not given and not artifact.path.startswith(f"{below}/"):
        artifact.path = f"{below}/{artifact.path}"
    _Keeper(producer, artifact, artifact.place or base, given=bool(artifact.place), upload=upload).keep(source)
    artifact.placed = "" if given else artifact.place
    artifact.content_type = artifact.content_type or _content_type(artifact)
    artifact.project, artifact.uid, artifact.iteration = producer.project, producer.uid, producer.iteration
    return _event(artifact)


class _Keeper:
    """Keeps the content of one artifact, wherever it comes from."""

    def __init__(self, producer: Producer, artifact: Artifact, place: str, *, given: bool, upload: bool | None) -> None:
        self._producer, self._artifact = producer, artifact
        self._place, self._given, self._upload = place, given, upload
        self._check = producer.check

    def keep(self, source: Path | None) -> None:
        """The content: several parts, what the artifact writes itself, a body, or the file or directory at `source`."""
        artifact, upload = self._artifact, self._upload
        if artifact.kind == "dataset" and upload is False:  # the frame was described, and is not kept
            artifact.place = artifact.place or (str(source.absolute()) if source is not None and source.exists() else "")
            return
        parts = artifact.parts()
        if parts is not None:
            where = artifact.where()
            if upload is False and where is not None and not any(part.body is not None for part in parts):
                artifact.place = artifact.place or str(where.absolute())
            else:
                self._parts(parts)
        elif artifact.writes():
            with self._moving(None) as step:
                self._one(lambda copy: keep_written(self._producer.connection, artifact.write, step=step, copy=copy))
        elif (body := artifact.content()) is not None:
            self._content(Part(path=artifact.path, body=body))
        elif source is not None and (upload or (upload is None and not artifact.place)):
            self._parts(parts_of(source)) if source.is_dir() else self._content(Part(path=artifact.path, source=source))
        elif source is not None:
            artifact.place = artifact.place or str(source.absolute())
        elif not artifact.place:
            raise InvalidRequest(f"{artifact.kind} {artifact.key!r} needs the content: {artifact.needs}", field="body")

    def _parts(self, parts: list[Part]) -> None:
        if len(parts) == 1 and "/" not in parts[0].path and parts[0].root is None:
            self._content(parts[0])
        else:
            self._files(parts)

    def _content(self, part: Part) -> None:
        content = open_content(part.body) if part.source is None else open_file(part.source)
        with self._moving(part.size or None) as step:
            try:
                self._one(lambda copy: keep(self._producer.connection, content, step=step, copy=copy))
            finally:
                if content is not part.body:
                    content.close()

    def _one(self, keeping: Callable[[Copy | None], tuple[str, int]]) -> None:
        """Keep one file; a place of the user's own gets it before it is known as kept."""
        artifact = self._artifact

        def copy(path: Path, digest: str) -> None:
            artifact.place = artifact.place or place_for(self._place, artifact.key, digest, PurePosixPath(artifact.path).name)
            self._producer.outside.put(path, artifact.place, self._given, self._check)
            self._check()

        artifact.digest, artifact.size = keeping(copy if self._goes_out else None)
        self._check = NOBODY

    def _files(self, parts: list[Part]) -> None:
        artifact, connection = self._artifact, self._producer.connection
        parts = sorted(parts, key=lambda part: part.path)
        for one, next_one in pairwise(parts):
            if one.path == next_one.path:
                raise InvalidRequest(f"two files of {artifact.key!r} have the path {one.path}", field="extra_data")
        if sum(len(part.path) + 150 for part in parts) > MAX_SPEC:
            raise InvalidRequest(
                f"the paths of {artifact.key!r} are too long for one list: log it in parts, or as an archive", field="local_path"
            )
        files = []
        with self._moving(sum(part.size for part in parts)) as step:
            for part in parts:
                if part.known is not None:
                    files.append(part.known)
                    continue
                with part.open() as content:
                    digest, size = keep(connection, content, step=step)
                self._check = NOBODY
                files.append(ArtifactFile(path=part.path, digest=digest, size=size))
        listed = msgspec.json.encode([{"path": file.path, "digest": file.digest, "size": file.size} for file in files])
        artifact.digest, _ = keep(connection, open_content(listed))
        artifact.files, artifact.size = tuple(files), sum(file.size for file in files)
        artifact.content_type = artifact.content_type or "inode/directory"
        if self._goes_out:
            artifact.place = artifact.place or place_for(self._place, artifact.key, artifact.digest, "") + "/"
            for file in files:
                if not (home := home_of(connection, file.digest)).exists():
                    message = f"{file.path} of {artifact.key!r} is only at the server: log all its files to have them at {artifact.place}"
                    raise InvalidRequest(message, field="artifact_path")
                self._producer.outside.put(home, f"{artifact.place.rstrip('/')}/{file.path}", self._given, NOBODY)

    @contextmanager
    def _moving(self, size: int | None) -> Iterator[Step]:
        """The work is shown, and can be called off as long as nothing is kept."""
        with moving(f"keeping {self._artifact.key}", size) as moved:

            def step(done: int) -> None:
                self._check()
                moved(done)

            yield step

    @property
    def _goes_out(self) -> bool:
        """Whether the bytes go to a place of the user's own, too: to one that was named exactly, only when that was asked for."""
        return bool(self._place) and (not self._given or bool(self._upload))


def check_words(artifact: Artifact) -> None:
    """What is said of an artifact, as events have it. Raises InvalidRequest."""
    if not isinstance(artifact.key, str):
        raise InvalidRequest(f"an artifact's key is text, not {type(artifact.key).__name__}", field="key")
    _check_name(artifact.key, f"the artifact's key {artifact.key[:100]!r}")
    if artifact.registered:
        _check_name(artifact.registered, f"db_key {artifact.registered[:100]!r}")
    if artifact.tag:
        check_name(str(artifact.tag), "tag")
    for name in ("kind", "viewer", "format", "path", "content_type"):
        setattr(artifact, name, text_of(getattr(artifact, name) or ""))
    artifact.labels = dict(texts_of(artifact.labels))
    artifact.spec = plain(artifact.spec)
    if artifact.format == "html" and not artifact.viewer:
        artifact.viewer = "web-app"


def _check_name(key: str, field: str) -> None:
    """A job names artifacts by one part. Keys with several are for dialects whose artifacts are files in directories."""
    check_artifact_key(key, field)
    if "/" in key or key != key.strip():
        what = "hold '/': a path below is said by artifact_path" if "/" in key else "begin or end with a blank"
        raise InvalidRequest(f"{field} must not {what}", field=field)


def _source(artifact: Artifact, upload: bool | None) -> Path | None:
    """The file or directory of this machine that is meant; what lies at a URL becomes the artifact's place."""
    local = artifact.local_path
    if local is None or local == "":
        return None
    try:
        text = str(Path(local)) if not isinstance(local, str) else local
    except TypeError:
        raise InvalidRequest(f"local_path is a path, not {type(local).__name__}", field="local_path") from None
    if "://" in text:
        if upload:
            raise InvalidRequest("what lies at a URL is recorded, not copied: download it, and log the file", field="upload")
        artifact.place = artifact.place or text
        return None
    if "\0" in text:
        raise InvalidRequest("local_path must not hold NUL", field="local_path")
    return Path(text).expanduser()


def _shown_name(artifact: Artifact) -> str:
    if artifact.local_path:
        return path_of(str(artifact.local_path)).name or artifact.key
    name = PurePosixPath(artifact.key).name
    return f"{name}.{artifact.format}" if artifact.format and "." not in name else name


def _content_type(artifact: Artifact) -> str:
    guessed, _ = mimetypes.guess_type(artifact.path)
    return guessed or ("text/plain" if isinstance(artifact.body, str) else "application/octet-stream")


def _event(artifact: Artifact) -> ArtifactLogged:
    spec: dict[str, Any] = plain(artifact.said())
    if len(msgspec.msgpack.encode(spec)) > MAX_SPEC:
        raise InvalidRequest(f"what is said of {artifact.key!r} is more than {MAX_SPEC} bytes: keep it as an artifact", field="spec")
    return ArtifactLogged(
        time=time.time_ns(),
        iteration=artifact.iteration,
        key=artifact.key,
        kind=artifact.kind,
        digest=artifact.digest,
        size=artifact.size,
        uri=shown(artifact.place),  # it may hold a password
        path=artifact.path,
        content_type=artifact.content_type,
        format=artifact.format,
        viewer=artifact.viewer,
        tag_name=artifact.tag,
        labels=dict(artifact.labels),
        spec=spec,
        db_key="" if artifact.registered in ("", artifact.key) else artifact.registered,
        registered=bool(artifact.registered),
        files=artifact.files,
    )
