"""Metric series: every point in log order, packed in chunks, with a pyramid of buckets for charts.

A series is what one key of one run or iteration logged with one set of labels. Its newest points, fewer than 512, stand in its own
row as plain arrays; each time they are 512 they become a chunk. Positions count the points of a series from 0. Steps and times may
repeat or go back.
"""

import math
import struct
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec
import zstandard

from events.codec import AnyEvent
from events.record import Batch
from events.types import MetricLogged
from projections.base import Rows, Table
from projections.lifecycle import subject_of
from projections.series import (
    BUCKET,
    CHUNK,
    FANOUT,
    RECORD,
    Buckets,
    Points,
    buckets_of,
    extremes,
    floats_of,
    integers,
    integers_of,
    merge,
    pack_buckets,
    pack_points,
    record_of,
    single,
    to_bytes,
)

_NUMBERS = struct.Struct("<3d")
_UNKNOWN = _NUMBERS.pack(math.nan, math.nan, math.nan)
_name_of: Callable[[MetricLogged], tuple[int, str]] = attrgetter("iteration", "key")
_labels_of: Callable[[MetricLogged], dict[str, str]] = attrgetter("labels")
_labels = msgspec.json.Encoder(order="sorted")
MAX_ITERATION = 2**31  # one beyond it is folded as 0, as runs do
_WIDE = list(range(0, CHUNK + 1, BUCKET))


class SeriesRow(msgspec.Struct, kw_only=True):
    """A series: what is known of all its points, and the newest of them."""

    project: str
    uid: str
    iteration: int
    key: str
    labels: str  # JSON with sorted keys, "" = none
    id: int  # offset of the first point
    count: int = 0
    nans: int = 0
    step: int = 0  # of the last point
    time: int = 0
    numbers: bytes = _UNKNOWN  # minimum, maximum, last value: little-endian doubles, since SQLite has no NaN
    tail_steps: bytes = b""  # little-endian, of the points after the last chunk
    tail_times: bytes = b""
    tail_values: bytes = b""

    @property
    def extremes(self) -> tuple[float, float, float]:
        """Minimum, maximum and last value."""
        low, high, last = _NUMBERS.unpack(self.numbers)
        return low, high, last

    def tail(self) -> Points:
        """The points after the last chunk."""
        return Points(integers_of(self.tail_steps), integers_of(self.tail_times), floats_of(self.tail_values))


class ChunkRow(msgspec.Struct, kw_only=True):
    """The points at positions 512 n to 512 n + 511."""

    series: int
    n: int
    points: bytes


class PyramidRow(msgspec.Struct, kw_only=True):
    """Up to 32 buckets: those numbered 32 n to 32 n + 31 of their level. Level 0: packed columns, always full; above: records."""

    series: int
    level: int
    n: int
    buckets: bytes


SERIES = Table("series", SeriesRow, key=("project", "uid", "iteration", "key", "labels"), rowid="id")
CHUNKS = Table("chunks", ChunkRow, key=("series", "n"))
PYRAMID = Table("pyramid", PyramidRow, key=("series", "level", "n"))

Name = tuple[int, str] | tuple[int, str, str]  # iteration, key, labels where there are any


class Metrics:
    """The fold of `MetricLogged`."""

    name = "metrics"
    version = 1
    tables = (SERIES, CHUNKS, PYRAMID)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """Append the points of the batch, series by series."""
        subject = subject_of(batch.stream)
        if subject is None:
            return
        project, uid = subject
        for (iteration, key, *labelled), events in _by_series(batch.events).items():
            labels = labelled[0] if labelled else ""
            row = rows.get(SERIES, project, uid, iteration, key, labels)
            if row is None:
                row = SeriesRow(project=project, uid=uid, iteration=iteration, key=key, labels=labels, id=_offset(batch, events[0]))
            _extend(rows, row, events)
            rows.put(SERIES, row)


def _by_series(events: Sequence[AnyEvent]) -> dict[Name, list[MetricLogged]]:
    """The metric events by series. This loop is a third of what a point costs."""
    metrics = [e for e in events if type(e) is MetricLogged]
    found: defaultdict[Name, list[MetricLogged]] = defaultdict(list)
    if not any(map(_labels_of, metrics)):
        for name, event in zip(map(_name_of, metrics), metrics, strict=True):
            found[name].append(event)
        if all(0 <= iteration < MAX_ITERATION for iteration, *_ in found):
            return found
        found.clear()
    for event in metrics:
        iteration = event.iteration if 0 <= event.iteration < MAX_ITERATION else 0
        found[iteration, event.key, labels_text(event.labels)].append(event)
    return found


def _offset(batch: Batch, event: MetricLogged) -> int:
    return next(offset for offset, e in enumerate(batch.events, batch.offset) if e is event)


def labels_text(labels: dict[str, str]) -> str:
    """The labels as the key of a series spells them."""
    return _labels.encode(labels).decode() if labels else ""


def _extend(rows: Rows, row: SeriesRow, events: Sequence[MetricLogged]) -> None:
    values = array("d", [e.value for e in events])
    row.tail_steps += to_bytes(integers([e.step for e in events]))
    row.tail_times += to_bytes(integers([e.time for e in events]))
    row.tail_values += to_bytes(values)
    low, high, nans = extremes(values)
    known_low, known_high, _ = row.extremes
    row.numbers = _NUMBERS.pack(
        low if known_low != known_low or low < known_low else known_low,
        high if known_high != known_high or high > known_high else known_high,
        values[-1],
    )
    row.nans += nans
    row.step, row.time = integers_of(row.tail_steps[-8:])[0], integers_of(row.tail_times[-8:])[0]
    full = row.count // CHUNK
    row.count += len(events)
    if row.count // CHUNK > full:
        _seal(rows, row, range(full, row.count // CHUNK))


def _seal(rows: Rows, row: SeriesRow, chunks: range) -> None:
    """Turn the oldest points of the tail into chunks."""
    tail, zstd = row.tail(), zstandard.ZstdCompressor(level=1)
    for at, n in enumerate(chunks):
        part = slice(at * CHUNK, (at + 1) * CHUNK)
        points = Points(tail.steps[part], tail.times[part], tail.values[part])
        rows.put(CHUNKS, ChunkRow(series=row.id, n=n, points=pack_points(points, zstd)))
        buckets = merge(single(points), _WIDE)
        rows.put(PYRAMID, PyramidRow(series=row.id, level=0, n=n, buckets=pack_buckets(buckets, zstd)))
        _raise(rows, row.id, n, buckets)
    rest = len(chunks) * CHUNK
    row.tail_steps, row.tail_times, row.tail_values = (to_bytes(c[rest:]) for c in (tail.steps, tail.times, tail.values))


def _raise(rows: Rows, series: int, n: int, buckets: Buckets) -> None:
    """Append the union of row `n` of level 0 to level 1, and so on up while rows become full."""
    level = 1
    while True:
        at = n // FANOUT
        row = rows.get(PYRAMID, series, level, at) or PyramidRow(series=series, level=level, n=at, buckets=b"")
        row.buckets += record_of(merge(buckets, (0, len(buckets))))
        rows.put(PYRAMID, row)
        if len(row.buckets) < FANOUT * RECORD:
            return
        buckets, n, level = buckets_of(row.buckets), at, level + 1
