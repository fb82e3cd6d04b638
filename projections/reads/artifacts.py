"""Artifacts by run, by name, by kind and by tag. Each answer is of one moment."""

import sqlite3
from typing import Any

import msgspec

from projections.artifacts import ARTIFACTS, LATEST, ArtifactRow
from projections.shape import shape_of
from projections.views import Views


class Artifact(ArtifactRow, kw_only=True):
    """A version of an artifact, with the tags that name it."""

    tags: list[str]


class ArtifactPage(msgspec.Struct, frozen=True):
    """Artifacts, the newest first; `before` goes on after them, 0 when there are no more."""

    artifacts: list[Artifact]
    before: int = 0


async def list_artifacts(
    views: Views,
    project: str,
    *,
    uid: str | None = None,
    iteration: int | None = None,
    key: str | None = None,
    kind: str | None = None,
    tag: str | None = None,
    deleted: bool = False,
    before: int = 0,
    limit: int = 100,
) -> ArtifactPage:
    """The versions that all given conditions hold for, the newest first, at most `limit`, older than `before` (an id, 0 = the newest).
    `tag` "latest" lists the newest version of each key. `deleted` includes those in the trash."""
    terms: dict[str, Any] = {"a.project = ?": project, "a.uid = ?": uid, "a.iteration = ?": iteration, "a.key = ?": key, "a.kind = ?": kind}
    terms |= {"t.project = a.project AND t.name = ?": tag, "a.id < ?": before or None}
    given = {term: value for term, value in terms.items() if value is not None}
    where = " AND ".join([*given, *([] if deleted else ["a.deleted = 0"])])
    source = "artifact_tags t CROSS JOIN artifacts a ON a.id = t.id" if tag is not None else "artifacts a"
    order = f"{source} WHERE {where} ORDER BY a.id DESC LIMIT ?"
    found = await views.query(lambda db: _artifacts(db, order, (*given.values(), limit + 1)))
    return ArtifactPage(found[:limit], found[limit - 1].id if len(found) > limit else 0)


async def get_artifact(
    views: Views,
    project: str,
    key: str,
    *,
    version: int | None = None,
    tag: str | None = None,
    uid: str | None = None,
    iteration: int | None = None,
    deleted: bool = False,
) -> Artifact | None:
    """One version of `key`: this number, or what the tag names, or the newest which a run (and iteration) logged; by default the latest."""
    params: dict[str, Any] = {"project": project, "key": key}
    if version is not None:
        which, params["version"] = "artifacts a WHERE a.project = :project AND a.key = :key AND a.version = :version", version
    elif uid is not None and tag is None:
        which = "artifacts a WHERE a.project = :project AND a.uid = :uid AND a.key = :key"
        which, params["uid"] = which + ("" if iteration is None else " AND a.iteration = :iteration"), uid
        params["iteration"] = iteration
    else:
        which = "artifact_tags t CROSS JOIN artifacts a ON a.id = t.id WHERE t.project = :project AND t.key = :key AND t.name = :tag"
        params["tag"] = LATEST if tag is None else tag
    order = f"{which}{'' if deleted else ' AND a.deleted = 0'} ORDER BY a.id DESC LIMIT 1"
    found = await views.query(lambda db: _artifacts(db, order, params))
    return found[0] if found else None


def _artifacts(db: sqlite3.Connection, source: str, params: Any) -> list[Artifact]:
    shape = shape_of(ARTIFACTS)
    columns = ", ".join(f'a."{name}"' for name in shape.columns)
    rows = [shape.decode(found) for found in db.execute(f"SELECT {columns} FROM {source}", params)]  # noqa: S608
    tags = "SELECT name FROM artifact_tags WHERE id = ? ORDER BY name"
    return [Artifact(**msgspec.structs.asdict(row), tags=[name for (name,) in db.execute(tags, (row.id,))]) for row in rows]
