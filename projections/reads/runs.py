"""One run with what belongs to it, and the table of its iterations. Each answer is of one moment."""

import math
import sqlite3
from typing import Any

import msgspec

from projections.notifications import NOTIFICATIONS
from projections.runs import ATTEMPTS, METRIC, RUNS, AttemptRow, RunRow
from projections.views import Views, get, select


class Notification(msgspec.Struct, kw_only=True):
    """The last time a notification was sent on a state: `status` is sent, or error with its `reason`; `time` in nanoseconds."""

    name: str
    kind: str
    state: str
    status: str
    severity: str
    time: int
    reason: str
    count: int


class Run(RunRow, kw_only=True):
    """A run or an iteration with the last value of each metric, its attempts, and its notifications, the first one first."""

    metrics: dict[str, float]
    attempts: list[AttemptRow]
    notifications: list[Notification]


class Iteration(msgspec.Struct, kw_only=True):
    """A row of the iteration table."""

    iteration: int
    state: str
    name: str
    started_at: int
    ended_at: int
    deleted: int
    error: str
    best: bool
    parameters: dict[str, Any]
    results: dict[str, Any]
    metrics: dict[str, float]
    labels: dict[str, str]


async def get_run(views: Views, project: str, uid: str, iteration: int = 0) -> Run | None:
    """The run, or one of its iterations; None when no event spoke of it."""
    return await views.query(lambda db: _run(db, project, uid, iteration))


def _run(db: sqlite3.Connection, project: str, uid: str, iteration: int) -> Run | None:
    row: RunRow | None = get(db, RUNS, project, uid, iteration)
    if row is None:
        return None
    found = db.execute("SELECT key, value FROM run_values WHERE run = ? AND kind = ? ORDER BY key", (row.id, METRIC))
    metrics = {key: _number(value) for key, value in found}
    attempts = select(db, ATTEMPTS, "WHERE run = ? ORDER BY number", (row.id,))
    sent = select(db, NOTIFICATIONS, "WHERE project = ? AND uid = ? AND iteration = ? ORDER BY id", (project, uid, iteration))
    notifications = [Notification(**{name: getattr(one, name) for name in Notification.__struct_fields__}) for one in sent]
    return Run(**msgspec.structs.asdict(row), metrics=metrics, attempts=attempts, notifications=notifications)


async def iterations(views: Views, project: str, uid: str, *, after: int = 0, limit: int = 1_000) -> list[Iteration]:
    """The iterations of a run with a number greater than `after`, in order, at most `limit`."""
    return await views.query(lambda db: _iterations(db, project, uid, after, limit))


def _iterations(db: sqlite3.Connection, project: str, uid: str, after: int, limit: int) -> list[Iteration]:
    run = get(db, RUNS, project, uid, 0)
    which = "WHERE project = ? AND uid = ? AND iteration > ? ORDER BY iteration LIMIT ?"
    params = (project, uid, max(after, 0), limit)
    metrics: dict[int, dict[str, float]] = {}
    sql = f"SELECT run, key, value FROM run_values WHERE kind = {METRIC} AND run IN (SELECT id FROM runs {which}) ORDER BY run, key"  # noqa: S608
    for child, key, value in db.execute(sql, params):
        metrics.setdefault(child, {})[key] = _number(value)
    return [
        Iteration(
            iteration=row.iteration,
            state=row.state,
            name=row.name,
            started_at=row.started_at,
            ended_at=row.ended_at,
            deleted=row.deleted,
            error=row.error,
            best=run is not None and run.best_iteration == row.iteration,
            parameters=row.parameters,
            results=row.results,
            metrics=metrics.get(row.id, {}),
            labels=row.labels,
        )
        for row in select(db, RUNS, which, params)
    ]


def _number(value: Any) -> float:
    return math.nan if value == "NaN" else float(value)
