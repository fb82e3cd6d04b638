"""Histories for tests of the views: batches made by hand, with offsets, versions and digests as a log would give them, and random ones."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from hypothesis import strategies as st

from events import types as e
from events.codec import KINDS, AnyEvent, encode
from events.record import Batch
from events.types import Unknown
from projections.applier import Applier
from projections.base import Projection
from projections.registry import PROJECTIONS

STREAMS = ["run/p/a", "run/p/b", "run/q/a", "project/p", "project/r", "access/tokens", "odd", "run/p", "later/kind/of/stream"]

Said = tuple[str, AnyEvent]


class Told:
    """A log told by hand: batches that follow each other."""

    def __init__(self, recorded_at: int = 10**9) -> None:
        self.offset, self.recorded_at = 0, recorded_at
        self._versions: Counter[str] = Counter()
        self._digest = b"\0" * 32

    def say(self, stream: str, *events: AnyEvent, producer: str = "job") -> Batch:
        """The next batch."""
        body = encode(list(events))
        self._digest = sha256(self._digest + body).digest()
        batch = Batch(
            offset=self.offset + 1,
            count=len(events),
            stream=stream,
            version=self._versions[stream] + 1,
            recorded_at=self.recorded_at,
            actor="",
            producer=producer,
            sequence=self.offset + 1,
            body=body,
            digest=self._digest,
        )
        self.offset += len(events)
        self._versions[stream] += len(events)
        return batch


def batched(said: Sequence[Said], cuts: Sequence[bool]) -> list[Batch]:
    """The events as batches: neighbours of one stream share one unless there is a cut before the second."""
    told, batches = Told(), []
    group: list[AnyEvent] = []
    for i, (stream, event) in enumerate(said):
        if group and (stream != said[i - 1][0] or cuts[i % len(cuts)]):
            batches.append(told.say(said[i - 1][0], *group))
            group = []
        group.append(event)
    if group:
        batches.append(told.say(said[-1][0], *group))
    return batches


def fold(batches: Sequence[Batch], sizes: Sequence[int], projections: Sequence[Projection] = PROJECTIONS) -> sqlite3.Connection:
    """A views database after the batches, folded in transactions of these sizes, over and over."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    applier = Applier(db, projections)
    start = turn = 0
    while start < len(batches):
        size = sizes[turn % len(sizes)]
        health = applier.apply(batches[start : start + size])
        stopped = {name: each.error for name, each in health.items() if each.error}
        assert not stopped, stopped
        start, turn = start + size, turn + 1
    return db


def rows_of(db: sqlite3.Connection, projections: Sequence[Projection] = PROJECTIONS) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, in the order of their keys, each column with its type, so that 1 and 1.0 differ."""
    found = {}
    for table in (table for projection in projections for table in projection.tables):
        key = ", ".join(f'"{name}"' for name in table.key)
        rows = db.execute(f'SELECT * FROM "{table.name}" ORDER BY {key}').fetchall()
        found[table.name] = [tuple((type(column).__name__, column) for column in row) for row in rows]
    return found


# -- random histories -------------------------------------------------------------------------------------------------------

times = st.integers(1, 50)
keys = st.sampled_from(["k", "loss", "é"])
texts = st.sampled_from(["", "x", "long " * 300])
floats = st.sampled_from([0.0, -0.0, 0.1, 1.0, float("nan"), float("inf"), -float("inf"), 1e308])
values = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.just(2**63 + 5)
    | floats
    | texts
    | st.just(b"\x00\xff")
    | st.just([1, {"a": None}])
    | st.just({"b": [True]})
)
iterations = st.sampled_from([0, 0, 0, 1, 2, 7])
labels = st.dictionaries(keys, st.sampled_from(["x", "y"]), max_size=2)
jsons = st.dictionaries(keys, values, max_size=2)
states = st.sampled_from(["created", "running", "completed", "error", "aborted", "pending"])
names = st.sampled_from(["best", "latest", "v1"])


def _of_run(kind_: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[AnyEvent]:
    return st.builds(kind_, time=times, iteration=iterations, **fields)


files = st.lists(st.builds(e.ArtifactFile, path=keys, digest=texts, size=st.integers(0, 9)), max_size=2).map(tuple)
metrics = _of_run(e.MetricLogged, key=keys, value=floats, step=st.integers(0, 5), labels=st.just({}) | st.just({"gpu": "0"}))
of_runs = st.one_of(
    _of_run(e.RunCreated, name=texts, user=texts, parent=texts, parameters=jsons, labels=labels, annotations=labels, spec=jsons),
    _of_run(e.IterationStarted, parameters=jsons, labels=labels),
    _of_run(e.BestIterationMarked),
    _of_run(e.AttemptStarted, attempt=st.sampled_from("AB"), facts=st.just({}) | st.just({"user": "ann", "pid": 3, "host": "h1"})),
    _of_run(e.AttemptEnded, attempt=st.sampled_from("AB"), reason=texts),
    _of_run(e.ParameterSet, key=keys, value=values),
    _of_run(e.ResultLogged, key=keys, value=values),
    metrics,
    metrics,
    _of_run(e.LabelSet, key=keys, value=st.none() | texts),
    _of_run(e.AnnotationSet, key=keys, value=st.none() | texts),
    _of_run(e.InputRead, key=keys, url=texts),
    _of_run(
        e.InputRead,
        key=keys,
        url=texts,
        artifact=st.sampled_from(["p/a", "q/b", "p/dir/b", "odd"]),
        version=st.integers(0, 2),
        digest=texts,
    ),
    _of_run(e.RunRenamed, name=texts),
    _of_run(e.HostSet, host=texts),
    _of_run(
        e.NotificationSent, name=keys, kind=texts, state=states, status=st.sampled_from(["sent", "error"]), severity=texts, reason=texts
    ),
    _of_run(e.RunCommitted, message=texts),
    _of_run(e.StateChanged, state=states, error=texts, traceback=texts),
    _of_run(e.StateChanged, state=states, error=texts, traceback=texts),
    _of_run(e.RunLost, last_sign=times, reason=texts),
    _of_run(e.ConsoleWritten, data=st.sampled_from([b"", b"line\n", b"\xff\x00"])),
    _of_run(e.EventRefused, was=texts, reason=texts),
    _of_run(e.EventsMissed, count=st.integers(1, 3), reason=texts),
    _of_run(e.RunDeleted),
    _of_run(e.RunRestored),
    _of_run(e.RunPurged, reason=texts, events=st.just(1), bytes=st.just(2), blobs=st.just(0)),
    _of_run(e.ArtifactLogged, key=keys, digest=texts, size=st.integers(0, 9), tag_name=st.just("") | names, labels=labels, spec=jsons),
    _of_run(e.ArtifactLogged, key=keys, kind=st.just("model"), tag_name=st.just("") | names),
    _of_run(e.ArtifactLogged, key=keys, db_key=keys, registered=st.booleans(), files=files, tag_name=st.just("") | names),
    _of_run(
        e.ArtifactUpdated, key=keys, format=st.none() | texts, viewer=st.none() | texts, labels=st.none() | labels, spec=st.none() | jsons
    ),
    _of_run(e.ArtifactTagged, key=keys, name=names),
    _of_run(e.ArtifactDeleted, key=keys),
    st.builds(e.Redacted, time=times, was=st.just("result.logged")),
    st.builds(Unknown, type=st.just("later.event"), data=st.just({"type": "later.event", "time": 4}), time=times, iteration=iterations),
)
of_projects = st.one_of(
    st.builds(e.ProjectCreated, time=times, description=texts, owner=texts, labels=labels, parameters=jsons),
    st.builds(e.ProjectUpdated, time=times, description=st.none() | texts, labels=st.none() | labels, parameters=st.none() | jsons),
    st.builds(e.ProjectDeleted, time=times),
    st.builds(e.ProjectRestored, time=times),
)
of_tokens = st.one_of(
    st.builds(e.TokenCreated, time=times, id=st.sampled_from("xy"), digest=texts, role=st.sampled_from(["viewer", "admin"]), expires=times),
    st.builds(e.TokenRevoked, time=times, id=st.sampled_from("xyz")),
)
_anything = st.tuples(st.sampled_from(STREAMS), st.one_of(of_runs, of_projects, of_tokens))  # also in streams where it has no place
_in_place = st.one_of(
    st.tuples(st.sampled_from(STREAMS[:3]), of_runs),
    st.tuples(st.just(STREAMS[0]), of_runs),
    st.tuples(st.sampled_from(STREAMS[3:5]), of_projects),
    st.tuples(st.just(STREAMS[5]), of_tokens),
)
_huge = st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, -(2**63), -1, 0, 1])
_strange = (
    _huge
    | st.text(max_size=3)
    | st.sampled_from(["\0", "k" * 5_000, {(1, 2): None}, {None: b""}, {True: [{}]}, msgspec.msgpack.Ext(7, b"x"), [[[[{}]]]]])
)


@st.composite
def hostile(draw: st.DrawFn) -> Said:
    """An event whose every number is at the edge of what msgpack holds, with values that no JSON has; or one of no known shape."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    if draw(st.integers(0, 9)) == 0:
        data: dict[str, Any] = {"type": draw(st.sampled_from([kind, 1, [], {}, None])), "time": draw(_huge), "iteration": draw(_huge)}
        return draw(st.sampled_from(STREAMS)), Unknown(type="", data=data)
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(KINDS[kind]):
        given = {int: _huge, Any: _strange, float: floats, bytes: st.just(b"x")}
        if field.type in given:
            fields[field.name] = draw(given[field.type])
        elif field.type == dict[str, Any]:
            fields[field.name] = {"k": draw(_strange)}
        elif field.required:
            fields[field.name] = draw(st.sampled_from(["k", "\0", "k" * 5_000]))
    return draw(st.sampled_from(STREAMS[:3] if issubclass(KINDS[kind], e.OfRun) else STREAMS)), KINDS[kind](**fields)


histories = st.lists(st.one_of(_in_place, _in_place, _in_place, _anything), min_size=1, max_size=60)
groupings = st.lists(st.integers(1, 7), min_size=1, max_size=4)
cuttings = st.lists(st.booleans(), min_size=1, max_size=5)
