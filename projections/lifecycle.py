"""How events change a run: the fold over `run/<project>/<uid>` streams, and its state machine.

    created --attempt started--> running --state changed--> completed | error | aborted
    running --run lost--> lost --any event of work--> running
    completed | error | aborted --new attempt, or state changed to running--> running

The first terminal state stands until work begins anew, except that an error after completion shows. Whatever else arrives for a run that is
over or in the trash is folded like any event, and counted in `late`; only a run that was purged is not restored any more. A run no event
created exists from the first event that speaks of it.
A batch of metrics costs one row for the run and one for each key, however many points it has: the series are another projection's.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from events import types as e
from events.codec import AnyEvent
from events.record import Batch
from projections.base import Rows
from projections.runs import (
    ANNOTATION,
    ATTEMPTS,
    CHILDREN,
    COMPLETED,
    COUNTS,
    CREATED,
    ERROR,
    LABEL,
    LOST,
    METRIC,
    PARAMETER,
    RESULT,
    RUNNING,
    RUNS,
    TERMINAL,
    VALUES,
    AttemptRow,
    ChildRow,
    CountRow,
    RunRow,
    ValueRow,
)
from projections.values import fit, searchable

# What only a working job records: it revives a lost run, and is late for one that is over.
WORK = frozenset(
    {
        e.RunCreated,
        e.IterationStarted,
        e.ParameterSet,
        e.ResultLogged,
        e.MetricLogged,
        e.InputRead,
        e.ConsoleWritten,
        e.ArtifactLogged,
    }
)
_METRICS = frozenset({e.MetricLogged})
_iteration = attrgetter("iteration")
_key = attrgetter("key")


class Runs:
    """The projection of runs and iterations."""

    name = "runs"
    version = 1
    tables = (RUNS, VALUES, ATTEMPTS, CHILDREN, COUNTS)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """See Projection."""
        subject = subject_of(batch.stream)
        if subject is None:
            return
        turn = _Turn(rows, batch, *subject)
        events = batch.events
        if batch.kinds == _METRICS and len(set(map(_iteration, events))) == 1:
            turn.metrics_only(events)
        else:
            for offset, event in enumerate(events, batch.offset):
                turn.take(offset, event)
        turn.close()


def subject_of(stream: str) -> tuple[str, str] | None:
    """Project and uid of a run's stream, None for any other."""
    kind, _, rest = stream.partition("/")
    project, _, uid = rest.partition("/")
    return (project, uid) if kind == "run" and project and uid else None


class _Turn:
    """One batch being folded: each row it touches is read once and put once."""

    def __init__(self, rows: Rows, batch: Batch, project: str, uid: str) -> None:
        self.rows, self.batch, self.project, self.uid = rows, batch, project, uid
        self.touched: dict[int, RunRow] = {}
        self.before = ""  # the state under which the run is counted, "" = it is not
        self.metrics: dict[tuple[int, str], float] = {}

    def row(self, iteration: int, offset: int, time: int) -> RunRow:
        """The row of an iteration, made now when nobody spoke of it yet."""
        row: RunRow | None = self.touched.get(iteration)
        if row is None:
            row = self.rows.get(RUNS, self.project, self.uid, iteration)
            if row is None:
                row = RunRow(id=offset, project=self.project, uid=self.uid, iteration=iteration, created_at=time)
                if iteration:
                    self.adopt(row, offset, time)
            elif not iteration:
                self.before = _counted(row)
            self.touched[iteration] = row
        return row

    def adopt(self, child: RunRow, offset: int, time: int) -> None:
        run = self.row(0, -offset, time)
        run.children += 1
        child.name, child.user, child.deleted = run.name, run.user, run.deleted
        self.rows.put(CHILDREN, ChildRow(run=run.id, number=run.children, iteration=child.iteration))

    def take(self, offset: int, event: AnyEvent) -> None:
        iteration = getattr(event, "iteration", 0)
        if not 0 <= iteration < 2**31:
            iteration = 0
        row = self.row(iteration, offset, fit(event.time))
        row.offset = offset
        kind = type(event)
        if kind in WORK:
            self.work(row, 1)
        if type(event) is e.MetricLogged:
            self.metrics[iteration, event.key] = event.value
        else:
            _ARMS.get(kind, _misplaced)(self, row, event)

    def metrics_only(self, events: list[Any]) -> None:
        """The same for nothing but points of one iteration, without a step per point."""
        first, last = self.batch.offset, self.batch.last
        iteration = events[0].iteration if 0 <= events[0].iteration < 2**31 else 0
        row = self.row(iteration, first, fit(events[0].time))
        row.offset = last
        self.work(row, len(events))
        for key, event in dict(zip(map(_key, events), events, strict=True)).items():
            self.metrics[iteration, key] = event.value

    def work(self, row: RunRow, count: int) -> None:
        if row.deleted or row.state in TERMINAL:
            row.late += count
        run = self.rows.get(RUNS, self.project, self.uid, 0) if row.iteration and 0 not in self.touched else None
        for lost in (row, run or self.touched.get(0)):
            if lost is not None and lost.state == LOST:
                _run_on(self.row(lost.iteration, lost.id, lost.created_at), lost.started_at)

    def value(self, row: RunRow, kind: int, key: str, value: Any) -> None:
        found = searchable(value)
        if found is None:
            self.rows.delete(VALUES, row.id, kind, key)
        else:
            child = 1 if row.iteration else 0
            self.rows.put(VALUES, ValueRow(run=row.id, kind=kind, key=key, value=found, project=self.project, child=child))

    def close(self) -> None:
        for (iteration, key), value in self.metrics.items():
            self.value(self.touched[iteration], METRIC, key, value)
        for row in self.touched.values():
            row.updated_at = self.batch.recorded_at
            self.rows.put(RUNS, row)
        if 0 in self.touched:
            after = _counted(self.touched[0])
            if after != self.before:
                self.count(self.before, -1)
                self.count(after, 1)

    def count(self, state: str, change: int) -> None:
        if state:
            row = self.rows.get(COUNTS, self.project, state) or CountRow(project=self.project, state=state)
            row.count += change
            if row.count:
                self.rows.put(COUNTS, row)
            else:
                self.rows.delete(COUNTS, self.project, state)


def _counted(run: RunRow) -> str:
    return "" if run.deleted else run.state


# -- state ----------------------------------------------------------------------------------------------------------------


def _run_on(row: RunRow, since: int) -> None:
    row.state = RUNNING
    row.started_at = row.started_at or since
    row.ended_at = 0
    row.error = row.traceback = ""


def _state_changed(_turn: _Turn, row: RunRow, event: e.StateChanged) -> None:
    if row.state in TERMINAL and event.state in TERMINAL and not (row.state == COMPLETED and event.state == ERROR):
        row.late += event.state != row.state
        row.error, row.traceback = row.error or event.error, row.traceback or event.traceback
        return
    if event.state == RUNNING:
        _run_on(row, fit(event.time))
    row.state = event.state
    row.ended_at = fit(event.time) if event.state in TERMINAL else 0
    row.error, row.traceback = event.error, event.traceback


def _lost(_turn: _Turn, row: RunRow, event: e.RunLost) -> None:
    if row.state in TERMINAL:
        row.late += 1
        return
    row.state, row.ended_at, row.error = LOST, fit(event.last_sign), event.reason


def _attempt_started(turn: _Turn, row: RunRow, event: e.AttemptStarted) -> None:
    _run_on(row, fit(event.time))
    user = event.facts.get("user")
    if not row.user and isinstance(user, str):
        row.user = user
    attempt = _attempt(turn, row, event.attempt)
    host = event.facts.get("host")
    row.host = host if isinstance(host, str) else row.host
    attempt.started_at, attempt.facts = fit(event.time), event.facts
    turn.rows.put(ATTEMPTS, attempt)


def _attempt_ended(turn: _Turn, row: RunRow, event: e.AttemptEnded) -> None:
    attempt = _attempt(turn, row, event.attempt)
    attempt.ended_at, attempt.reason = fit(event.time), event.reason
    turn.rows.put(ATTEMPTS, attempt)


def _attempt(turn: _Turn, row: RunRow, name: str) -> AttemptRow:
    attempt: AttemptRow | None = turn.rows.get(ATTEMPTS, row.id, name)
    if attempt is None:
        row.attempt_count += 1
        attempt = AttemptRow(run=row.id, attempt=name, number=row.attempt_count, producer=turn.batch.producer)
    return attempt


# -- what is known of it ----------------------------------------------------------------------------------------------------


def _created(turn: _Turn, row: RunRow, event: e.RunCreated) -> None:
    row.name = event.name or row.name
    row.user = event.user or row.user
    row.parent = event.parent or row.parent
    row.created_at = min(row.created_at, fit(event.time))
    row.spec |= event.spec
    _set_all(turn, row, PARAMETER, row.parameters, event.parameters)
    _set_all(turn, row, LABEL, row.labels, event.labels)
    _set_all(turn, row, ANNOTATION, row.annotations, event.annotations)


def _iteration_started(turn: _Turn, row: RunRow, event: e.IterationStarted) -> None:
    if row.state == CREATED:
        _run_on(row, fit(event.time))
    _set_all(turn, row, PARAMETER, row.parameters, event.parameters)
    _set_all(turn, row, LABEL, row.labels, event.labels)


def _set_all(turn: _Turn, row: RunRow, kind: int, held: dict[str, Any], given: dict[str, Any]) -> None:
    held |= given
    for key, value in given.items():
        turn.value(row, kind, key, value)


def _parameter(turn: _Turn, row: RunRow, event: e.ParameterSet) -> None:
    row.parameters[event.key] = event.value
    turn.value(row, PARAMETER, event.key, event.value)


def _result(turn: _Turn, row: RunRow, event: e.ResultLogged) -> None:
    row.results[event.key] = event.value
    turn.value(row, RESULT, event.key, event.value)


def _label(turn: _Turn, row: RunRow, event: e.LabelSet) -> None:
    _set_or_drop(turn, row, LABEL, row.labels, event)


def _annotation(turn: _Turn, row: RunRow, event: e.AnnotationSet) -> None:
    _set_or_drop(turn, row, ANNOTATION, row.annotations, event)


def _set_or_drop(turn: _Turn, row: RunRow, kind: int, held: dict[str, str], event: e.LabelSet | e.AnnotationSet) -> None:
    if event.value is None:
        held.pop(event.key, None)
    else:
        held[event.key] = event.value
    turn.value(row, kind, event.key, event.value)


def _input(_turn: _Turn, row: RunRow, event: e.InputRead) -> None:
    row.inputs[event.key] = event.url


def _renamed(_turn: _Turn, row: RunRow, event: e.RunRenamed) -> None:
    row.name = event.name


def _host(_turn: _Turn, row: RunRow, event: e.HostSet) -> None:
    row.host = event.host


def _committed(_turn: _Turn, row: RunRow, event: e.RunCommitted) -> None:
    row.message = event.message


def _best(turn: _Turn, row: RunRow, _event: e.BestIterationMarked) -> None:
    """The run gets the child's results of this moment beside its own, as MLRun does."""
    if not row.iteration:
        row.unknown += 1
        return
    run = turn.row(0, -row.id, row.created_at)
    run.offset = row.offset
    run.best_iteration = row.iteration
    _set_all(turn, run, RESULT, run.results, {**row.results, "best_iteration": row.iteration})


def _refused(_turn: _Turn, row: RunRow, _event: e.EventRefused) -> None:
    row.refused += 1


def _missed(_turn: _Turn, row: RunRow, event: e.EventsMissed) -> None:
    row.missed = fit(row.missed + event.count)


def _deleted(turn: _Turn, row: RunRow, event: e.RunDeleted) -> None:
    _trash(turn, row, fit(event.time) or 1)


def _restored(turn: _Turn, row: RunRow, _event: e.RunRestored) -> None:
    if not row.purged:
        _trash(turn, row, 0)


def _purged(_turn: _Turn, row: RunRow, event: e.RunPurged) -> None:
    row.purged = fit(event.time) or 1


def _trash(turn: _Turn, row: RunRow, since: int) -> None:
    row.deleted = since
    for number in range(1, row.children + 1):
        child = turn.row(turn.rows.get(CHILDREN, row.id, number).iteration, row.offset, since)
        child.deleted, child.offset = since, row.offset


def _nothing(_turn: _Turn, _row: RunRow, _event: AnyEvent) -> None:
    """Another projection's, or only a sign of life."""


def _misplaced(_turn: _Turn, row: RunRow, _event: AnyEvent) -> None:
    row.unknown += 1


_ARMS: dict[type, Callable[[_Turn, RunRow, Any], None]] = {
    e.RunCreated: _created,
    e.IterationStarted: _iteration_started,
    e.BestIterationMarked: _best,
    e.AttemptStarted: _attempt_started,
    e.AttemptEnded: _attempt_ended,
    e.ParameterSet: _parameter,
    e.ResultLogged: _result,
    e.LabelSet: _label,
    e.AnnotationSet: _annotation,
    e.InputRead: _input,
    e.RunRenamed: _renamed,
    e.HostSet: _host,
    e.RunCommitted: _committed,
    e.StateChanged: _state_changed,
    e.RunLost: _lost,
    e.ConsoleWritten: _nothing,
    e.NotificationSent: _nothing,
    e.EventRefused: _refused,
    e.EventsMissed: _missed,
    e.RunDeleted: _deleted,
    e.RunRestored: _restored,
    e.RunPurged: _purged,
    e.ArtifactLogged: _nothing,
    e.ArtifactUpdated: _nothing,
    e.ArtifactTagged: _nothing,
    e.ArtifactDeleted: _nothing,
    e.Redacted: _nothing,
}
