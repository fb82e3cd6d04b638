"""Artifacts: every version ever logged is a row; tags name versions, and `latest` moves by itself.

A row's `id` is the offset of its event. In its run an artifact is known by its `key`, in its project by the name it is registered under,
`db_key`; one that is not registered has none, and with it neither version nor tags. `version` counts the versions of (project, db_key)
from 1, across runs. Two chains run back through the rows: `earlier`, the version before of the same (project, db_key), and `previous`,
the one the same run and iteration logged before under the same key. An update changes what is said of the last of these, not its bytes.
Deleted versions keep their row and number. When what `latest` named is deleted, it falls back to the newest version left; other tags
stay on what they name. A tag of a key its run and iteration never logged names nothing and is left out.
"""

from typing import Any

import msgspec

from events.record import Batch
from events.types import ArtifactDeleted, ArtifactLogged, ArtifactTagged, ArtifactUpdated
from projections.base import Rows, Table
from projections.lifecycle import subject_of
from projections.values import fit

LATEST = "latest"


class ArtifactRow(msgspec.Struct, kw_only=True):
    """One version of an artifact. `digest` is the sha256 hex of its bytes, "" when they are only at `uri`; of an artifact of several
    `files` (path, digest, size), it is that of their list."""

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
    db_key: str = ""  # the name it is registered under, "" = it is not
    updated_at: int = 0  # 0 = never
    files: list[dict[str, Any]] = []


class TagRow(msgspec.Struct, kw_only=True):
    """A name for one version. `key` is the name it is registered under."""

    project: str
    key: str
    name: str
    id: int


class NewestRow(msgspec.Struct, kw_only=True):
    """The newest version registered under (project, key)."""

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
    indexes=(
        ("project", "db_key", "version"),
        ("project", "uid", "iteration", "key"),
        ("project", "uid", "db_key"),
        ("project", "kind", "id"),
        ("digest",),
    ),
    rowid="id",
)
TAGS = Table("artifact_tags", TagRow, key=("project", "key", "name"), indexes=(("id",), ("project", "name")))
NEWEST = Table("artifact_newest", NewestRow, key=("project", "key"))
OUTPUTS = Table("artifact_outputs", OutputRow, key=("project", "uid", "iteration", "key"))
_KINDS = frozenset({ArtifactLogged, ArtifactUpdated, ArtifactTagged, ArtifactDeleted})


class Artifacts:
    """The projection of artifacts and their tags."""

    name = "artifacts"
    version = 2
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
            elif kind is ArtifactUpdated:
                _updated(rows, project, uid, event)  # type: ignore[arg-type]
            elif kind is ArtifactTagged:
                _tagged(rows, project, uid, event)  # type: ignore[arg-type]
            elif kind is ArtifactDeleted:
                _deleted(rows, project, uid, event)  # type: ignore[arg-type]


def _logged(rows: Rows, project: str, uid: str, offset: int, event: ArtifactLogged, producer: str) -> None:
    key, iteration = event.key, fit(event.iteration)
    output = rows.get(OUTPUTS, project, uid, iteration, key) or OutputRow(project=project, uid=uid, iteration=iteration, key=key, id=0)
    row = ArtifactRow(
        id=offset,
        project=project,
        key=key,
        uid=uid,
        iteration=iteration,
        version=0,
        kind=event.kind,
        digest=event.digest,
        size=fit(event.size),
        uri=event.uri,
        path=event.path,
        content_type=event.content_type,
        format=event.format,
        viewer=event.viewer,
        created_at=fit(event.time),
        previous=output.id,
        producer=producer,
        labels=event.labels,
        spec=event.spec,
        db_key=(event.db_key or key) if event.registered else "",
        files=[msgspec.structs.asdict(file) for file in event.files],
    )
    if row.db_key:
        _register(rows, row, event.tag_name)
    output.id = offset
    rows.put(ARTIFACTS, row)
    rows.put(OUTPUTS, output)


def _register(rows: Rows, row: ArtifactRow, tag: str) -> None:
    newest = rows.get(NEWEST, row.project, row.db_key) or NewestRow(project=row.project, key=row.db_key, id=0, version=0)
    row.version, row.earlier = newest.version + 1, newest.id
    newest.id, newest.version = row.id, row.version
    rows.put(NEWEST, newest)
    for name in {LATEST, tag} - {""}:
        rows.put(TAGS, TagRow(project=row.project, key=row.db_key, name=name, id=row.id))


def _newest_of(rows: Rows, project: str, uid: str, event: ArtifactUpdated | ArtifactTagged | ArtifactDeleted) -> ArtifactRow | None:
    """What the run and iteration logged last under the event's key."""
    output = rows.get(OUTPUTS, project, uid, fit(event.iteration), event.key)
    found: ArtifactRow | None = None if output is None else rows.get(ARTIFACTS, output.id)
    return found


def _updated(rows: Rows, project: str, uid: str, event: ArtifactUpdated) -> None:
    row = _newest_of(rows, project, uid, event)
    if row is None:
        return
    row.format = row.format if event.format is None else event.format
    row.viewer = row.viewer if event.viewer is None else event.viewer
    row.labels = row.labels if event.labels is None else event.labels
    row.spec = row.spec if event.spec is None else event.spec
    row.updated_at = fit(event.time) or 1
    rows.put(ARTIFACTS, row)


def _tagged(rows: Rows, project: str, uid: str, event: ArtifactTagged) -> None:
    row = _newest_of(rows, project, uid, event)
    if row is not None and row.db_key:
        rows.put(TAGS, TagRow(project=project, key=row.db_key, name=event.name, id=row.id))


def _deleted(rows: Rows, project: str, uid: str, event: ArtifactDeleted) -> None:
    row = _newest_of(rows, project, uid, event)
    names = set()
    while row is not None and not row.deleted:  # those before a deleted one are deleted, too
        row.deleted = fit(event.time) or 1
        rows.put(ARTIFACTS, row)
        names.add(row.db_key)
        row = rows.get(ARTIFACTS, row.previous) if row.previous else None
    for name in sorted(names - {""}):
        _fall_back(rows, project, name)


def _fall_back(rows: Rows, project: str, name: str) -> None:
    latest = rows.get(TAGS, project, name, LATEST)
    if latest is None:
        return
    version = latest.id
    while version and (row := rows.get(ARTIFACTS, version)).deleted:
        version = row.earlier
    if version:
        rows.put(TAGS, TagRow(project=project, key=name, name=LATEST, id=version))
    else:
        rows.delete(TAGS, project, name, LATEST)
