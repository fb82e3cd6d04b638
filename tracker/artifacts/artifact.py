"""An artifact: what is said about some bytes, and where they are.

An object is made by a user and logged, or made by logging a key, or made from what the API says about a version. Its attributes may be
changed at any time; what was changed is recorded by `update_artifact`. The content (`body`, or the file at `local_path`) is let go of
when it has been logged, and read again through `to_dataitem`. Everything a kind of artifact says beyond the common attributes lies in
`spec`, so that an event, a view and an object hold the same.
"""

from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from pathlib import Path
from typing import Any, BinaryIO, Generic, Self, TypeVar, overload

from events.types import ArtifactFile
from tracker.artifacts.parts import Part
from tracker.dataitem.store_uri import StoreUri
from tracker.dataitem.urls import shown
from tracker.errors import InvalidRequest

T = TypeVar("T")
Openable = Callable[["Artifact"], Any]


class Described(Generic[T]):
    """An attribute of an artifact that is kept in its spec. Where the spec has nothing, it is a new default."""

    def __init__(self, default: Callable[[], T]) -> None:
        self._default, self._name = default, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, artifact: None, owner: type) -> Self: ...
    @overload
    def __get__(self, artifact: "Artifact", owner: type) -> T: ...
    def __get__(self, artifact: "Artifact | None", owner: type) -> Self | T:
        if artifact is None:
            return self
        if self._name not in artifact.spec:
            value = self._default()
            if isinstance(value, (list, dict)):  # what is appended to it has to stay
                artifact.spec[self._name] = value
            return value
        return artifact.spec[self._name]  # type: ignore[no-any-return]

    def __set__(self, artifact: "Artifact", value: T) -> None:
        artifact.spec[self._name] = value


class Artifact:
    """A file, a text, a page, a directory. `digest` is the sha256 of its bytes, "" when only its place is known."""

    kind = "artifact"
    family = "artifacts"  # the word in store://<family>/<project>/<key>
    needs = "a body, a local_path, or a target_path"

    def __init__(
        self,
        key: str = "",
        body: Any = None,
        *,
        viewer: str = "",
        format: str = "",
        target_path: str = "",
        local_path: Any = None,
        kind: str = "",
        path: str = "",
        content_type: str = "",
        tag: str = "",
        labels: Mapping[str, Any] | None = None,
        db_key: str | bool | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> None:
        self.key = key
        self.body: Any = body
        self.local_path: Any = local_path
        self.kind = kind or type(self).kind
        self.viewer, self.format, self.path, self.content_type, self.tag = viewer, format, path, content_type, tag
        self.place = target_path  # a path or URL of the user's own, "" = among the tracker's blobs
        self.placed = ""  # the place, when it was not the user who said it
        self.artifact_path: str | None = None  # as it was logged with, and
        self.upload: bool | None = None
        self.db_key = db_key
        self.labels: dict[str, Any] = dict(labels or {})
        self.spec: dict[str, Any] = dict(spec or {})
        self.digest, self.size = "", 0
        self.files: tuple[ArtifactFile, ...] = ()
        self.earlier: tuple[ArtifactFile, ...] = ()  # of the version before, while a new one is being logged
        self.project = self.uid = ""  # of the run that logged it
        self.iteration = 0
        self.version = 0  # in the project; known of what was asked for, not yet of what was logged just now
        self.tags: list[str] = []
        self.opener: Openable | None = None

    @property
    def uri(self) -> str:
        """`store://<family>/<project>/<name>[#iteration]@<run>`: this artifact, wherever its bytes are. "" before it is logged."""
        if not self.project:
            return ""
        return str(StoreUri(self.family, self.project, self.registered or self.key, self.iteration or None, uid=self.uid))

    @property
    def target_path(self) -> str:
        """Where the bytes are: a path or URL of the user's own, or else the artifact's `uri`."""
        return self.place or self.uri

    @target_path.setter
    def target_path(self, place: str) -> None:
        self.place = place

    @property
    def registered(self) -> str:
        """Its name in the project, "" when it is not registered there."""
        if self.db_key is None or self.db_key is True:
            return self.key
        return str(self.db_key or "")

    @property
    def is_dir(self) -> bool:
        """Whether it has several files."""
        return bool(self.files)

    def content(self) -> Any:
        """What is to be kept, None when there is nothing new: text, bytes or an open binary file."""
        return self.body

    def parts(self) -> list[Part] | None:
        """The files to be kept, if this kind of artifact knows them by itself."""
        return None

    def where(self) -> Path | None:
        """Where its files are on this machine, if they are not to be kept."""
        return Path(self.local_path).expanduser() if self.local_path else None

    def writes(self) -> bool:
        """Whether this kind of artifact writes its content itself, with `write`."""
        return False

    def write(self, file: BinaryIO) -> None:
        """Write the content."""
        file.write(self.get_body())

    def has_content(self) -> bool:
        """Whether there is anything still to be kept."""
        return self.body is not None or self.local_path is not None

    def describe(self) -> None:
        """Say in `spec` what can be said of the content before it is kept."""

    def said(self) -> dict[str, Any]:
        """The spec, without what this kind of artifact could say and does not."""
        silent = {name for name in self.spec if isinstance(getattr(type(self), name, None), Described) and self.spec[name] in ("", [], {})}
        return {name: deepcopy(value) for name, value in self.spec.items() if name not in silent}

    def let_go(self) -> None:
        """Forget the content: it was kept."""
        self.body = self.local_path = None

    def released(self) -> Self:
        """A copy without the content, to be remembered."""
        other = copy(self)
        other.let_go()
        other.labels, other.spec = dict(self.labels), self.said()
        return other

    def to_dataitem(self) -> Any:
        """The content as a `DataItem`; an async one, when the artifact comes from async code."""
        if self.opener is not None:
            return self.opener(self)
        if not self.uri:
            raise InvalidRequest(f"artifact {self.key!r} was not logged yet: there is nothing to open", field="key")
        from tracker.dataitem.item import get_dataitem

        return get_dataitem(self.uri)

    def get_body(self) -> Any:
        """The bytes: the content that is still to be logged, or else what was logged (to be awaited in async code)."""
        body = self.content()
        if isinstance(body, str):
            return body.encode()
        if isinstance(body, (bytes, bytearray, memoryview)):
            return bytes(body)
        return self.to_dataitem().get()

    def to_dict(self) -> dict[str, Any]:
        """What is known of it as plain values."""
        return {
            "key": self.key,
            "kind": self.kind,
            "db_key": self.registered,
            "project": self.project,
            "uid": self.uid,
            "iteration": self.iteration,
            "uri": self.uri,
            "target_path": shown(self.target_path),
            "digest": self.digest,
            "size": self.size,
            "path": self.path,
            "content_type": self.content_type,
            "format": self.format,
            "viewer": self.viewer,
            "tag": self.tag,
            "labels": dict(self.labels),
            "spec": self.said(),
            "files": [{"path": file.path, "digest": file.digest, "size": file.size} for file in self.files],
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r}, {self.uri or 'not logged'}, {self.size} bytes)"
