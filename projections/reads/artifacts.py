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
    With a run's `uid`, `key` is what the run calls them; without, the name they are registered under, and what is not registered is left
    out. `tag` "latest" lists the newest version of each name. `deleted` includes those in the trash."""
    name = "a.db_key = ?" if uid is None else "a.key = ?"
    terms: dict[str, Any] = {"a.project = ?": project, "a.uid = ?": uid, "a.iteration = ?": iteration, name: key, "a.kind = ?": kind}
    terms |= {"t.project = a.project AND t.name = ?": tag, "a.id < ?": before or None}
    given = {term: value for term, value in terms.items() if value is not None}
    where = " AND ".join([*given, *([] if deleted else ["a.deleted = 0"]), *(["a.db_key <> ''"] if uid is None else [])])
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
    """One version of what is registered under `key`: the newest for which all that is given holds; by default what `latest` names.
    Of one run, `latest` is what it logged last; and what it logged without registering is found under its own key."""
    terms: dict[str, Any] = {"a.project = ?": project, "a.version = ?": version, "a.uid = ?": uid, "a.iteration = ?": iteration}
    source, names = "artifacts a", ["a.db_key = ?"] if uid is None else ["a.db_key = ?", "a.db_key = '' AND a.key = ?"]
    if (uid is None and iteration is None and version is None) or tag not in (None, LATEST):
        source, names = "artifact_tags t CROSS JOIN artifacts a ON a.id = t.id", ["t.key = ?"]
        terms |= {"t.project = ?": project, "t.name = ?": tag or LATEST}
    given = {term: value for term, value in terms.items() if value is not None}
    where = " AND ".join([*given, *([] if deleted else ["a.deleted = 0"])])

    def look(db: sqlite3.Connection) -> list[Artifact]:
        orders = (f"{source} WHERE {where} AND {name} ORDER BY a.id DESC LIMIT 1" for name in names)
        return next(filter(None, (_artifacts(db, order, (*given.values(), key)) for order in orders)), [])

    found = await views.query(look)
    return found[0] if found else None


async def get_output(
    views: Views, project: str, uid: str, key: str, *, version: int | None = None, tag: str | None = None, iteration: int | None = None
) -> Artifact | None:
    """What a run (and iteration) logged last under its own `key`; or of that, the version of this number, or what the tag names."""
    terms: dict[str, Any] = {"a.project = ?": project, "a.uid = ?": uid, "a.key = ?": key, "a.version = ?": version}
    terms |= {"a.iteration = ?": iteration, "t.project = a.project AND t.key = a.db_key AND t.name = ?": tag}
    given = {term: value for term, value in terms.items() if value is not None}
    source = "artifacts a" + (" CROSS JOIN artifact_tags t ON t.id = a.id" if tag is not None else "")
    order = f"{source} WHERE {' AND '.join(given)} AND a.deleted = 0 ORDER BY a.id DESC LIMIT 1"
    found = await views.query(lambda db: _artifacts(db, order, tuple(given.values())))
    return found[0] if found else None


def _artifacts(db: sqlite3.Connection, source: str, params: Any) -> list[Artifact]:
    shape = shape_of(ARTIFACTS)
    columns = ", ".join(f'a."{name}"' for name in shape.columns)
    rows = [shape.decode(found) for found in db.execute(f"SELECT {columns} FROM {source}", params)]  # noqa: S608
    tags = "SELECT name FROM artifact_tags WHERE id = ? ORDER BY name"
    return [Artifact(**msgspec.structs.asdict(row), tags=[name for (name,) in db.execute(tags, (row.id,))]) for row in rows]
