"""Who changed which field of a run, when: read off the events alone, apart from any view.

Each event writes zero or more fields, named by their path: `state`, `parameters.lr`, `labels.owner`, `artifacts.model`. A field of a
child iteration has the child's number in `Change.iteration`. Only a write that changes the value is a change. Points of metrics and
console text are not: they are series, which nobody overwrites.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from events import types as t
from events.codec import AnyEvent, tag_of
from events.record import Recorded

Write = tuple[str, Any]


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field got another value. `before` or `after` is absent when the field had none then."""

    offset: int
    recorded_at: int  # nanoseconds, by the log's clock
    time: int  # nanoseconds, by the producer's clock
    field: str
    iteration: int = 0
    before: Any | UnsetType = UNSET
    after: Any | UnsetType = UNSET
    by: str = ""  # the authenticated actor, else the user and host the producer named
    producer: str = ""
    sequence: int = 0
    event: str = ""  # the tag of the event that did it


def _group(group: str, values: dict[str, Any]) -> Iterator[Write]:
    return ((f"{group}.{key}", value) for key, value in values.items())


def _created(e: t.RunCreated) -> Iterator[Write]:
    yield "name", e.name
    yield "state", "created"
    for key, value in (("user", e.user), ("parent", e.parent)):
        if value:
            yield key, value
    yield from _group("parameters", e.parameters)
    yield from _group("labels", e.labels)
    yield from _group("annotations", e.annotations)


def _iteration(e: t.IterationStarted) -> Iterator[Write]:
    yield "state", "running"
    yield from _group("parameters", e.parameters)
    yield from _group("labels", e.labels)


def _started(e: t.AttemptStarted) -> Iterator[Write]:
    yield "attempt", e.attempt
    yield "state", "running"


def _state(e: t.StateChanged) -> Iterator[Write]:
    yield "state", e.state
    yield "error", e.error or UNSET


def _artifact(e: t.ArtifactLogged) -> Iterator[Write]:
    yield f"artifacts.{e.key}", e.digest or e.uri
    if e.tag_name:
        yield f"tags.{e.key}.{e.tag_name}", e.digest or e.uri


def _updated(e: t.ArtifactUpdated) -> Iterator[Write]:
    for part in ("format", "viewer", "labels", "spec"):
        if (value := getattr(e, part)) is not None:
            yield f"artifacts.{e.key}.{part}", value


def _input(e: t.InputRead) -> Iterator[Write]:
    yield f"inputs.{e.key}", e.url
    if e.artifact:
        yield f"inputs.{e.key}.artifact", f"{e.artifact} {f'version {e.version}' if e.version else e.digest[:12]}"


_WRITES: dict[type[t.Fact], Callable[[Any], Iterable[Write]]] = {
    t.RunCreated: _created,
    t.IterationStarted: _iteration,
    t.BestIterationMarked: lambda e: [("best_iteration", e.iteration)],
    t.AttemptStarted: _started,
    t.AttemptEnded: lambda _: [("attempt", UNSET)],
    t.ParameterSet: lambda e: [(f"parameters.{e.key}", e.value)],
    t.ResultLogged: lambda e: [(f"results.{e.key}", e.value)],
    t.LabelSet: lambda e: [(f"labels.{e.key}", UNSET if e.value is None else e.value)],
    t.AnnotationSet: lambda e: [(f"annotations.{e.key}", UNSET if e.value is None else e.value)],
    t.InputRead: _input,
    t.RunRenamed: lambda e: [("name", e.name)],
    t.HostSet: lambda e: [("host", e.host)],
    t.RunCommitted: lambda e: [("commit", e.message)],
    t.StateChanged: _state,
    t.RunLost: lambda _: [("state", "lost")],
    t.NotificationSent: lambda e: [(f"notifications.{e.name}.{e.state}", f"{e.status}: {e.reason}" if e.reason else e.status)],
    t.RunDeleted: lambda _: [("deleted", True)],
    t.RunRestored: lambda _: [("deleted", UNSET)],
    t.RunPurged: lambda _: [("purged", True)],
    t.ArtifactLogged: _artifact,
    t.ArtifactUpdated: _updated,
    t.ArtifactTagged: lambda e: [(f"tags.{e.key}.{e.name}", True)],
    t.ArtifactDeleted: lambda e: [(f"artifacts.{e.key}", UNSET)],
    t.ProjectCreated: lambda e: [("description", e.description), ("owner", e.owner), *_group("labels", e.labels)],
    t.ProjectUpdated: lambda e: (
        [(k, v) for k in ("description", "owner") if (v := getattr(e, k)) is not None]
        + [*_group("labels", e.labels or {}), *_group("parameters", e.parameters or {})]
    ),
    t.ProjectDeleted: lambda _: [("deleted", True)],
    t.ProjectRestored: lambda _: [("deleted", UNSET)],
    t.TokenCreated: lambda e: [(f"tokens.{e.id}", e.role)],
    t.TokenRevoked: lambda e: [(f"tokens.{e.id}", UNSET)],
    t.Redacted: lambda e: [("redacted", e.was)],
}
# The tags of events that can change a field: a feed of these alone tells the whole history, without a run's millions of points.
TAGS = tuple(str(kind.__struct_config__.tag) for kind in _WRITES)
_OF_THE_RUN = (t.BestIterationMarked,)  # says something of the run itself, its `iteration` being the value


class History:
    """Folds the events of one stream, in order, into changes. Memory: one value for each field that has one."""

    def __init__(self) -> None:
        self._fields: dict[tuple[int, str], Any] = {}
        self._who: dict[str, str] = {}

    def changes(self, recorded: Recorded) -> Iterator[Change]:
        """The changes one event makes."""
        event = recorded.event
        if isinstance(event, t.AttemptStarted):
            self._who[recorded.producer] = _signature(event.facts)
        elif isinstance(event, t.RunCreated):
            self._who.setdefault(recorded.producer, event.user)
        iteration = 0 if isinstance(event, _OF_THE_RUN) else getattr(event, "iteration", 0)
        for field, after in writes(event):
            before = self._fields.get((iteration, field), UNSET)
            if same(before, after):
                continue
            if after is UNSET:
                self._fields.pop((iteration, field), None)
            else:
                self._fields[iteration, field] = after
            yield self._change(recorded, iteration, field, before, after)

    def _change(self, recorded: Recorded, iteration: int, field: str, before: Any, after: Any) -> Change:
        return Change(
            offset=recorded.offset,
            recorded_at=recorded.recorded_at,
            time=recorded.event.time,
            field=field,
            iteration=iteration,
            before=before,
            after=after,
            by=recorded.actor or self._who.get(recorded.producer, ""),
            producer=recorded.producer,
            sequence=recorded.sequence,
            event=tag_of(recorded.event),
        )


async def history(events: AsyncIterable[Recorded]) -> AsyncIterator[Change]:
    """The changes of one stream's events, from its beginning, one by one."""
    fold = History()
    async for recorded in events:
        for change in fold.changes(recorded):
            yield change


def writes(event: AnyEvent) -> Iterable[Write]:
    """The fields an event writes, each with its value; UNSET removes it."""
    found = None if isinstance(event, t.Unknown) else _WRITES.get(type(event))
    return found(event) if found else ()


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to the bit: 1 is not 1.0 nor true, and NaN is NaN."""
    if one is UNSET or other is UNSET:
        return one is other
    return one is other or msgspec.msgpack.encode(one) == msgspec.msgpack.encode(other)


def _signature(facts: dict[str, Any]) -> str:
    user, host, pid = (str(facts.get(key) or "") for key in ("user", "host", "pid"))
    return (f"{user}@{host}" if user and host else user or host) + (f" (pid {pid})" if pid else "")
