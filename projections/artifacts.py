"""Artifacts: every version ever logged is a row; tags name versions, and `latest` moves by itself.

A row's `id` is the offset of its event; `version` counts the versions of (project, key) from 1, across runs. Two chains run back through
the rows: `earlier`, the version before of the same (project, key), and `previous`, the one the same run and iteration logged before.
Deleted versions keep their row and number. When what `latest` named is deleted, it falls back to the newest version left; other tags
stay on what they name. A tag of a key its run and iteration never logged names nothing and is left out.
"""

from typing import Any

import msgspec

from events.record import Batch
from events.types import ArtifactDeleted, ArtifactLogged, ArtifactTagged
from projections.base import Rows, Table
from projections.lifecycle import subject_of
from projections.values import fit

LATEST = "latest"


class ArtifactRow(msgspec.Struct, kw_only=True):
    """One version of an artifact. `digest` is the sha256 hex of its bytes, "" when they are only at `uri`."""

    id: int
    project: str
    key: str
    uid: str
    iteration: int
    version: int
    kind: str
    digest: str
    size: int
    uri: str
    path: str
    content_type: str
    format: str
    viewer: str
    created_at: int
    deleted: int = 0  # time of deletion, 0 = alive
    earlier: int = 0  # id of the version before, 0 = none
    previous: int = 0  # id of the one before by the same run and iteration, 0 = none
    producer: str = ""
    labels: dict[str, str] = {}
    spec: dict[str, Any] = {}


class TagRow(msgspec.Struct, kw_only=True):
    """A name for one version."""

    project: str
    key: str
    name: str
    id: int


class NewestRow(msgspec.Struct, kw_only=True):
    """The newest version of (project, key)."""

    project: str
    key: str
    id: int
    version: int


class OutputRow(msgspec.Struct, kw_only=True):
    """The newest version of `key` that a run and iteration logged."""

    project: str
    uid: str
    iteration: int
    key: str
    id: int


ARTIFACTS = Table(
    "artifacts",
    ArtifactRow,
    key=("id",),
    indexes=(("project", "key", "version"), ("project", "uid", "iteration", "key"), ("project", "kind", "id"), ("digest",)),
    rowid="id",
)
TAGS = Table("artifact_tags", TagRow, key=("project", "key", "name"), indexes=(("id",), ("project", "name")))
NEWEST = Table("artifact_newest", NewestRow, key=("project", "key"))
OUTPUTS = Table("artifact_outputs", OutputRow, key=("project", "uid", "iteration", "key"))
_KINDS = frozenset({ArtifactLogged, ArtifactTagged, ArtifactDeleted})


class Artifacts:
    """The projection of artifacts and their tags."""

    name = "artifacts"
    version = 1
    tables = (ARTIFACTS, TAGS, NEWEST, OUTPUTS)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """See Projection."""
        subject = subject_of(batch.stream)
        if subject is None or batch.kinds.isdisjoint(_KINDS):
            return
        project, uid = subject
        for offset, event in enumerate(batch.events, batch.offset):
            kind = type(event)
            if kind is ArtifactLogged:
                _logged(rows, project, uid, offset, event, batch.producer)  # type: ignore[arg-type]
            elif kind is ArtifactTagged:
                _tagged(rows, project, uid, event)  # type: ignore[arg-type]
            elif kind is ArtifactDeleted:
                _deleted(rows, project, uid, event)  # type: ignore[arg-type]


def _logged(rows: Rows, project: str, uid: str, offset: int, event: ArtifactLogged, producer: str) -> None:
    key, iteration = event.key, fit(event.iteration)
    newest = rows.get(NEWEST, project, key) or NewestRow(project=project, key=key, id=0, version=0)
    output = rows.get(OUTPUTS, project, uid, iteration, key) or OutputRow(project=project, uid=uid, iteration=iteration, key=key, id=0)
    row = ArtifactRow(
        id=offset,
        project=project,
        key=key,
        uid=uid,
        iteration=iteration,
        version=newest.version + 1,
        kind=event.kind,
        digest=event.digest,
        size=fit(event.size),
        uri=event.uri,
        path=event.path,
        content_type=event.content_type,
        format=event.format,
        viewer=event.viewer,
        created_at=fit(event.time),
        earlier=newest.id,
        previous=output.id,
        producer=producer,
        labels=event.labels,
        spec=event.spec,
    )
    newest.id, newest.version, output.id = offset, row.version, offset
    rows.put(ARTIFACTS, row)
    rows.put(NEWEST, newest)
    rows.put(OUTPUTS, output)
    for name in {LATEST, event.tag_name} - {""}:
        rows.put(TAGS, TagRow(project=project, key=key, name=name, id=offset))


def _tagged(rows: Rows, project: str, uid: str, event: ArtifactTagged) -> None:
    output = rows.get(OUTPUTS, project, uid, fit(event.iteration), event.key)
    if output is not None:
        rows.put(TAGS, TagRow(project=project, key=event.key, name=event.name, id=output.id))


def _deleted(rows: Rows, project: str, uid: str, event: ArtifactDeleted) -> None:
    output = rows.get(OUTPUTS, project, uid, fit(event.iteration), event.key)
    version = output.id if output is not None else 0
    while version:
        row = rows.get(ARTIFACTS, version)
        if row.deleted:
            break  # so are all before it
        row.deleted = fit(event.time) or 1
        rows.put(ARTIFACTS, row)
        version = row.previous
    _fall_back(rows, project, event.key)


def _fall_back(rows: Rows, project: str, key: str) -> None:
    latest = rows.get(TAGS, project, key, LATEST)
    if latest is None:
        return
    version = latest.id
    while version and (row := rows.get(ARTIFACTS, version)).deleted:
        version = row.earlier
    if version:
        rows.put(TAGS, TagRow(project=project, key=key, name=LATEST, id=version))
    else:
        rows.delete(TAGS, project, key, LATEST)
