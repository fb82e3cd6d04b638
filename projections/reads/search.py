"""Search among runs: the page of those that satisfy a filter, in an order.

Which index drives decides all. A probe lists the runs of one condition, up to 2,000: one with fewer is rare, and its runs are fetched
and sorted. Where no condition is rare, matches should be dense enough to walk the index of the order until the page is full. When a walk
has come far without that, conditions of up to 20,000 runs are looked at together: they may be rare so. Only then does it walk to the end,
with the runs of each condition listed once instead of looked up one by one.
A probe costs less than a millisecond; the wrong index costs hundreds at 100,000 runs.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from projections.conditions import AllOf, AnyOf, Condition
from projections.filters import parse_filter, parse_order
from projections.predicates import TRASHED, Scope, probe
from projections.query import NEWEST, Position, Search, merged, position_at, position_of, sorted_among, token_of, walkable, walks
from projections.runs import RUNS, RunRow
from projections.views import Views, select

RARE = 2_000  # runs
MEDIUM = 20_000  # runs: conditions of so many are looked at together
FEW = 100  # runs: no probe could make it much cheaper
MAX_PROBES, MAX_SCANS = 8, 2
FAR = 1_000  # steps of SQLite's machine for each run wanted: some twenty runs looked at

_ALL_PROJECTS = """WITH RECURSIVE p(name) AS (
  SELECT min(project) FROM runs UNION ALL SELECT (SELECT min(project) FROM runs WHERE project > p.name) FROM p WHERE p.name IS NOT NULL
) SELECT name FROM p WHERE name IS NOT NULL"""


class RunPage(msgspec.Struct, frozen=True):
    """Runs in order; `next_page_token` is "" when there are no more."""

    runs: list[RunRow]
    next_page_token: str = ""


async def search_runs(
    views: Views,
    projects: Sequence[str] | None = None,
    filter: str = "",
    order_by: str = "",
    limit: int = 100,
    page_token: str = "",
    *,
    iterations: bool = False,
    deleted: bool | None = False,
) -> RunPage:
    """The runs of these projects (None: of all) that satisfy `filter`, at most `limit`, in the order of `order_by` (newest first).

    `iterations` finds children as well. `deleted`: runs that are not in the
    trash, nor their projects; only those that are (True); or both (None).
    Raises FilterError and PageTokenError.
    """
    condition, order = parse_filter(filter), parse_order(order_by) or NEWEST
    scope = Scope(tuple(sorted(set(projects or ()))), everywhere=projects is None, iterations=iterations, deleted=deleted)
    search = Search(scope, condition, order)
    return await find_runs(views, search, limit, page_token)


async def find_runs(views: Views, search: Search, limit: int = 100, page_token: str = "") -> RunPage:
    """The same from a tree; for dialects with a language of their own. With `scope.everywhere` the projects are filled in here."""
    after = position_of(search, page_token) if page_token else None
    return await views.query(lambda db: _page(db, search, after, max(1, limit)))


def _page(db: sqlite3.Connection, search: Search, after: Position | None, limit: int) -> RunPage:
    names = _projects(db, search.scope)
    if not names:
        return RunPage([])
    within = msgspec.structs.replace(search, scope=msgspec.structs.replace(search.scope, projects=names))
    rows = _rows(db, within, after, limit + 1)
    ids = msgspec.json.encode([row[0] for row in rows[:limit]]).decode()
    found = {run.id: run for run in select(db, RUNS, "WHERE id IN (SELECT value FROM json_each(?))", (ids,))}
    token = token_of(search, position_at(rows[limit - 1])) if len(rows) > limit else ""
    return RunPage([found[row[0]] for row in rows[:limit]], token)


def _projects(db: sqlite3.Connection, scope: Scope) -> tuple[str, ...]:
    """The projects in which there may be runs of the scope."""
    names = tuple(name for (name,) in db.execute(_ALL_PROJECTS)) if scope.everywhere else scope.projects
    trashed = {name for (name,) in db.execute(TRASHED)} if scope.deleted is False else set()
    return tuple(name for name in names if name not in trashed)


def _rows(db: sqlite3.Connection, search: Search, after: Position | None, limit: int) -> list[tuple[Any, ...]]:
    probes = _Probes(db, search.scope)
    few = probes.runs(search.condition)
    if few is None and walkable(search):
        try:
            with _bounded(db, FAR * limit):
                return _walk(db, search, after, limit)
        except _TooFar:
            few = probes.together(search.condition)
        if few is None:
            return _walk(db, search, after, limit, far=True)
    statement = sorted_among(search, few, after, limit)
    return db.execute(statement.sql, statement.params).fetchall()


def _walk(db: sqlite3.Connection, search: Search, after: Position | None, limit: int, *, far: bool = False) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for statements in walks(search, after, limit, far=far):
        rows = [row for s in statements for row in db.execute(s.sql, s.params)]
        found += merged(search, rows) if len(statements) > 1 else rows
        if len(found) >= limit:
            break
    return found[:limit]


class _TooFar(Exception):
    """A walk took more steps than it was given."""


@contextmanager
def _bounded(db: sqlite3.Connection, steps: int) -> Iterator[None]:
    """Statements inside may take so many steps of SQLite's machine each before they end with _TooFar."""
    passed = False

    def end() -> int:
        nonlocal passed
        passed = True
        return 1

    db.set_progress_handler(end, steps)
    try:
        yield
    except sqlite3.OperationalError as error:
        if passed:
            raise _TooFar from error
        raise
    finally:
        db.set_progress_handler(None, 0)


class _Probes:
    """Looks for a rare condition, within bounds on what looking may cost."""

    def __init__(self, db: sqlite3.Connection, scope: Scope) -> None:
        self.db, self.scope = db, scope
        self.probes, self.scans = MAX_PROBES, MAX_SCANS

    def runs(self, condition: Condition | None) -> list[int] | None:
        """Fewer than RARE runs, with all that satisfy the condition among them; None when that is not known."""
        match condition:
            case AllOf(terms):
                return self._fewest(terms)
            case AnyOf(terms):
                return self._union(terms)
            case None:
                return None
        return self._leaf(condition, RARE)

    def _fewest(self, terms: Sequence[Condition]) -> list[int] | None:
        best: list[int] | None = None
        for term in sorted(terms, key=self._cost):
            found = self.runs(term)
            if found is not None and (best is None or len(found) < len(best)):
                best = found
            if best is not None and len(best) <= FEW:
                break
        return best

    def together(self, condition: Condition | None) -> list[int] | None:
        """Fewer than RARE runs that satisfy conditions none of which is rare alone; None when they are more, or that is not known."""
        if not isinstance(condition, AllOf):
            return None
        self.probes = MAX_PROBES
        found = [set(runs) for term in condition.terms if (runs := self._leaf(term, MEDIUM)) is not None]
        both = set[int].intersection(*found) if len(found) > 1 else None
        return sorted(both) if both is not None and len(both) <= RARE else None

    def _union(self, terms: Sequence[Condition]) -> list[int] | None:
        union: set[int] = set()
        for term in terms:
            found = self.runs(term)
            if found is None or len(union := union | set(found)) > RARE:
                return None
        return sorted(union)

    def _leaf(self, condition: Condition, limit: int) -> list[int] | None:
        one = probe(condition, self.scope)
        if one is None or not (self.scans if one.scan else self.probes):
            return None
        if one.scan:
            self.scans -= 1
        else:
            self.probes -= 1
        found = [run for (run,) in self.db.execute(f"{one.sql} LIMIT ?", (*one.params, limit + 1))]
        return found if len(found) <= limit else None

    def _cost(self, condition: Condition) -> int:
        one = probe(condition, self.scope)
        return 1 if one is None else 2 if one.scan else 0
