"""Runs and their iterations: one row each, and one row for each searchable value.

Iteration 0 is the run, 1..n its children. A row's `id` is the offset of the event that first spoke of it.
`run_values` is the search index over parameters, latest metrics, results, labels and annotations. Its `value` is an int, a float or a text, as SQLite
compares them (numbers before texts); NaN is the text "NaN", a bool is "true" or "false", other JSON is its text; texts are cut after 1,000 characters.
`child` is 1 for the values of iterations and 0 for a run's own, so that a search among runs never walks past their children.
"""

from typing import Any

import msgspec

from projections.base import Table

PARAMETER, METRIC, RESULT, LABEL, ANNOTATION = range(5)

CREATED, RUNNING, COMPLETED, ERROR, ABORTED, LOST = "created", "running", "completed", "error", "aborted", "lost"
TERMINAL = frozenset({COMPLETED, ERROR, ABORTED})


class RunRow(msgspec.Struct, kw_only=True):
    """A run or an iteration as it stands. Times are nanoseconds, 0 = not yet."""

    id: int
    project: str
    uid: str
    iteration: int = 0
    name: str = ""
    state: str = CREATED
    user: str = ""
    parent: str = ""
    created_at: int = 0
    started_at: int = 0
    ended_at: int = 0
    updated_at: int = 0
    offset: int = 0  # of the last event that touched it
    deleted: int = 0  # time of deletion, 0 = alive
    best_iteration: int = 0
    children: int = 0
    error: str = ""
    traceback: str = ""
    message: str = ""  # of the last commit
    late: int = 0  # events that arrived after a terminal state
    unknown: int = 0  # events this version cannot read
    parameters: dict[str, Any] = {}
    results: dict[str, Any] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    inputs: dict[str, str] = {}
    spec: dict[str, Any] = {}
    attempts: list[dict[str, Any]] = []


class ValueRow(msgspec.Struct, kw_only=True):
    """One searchable value of one run."""

    run: int
    kind: int
    key: str
    value: Any
    project: str
    child: int = 0


RUNS = Table(
    "runs",
    RunRow,
    key=("project", "uid", "iteration"),
    indexes=(
        ("unique", "id"),
        ("project", "iteration", "created_at", "id"),
        ("project", "created_at", "id"),
        ("project", "started_at", "id"),
        ("project", "state", "id"),
        ("project", "name", "id"),
    ),
)
VALUES = Table("run_values", ValueRow, key=("run", "kind", "key"), indexes=(("project", "kind", "child", "key", "value", "run"),))
