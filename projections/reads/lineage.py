"""Where artifacts come from and where they went: the runs that made and read them. Each answer is of one moment.

Three tables know their part: who read a version, who made it, and how the runs are called. A version was made from what its run (or,
for an iteration's, the iteration and the run) had read before it logged it.
"""

import sqlite3
from typing import Any

import msgspec

from projections.lineage import READS, ReadRow
from projections.reads.artifacts import Artifact
from projections.runs import RUNS
from projections.shape import shape_of
from projections.views import Views, get


class RunLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A run or iteration, as far as lineage speaks of it."""

    project: str
    uid: str
    iteration: int
    name: str
    state: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that a run read as its input `key`, `count` times; and who made it, where that is known."""

    id: int
    key: str
    url: str
    artifact: str
    version: int
    digest: str
    first_at: int
    last_at: int
    count: int
    reader: RunLabel
    maker: RunLabel | None


class Making(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that a run logged, and how many runs and iterations read it."""

    id: int
    key: str
    artifact: str
    version: int
    kind: str
    digest: str
    iteration: int
    created_at: int
    readers: int


class RunLineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a run and its iterations read, and what they made, the first one first. `cut` when there is more than was asked for."""

    run: RunLabel
    reads: list[Reading]
    made: list[Making]
    cut: bool


class ArtifactLineage(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an artifact: who made it, from what, and who read it, the first one first. `cut` when there is more than was asked
    for."""

    artifact: Artifact
    maker: RunLabel
    made_from: list[Reading]
    read_by: list[Reading]
    cut: bool


async def lineage_of_run(views: Views, project: str, uid: str, limit: int) -> RunLineage:
    """The lineage of a run, at most `limit` artifacts each way."""
    return await views.query(lambda db: _of_run(db, project, uid, limit))


async def lineage_of_artifact(views: Views, artifact: Artifact, limit: int) -> ArtifactLineage:
    """The lineage of this version, at most `limit` artifacts each way."""
    return await views.query(lambda db: _of_artifact(db, artifact, limit))


def _of_run(db: sqlite3.Connection, project: str, uid: str, limit: int) -> RunLineage:
    reads = _readings(db, "WHERE project = ? AND uid = ? ORDER BY id LIMIT ?", (project, uid, limit + 1))
    columns = "id, key, db_key, version, kind, digest, iteration, created_at"
    found = db.execute(
        f"SELECT {columns} FROM artifacts WHERE project = ? AND uid = ? AND deleted = 0 ORDER BY id LIMIT ?",  # noqa: S608
        (project, uid, limit + 1),
    ).fetchall()
    made = [_made(db, project, *row) for row in found[:limit]]
    cut = len(reads) > limit or len(found) > limit
    return RunLineage(run=_label(db, project, uid, 0), reads=reads[:limit], made=made, cut=cut)


def _made(db: sqlite3.Connection, project: str, id: int, key: str, name: str, version: int, kind: str, digest: str, *when: int) -> Making:
    readers = "SELECT count(*) FROM (SELECT DISTINCT project, uid, iteration FROM artifact_reads WHERE artifact = ? AND version = ?"
    artifact, params = f"{project}/{name or key}", [f"{project}/{name or key}", version]
    if not version:  # not registered: its digest tells it
        readers, params = f"{readers} AND digest = ?", [*params, digest]
    (count,) = db.execute(readers + ")", params).fetchone()
    return Making(
        id=id,
        key=key,
        artifact=artifact,
        version=version,
        kind=kind,
        digest=digest,
        iteration=when[0],
        created_at=when[1],
        readers=count,
    )


def _of_artifact(db: sqlite3.Connection, artifact: Artifact, limit: int) -> ArtifactLineage:
    before = "WHERE project = ? AND uid = ? AND iteration IN (0, ?) AND id < ? ORDER BY id LIMIT ?"
    made_from = _readings(db, before, (artifact.project, artifact.uid, artifact.iteration, artifact.id, limit + 1))
    name = f"{artifact.project}/{artifact.db_key or artifact.key}"
    which, params = "WHERE artifact = ? AND version = ?", [name, artifact.version]
    if not artifact.version:
        which, params = which + " AND digest = ?", [*params, artifact.digest]
    read_by = _readings(db, f"{which} ORDER BY id LIMIT ?", (*params, limit + 1))
    return ArtifactLineage(
        artifact=artifact,
        maker=_label(db, artifact.project, artifact.uid, artifact.iteration),
        made_from=made_from[:limit],
        read_by=read_by[:limit],
        cut=max(len(made_from), len(read_by)) > limit,
    )


def _readings(db: sqlite3.Connection, rest: str, params: tuple[Any, ...]) -> list[Reading]:
    shape = shape_of(READS)
    rows: list[ReadRow] = [shape.decode(found) for found in db.execute(f"SELECT {shape.all} FROM artifact_reads {rest}", params)]  # noqa: S608
    shared = ("id", "key", "url", "artifact", "version", "digest", "first_at", "last_at", "count")
    return [
        Reading(
            **{name: getattr(row, name) for name in shared},
            reader=_label(db, row.project, row.uid, row.iteration),
            maker=_maker(db, row),
        )
        for row in rows
    ]


def _maker(db: sqlite3.Connection, read: ReadRow) -> RunLabel | None:
    project, _, name = read.artifact.partition("/")
    params: tuple[Any, ...]
    if read.version:
        which, params = "db_key = ? AND version = ?", (project, name, read.version)
    else:
        which, params = "digest = ? AND db_key = '' AND key = ?", (project, read.digest, name)
    found = db.execute(f"SELECT uid, iteration FROM artifacts WHERE project = ? AND {which} ORDER BY id DESC LIMIT 1", params).fetchone()  # noqa: S608
    return None if found is None else _label(db, project, *found)


def _label(db: sqlite3.Connection, project: str, uid: str, iteration: int) -> RunLabel:
    row = get(db, RUNS, project, uid, iteration)
    known = {"name": row.name, "state": row.state} if row is not None else {"name": "", "state": ""}
    return RunLabel(project=project, uid=uid, iteration=iteration, **known)
