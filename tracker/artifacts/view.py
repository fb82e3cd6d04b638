"""Artifacts as the API shows them, and as objects: one table says which kind is of which class."""

from collections.abc import Mapping
from typing import Any

from events.types import ArtifactFile
from tracker.artifacts.artifact import Artifact, Openable
from tracker.artifacts.chart import ChartArtifact
from tracker.artifacts.dataset import DatasetArtifact
from tracker.artifacts.model import ModelArtifact
from tracker.artifacts.plot import PlotArtifact
from tracker.artifacts.table import TableArtifact

KINDS: dict[str, type[Artifact]] = {
    kind.kind: kind for kind in (Artifact, ChartArtifact, DatasetArtifact, ModelArtifact, PlotArtifact, TableArtifact)
}


def from_view(view: Mapping[str, Any], opener: Openable | None = None) -> Artifact:
    """The artifact that the API's JSON of a version describes; `opener` makes the data item that `to_dataitem` returns."""
    kind = str(view.get("kind") or Artifact.kind)
    artifact = KINDS.get(kind, Artifact)(str(view["key"]))
    artifact.kind = kind
    for name in ("digest", "path", "content_type", "format", "viewer", "project", "uid"):
        setattr(artifact, name, str(view.get(name) or ""))
    for name in ("size", "iteration", "version"):
        setattr(artifact, name, int(view.get(name) or 0))
    artifact.place = str(view.get("uri") or "")
    artifact.db_key = _name(view)
    artifact.tag = str(view.get("tag_name") or "")
    artifact.labels, artifact.spec = dict(view.get("labels") or {}), dict(view.get("spec") or {})
    artifact.tags = [str(tag) for tag in view.get("tags") or ()]
    artifact.files = tuple(
        ArtifactFile(path=str(file["path"]), digest=str(file["digest"]), size=int(file["size"])) for file in view.get("files") or ()
    )
    artifact.opener = opener
    return artifact


def _name(view: Mapping[str, Any]) -> str | bool | None:
    """The name in the project. A row of the views has "" for none; an event has "" for the key, and says whether there is one."""
    if not view.get("registered", True):
        return False
    if "registered" in view or "db_key" not in view:
        return str(view.get("db_key") or "") or None
    return str(view["db_key"]) or False
