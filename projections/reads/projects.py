"""Projects with how many runs they have in each state."""

import sqlite3

import msgspec

from projections.projects import PROJECTS, ProjectRow
from projections.views import Views, select


class Project(ProjectRow, kw_only=True):
    """A project; `runs` counts those not in the trash by state."""

    runs: dict[str, int]


async def get_project(views: Views, name: str) -> Project | None:
    """The project, or None when no event spoke of it."""
    found = await views.query(lambda db: _projects(db, "WHERE name = ?", (name,)))
    return found[0] if found else None


async def list_projects(views: Views, *, deleted: bool = False, after: str = "", limit: int = 1_000) -> list[Project]:
    """The projects with names after `after`, by name, at most `limit`. `deleted` includes those in the trash."""
    rest = f"WHERE name > ? {'' if deleted else 'AND deleted = 0'} ORDER BY name LIMIT ?"
    return await views.query(lambda db: _projects(db, rest, (after, limit)))


def _projects(db: sqlite3.Connection, rest: str, params: tuple[str | int, ...]) -> list[Project]:
    counts = "SELECT state, count FROM run_counts WHERE project = ? AND count > 0 ORDER BY state"
    return [
        Project(**msgspec.structs.asdict(row), runs=dict(db.execute(counts, (row.name,)).fetchall()))
        for row in select(db, PROJECTS, rest, params)
    ]
