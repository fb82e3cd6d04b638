"""Logging an artifact: from what a user says to bytes on disk and the event that names them."""

import mimetypes
import os
import time
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from events.types import ArtifactLogged
from tracker.connection import Connection
from tracker.errors import InvalidRequest
from tracker.names import check_artifact_key
from tracker.staging import keep, open_content
from tracker.values import plain, text_of, texts_of


class Artifact(msgspec.Struct, kw_only=True):
    """An artifact as logged. `digest` is the sha256 of its bytes, "" when only its place (`uri`) is known."""

    key: str
    kind: str = "artifact"
    digest: str = ""
    size: int = 0
    uri: str = ""
    path: str = ""  # file name shown to people
    content_type: str = ""
    format: str = ""
    viewer: str = ""
    tag: str = ""
    labels: dict[str, str] = {}
    spec: dict[str, Any] = {}


def log(
    connection: Connection,
    item: Any,
    body: Any,
    local_path: str | os.PathLike[str] | None,
    target_path: str,
    upload: bool | None,
    described: dict[str, Any],
) -> tuple[Artifact, ArtifactLogged]:
    """Keep the bytes, if there are any to keep; returns the artifact and its event, not yet recorded. Blocks: for worker threads."""
    artifact = _described(item, described)
    if body is None and local_path is None and not target_path and not artifact.uri:
        raise InvalidRequest("log_artifact needs the content: a body, a local_path, or a target_path", field="body")
    source = Path(local_path) if local_path is not None and "://" not in str(local_path) else None
    if target_path:
        if "://" not in target_path and not PurePosixPath(target_path).is_absolute():
            raise InvalidRequest("target_path must be an absolute path or a URL", field="target_path")
        artifact.uri = target_path
    elif local_path is not None and source is None:
        artifact.uri = str(local_path)
        if upload:
            raise InvalidRequest("what lies at a URL is recorded, not copied: download it, and log the file", field="upload")
    artifact.path = artifact.path or _shown_name(artifact, local_path)
    artifact.content_type = artifact.content_type or _content_type(artifact.path, body)
    wanted = upload if upload is not None else not artifact.uri
    if body is not None or (source is not None and wanted):
        content = open_content(body, source)
        try:
            artifact.digest, artifact.size = keep(connection, content)
        finally:
            if body is None:
                content.close()
    elif source is not None and not artifact.uri:
        artifact.uri = str(source.absolute())
    return artifact, _event(artifact)


def _described(item: Any, described: dict[str, Any]) -> Artifact:
    """The artifact as far as words describe it. Raises TypeError for words that do not."""
    artifact = msgspec.structs.replace(item, digest="", size=0) if isinstance(item, Artifact) else Artifact(key=str(item))
    check_artifact_key(artifact.key, "key")
    spec = dict(artifact.spec)
    for name in ("artifact_path", "db_key"):
        if (value := described.pop(name, None)) is not None:
            spec[name] = plain(value)
    labels = {**artifact.labels, **texts_of(described.pop("labels", None))}
    spec.update(plain(described.pop("spec", None) or {}))
    for name, value in described.items():
        if name not in ("kind", "content_type", "format", "viewer", "tag", "path"):
            raise TypeError(f"log_artifact() got an unexpected keyword argument {name!r}")
        if value:
            setattr(artifact, name, text_of(value))
    artifact.labels, artifact.spec = labels, spec
    if artifact.format == "html" and not artifact.viewer:
        artifact.viewer = "web-app"
    return artifact


def _shown_name(artifact: Artifact, local_path: Any) -> str:
    if local_path is not None:
        return PurePosixPath(str(local_path)).name
    name = PurePosixPath(artifact.key).name
    return f"{name}.{artifact.format}" if artifact.format and "." not in name else name


def _content_type(name: str, body: Any) -> str:
    guessed, _ = mimetypes.guess_type(name)
    return guessed or ("text/plain" if isinstance(body, str) else "application/octet-stream")


def _event(artifact: Artifact) -> ArtifactLogged:
    return ArtifactLogged(
        time=time.time_ns(),
        key=artifact.key,
        kind=artifact.kind,
        digest=artifact.digest,
        size=artifact.size,
        uri=artifact.uri,
        path=artifact.path,
        content_type=artifact.content_type,
        format=artifact.format,
        viewer=artifact.viewer,
        tag_name=artifact.tag,
        labels=artifact.labels,
        spec=artifact.spec,
    )
