"""Runs and their iterations: one row each, and one row for each searchable value.

Iteration 0 is the run, 1..n its children. A row's `id` is the offset of the event that first spoke of it; a run that only its child's
first event implies has that offset with a minus, since the child has it already.
`run_values` is the search index over parameters, latest metrics, results, labels and annotations, in the form `searchable` gives them.
`child` is 1 for the values of iterations and 0 for a run's own, so that a search among runs never walks past their children.
`run_counts` are the runs (not their children) by project and state, without those in the trash. The fold is in `lifecycle.py`.
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
    host: str = ""  # of its last attempt, or as the job said
    parent: str = ""
    created_at: int = 0
    started_at: int = 0
    ended_at: int = 0
    updated_at: int = 0
    offset: int = 0  # of the last event that touched it
    deleted: int = 0  # time of deletion, 0 = alive
    purged: int = 0  # time of purging, 0 = what was recorded is there
    best_iteration: int = 0
    children: int = 0
    error: str = ""
    traceback: str = ""
    message: str = ""  # of the last commit
    late: int = 0  # events of work that arrived after a terminal state or a deletion
    unknown: int = 0  # events this version cannot read, or that have no place here
    refused: int = 0  # events of its journals that were refused
    missed: int = 0  # events its job said but could not keep
    attempt_count: int = 0
    parameters: dict[str, Any] = {}
    results: dict[str, Any] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    inputs: dict[str, str] = {}
    spec: dict[str, Any] = {}


class ValueRow(msgspec.Struct, kw_only=True):
    """One searchable value of one run."""

    run: int
    kind: int
    key: str
    value: Any
    project: str
    child: int = 0


class AttemptRow(msgspec.Struct, kw_only=True):
    """One process life of a run; `number` counts them from 1."""

    run: int
    attempt: str
    number: int = 0
    producer: str = ""
    started_at: int = 0
    ended_at: int = 0
    reason: str = ""
    facts: dict[str, Any] = {}


class ChildRow(msgspec.Struct, kw_only=True):
    """The `number`th child a run got was this iteration."""

    run: int
    number: int
    iteration: int


class CountRow(msgspec.Struct, kw_only=True):
    """How many runs of a project are in a state."""

    project: str
    state: str
    count: int = 0


RUNS = Table(
    "runs",
    RunRow,
    key=("project", "uid", "iteration"),
    indexes=(
        ("project", "iteration", "id"),
        ("project", "iteration", "created_at", "id"),
        ("project", "iteration", "started_at", "id"),
        ("project", "iteration", "ended_at", "id"),
        ("project", "created_at", "id"),
        ("project", "state", "id"),
        ("project", "name", "id"),
    ),
    rowid="id",
)
VALUES = Table("run_values", ValueRow, key=("run", "kind", "key"), indexes=(("project", "kind", "child", "key", "value", "run"),))
ATTEMPTS = Table("attempts", AttemptRow, key=("run", "attempt"))
CHILDREN = Table("run_children", ChildRow, key=("run", "number"))
COUNTS = Table("run_counts", CountRow, key=("project", "state"))
