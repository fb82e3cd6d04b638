"""Reading metric series: which there are, their points as logged, and charts of any length in a few milliseconds."""

import sqlite3
from collections.abc import Iterator

import msgspec

from projections.metrics import CHUNKS, PYRAMID, SERIES, SeriesRow, labels_text
from projections.series import BUCKET, CHUNK, FANOUT, Buckets, Points, buckets_of, merge, no_buckets, single, unpack_buckets, unpack_points
from projections.views import Views, select

PAGE = 10_000  # points of a history, unless more are asked for
MOST_BUCKETS = 100_000
_KNOWN = tuple(name for name in SeriesRow.__struct_fields__ if not name.startswith("tail_"))  # of a series, without its points


class Series(msgspec.Struct, frozen=True):
    """One series. `last`, `minimum` and `maximum` are NaN when no number was logged; `nans` counts values that are NaN."""

    key: str
    iteration: int
    labels: dict[str, str]
    count: int
    nans: int
    last_step: int
    last_time: int
    last: float
    minimum: float
    maximum: float


class History(msgspec.Struct, frozen=True):
    """Points in the order they were logged, from position `after` on; a history goes on at `next` until that is `count`."""

    key: str
    iteration: int
    labels: dict[str, str]
    count: int
    after: int
    next: int
    steps: list[int]
    times: list[int]
    values: list[float]


class Chart(msgspec.Struct, frozen=True):
    """Runs of `width` consecutive points: step and time of the first, first and last value, minimum, maximum, number of NaN.
    The last run may be shorter. Minimum and maximum are NaN where there is no number."""

    key: str
    iteration: int
    labels: dict[str, str]
    count: int
    width: int
    steps: list[int]
    times: list[int]
    firsts: list[float]
    lasts: list[float]
    minima: list[float]
    maxima: list[float]
    nans: list[int]


async def series_of(views: Views, project: str, uid: str, iteration: int | None = None) -> list[Series]:
    """The series of a run and its iterations (of one `iteration` when it is given), in the order of their first points."""
    of_one = "" if iteration is None else " AND iteration = ?"
    params = (project, uid) if iteration is None else (project, uid, iteration)
    known = ", ".join(_KNOWN)
    found = await views.fetch(f"SELECT {known} FROM series WHERE project = ? AND uid = ?{of_one} ORDER BY id", params)  # noqa: S608
    return [_series(SeriesRow(**dict(zip(_KNOWN, row, strict=True)))) for row in found]


async def history(
    views: Views,
    project: str,
    uid: str,
    key: str,
    iteration: int = 0,
    *,
    labels: dict[str, str] | None = None,
    after: int = 0,
    limit: int = PAGE,
) -> History | None:
    """At most `limit` points after the first `after`; None when there is no such series.

    `labels` None: the series without labels, or the first there is under the key.
    """

    def read(db: sqlite3.Connection) -> History | None:
        row = _find(db, project, uid, key, iteration, labels)
        if row is None:
            return None
        begin = min(max(0, after), row.count)
        end = min(begin + max(0, limit), row.count)
        points = _points(db, row, begin, end)
        columns = points.steps.tolist(), points.times.tolist(), points.values.tolist()
        return History(key, iteration, _labels(row), row.count, begin, end, *columns)

    return await views.query(read)


async def chart(
    views: Views, project: str, uid: str, key: str, iteration: int = 0, *, labels: dict[str, str] | None = None, points: int = 2_000
) -> Chart | None:
    """The whole series as at most `points` runs of points; None when there is no such series. Equal series give equal charts.

    A series of no more than `points` points is given as it is (width 1). `labels` as in `history`.
    """

    def read(db: sqlite3.Connection) -> Chart | None:
        row = _find(db, project, uid, key, iteration, labels)
        if row is None:
            return None
        width = width_of(row.count, min(max(1, points), MOST_BUCKETS))
        b = _buckets(db, row, width)
        x, ends = (b.steps.tolist(), b.times.tolist()), (b.firsts.tolist(), b.lasts.tolist())
        return Chart(key, iteration, _labels(row), row.count, width, *x, *ends, b.minima.tolist(), b.maxima.tolist(), b.nans.tolist())

    return await views.query(read)


def width_of(count: int, points: int) -> int:
    """How many points a run of a chart has: the least that suffices, above 16 the least multiple of a level of the pyramid."""
    width = -(-count // points) or 1
    if width <= BUCKET:
        return width
    unit = BUCKET
    while unit * FANOUT <= width:
        unit *= FANOUT
    return -(-width // unit) * unit


def _find(db: sqlite3.Connection, project: str, uid: str, key: str, iteration: int, labels: dict[str, str] | None) -> SeriesRow | None:
    where = "WHERE project = ? AND uid = ? AND iteration = ? AND key = ?"
    if labels is None:
        rows = select(db, SERIES, f"{where} ORDER BY labels <> '', id LIMIT 1", (project, uid, iteration, key))
    else:
        rows = select(db, SERIES, f"{where} AND labels = ?", (project, uid, iteration, key, labels_text(labels)))
    return rows[0] if rows else None


def _labels(row: SeriesRow) -> dict[str, str]:
    return msgspec.json.decode(row.labels, type=dict[str, str]) if row.labels else {}


def _series(row: SeriesRow) -> Series:
    low, high, last = row.extremes
    return Series(row.key, row.iteration, _labels(row), row.count, row.nans, row.step, row.time, last, low, high)


def _points(db: sqlite3.Connection, row: SeriesRow, begin: int, end: int) -> Points:
    """The points at positions `begin` to `end`, without `end`."""
    sealed = row.count // CHUNK
    first, last = begin // CHUNK, min(-(-end // CHUNK), sealed)
    chunks = select(db, CHUNKS, "WHERE series = ? AND n >= ? AND n < ? ORDER BY n", (row.id, first, last)) if first < last else []
    points = unpack_points(chunk.points for chunk in chunks)
    if end > sealed * CHUNK:
        tail = row.tail()
        points.steps += tail.steps
        points.times += tail.times
        points.values += tail.values
    start = first * CHUNK if chunks else sealed * CHUNK
    part = slice(begin - start, end - start)
    return Points(points.steps[part], points.times[part], points.values[part])


def _buckets(db: sqlite3.Connection, row: SeriesRow, width: int) -> Buckets:
    """The series in runs of `width` points."""
    if width % BUCKET:
        points = single(_points(db, row, 0, row.count))
        return points if width == 1 else merge(points, [*range(0, row.count, width), row.count])
    whole, edges, at = no_buckets(), list[int](), 0
    for unit, piece in _pieces(db, row, width):
        edges += range(len(whole) + (-at % width) // unit, len(whole) + len(piece), width // unit)
        whole.extend(piece.columns())
        at += len(piece) * unit
    return merge(whole, [*edges, len(whole)])


def _pieces(db: sqlite3.Connection, row: SeriesRow, width: int) -> Iterator[tuple[int, Buckets]]:
    """The series as buckets, from the highest level that suffices down to the points of the tail: how many points a bucket has, and the
    buckets that go on where those of the level above ended."""
    sealed, covered = row.count // CHUNK * CHUNK, 0
    units = [BUCKET]
    while width % (units[-1] * FANOUT) == 0:
        units.append(units[-1] * FANOUT)
    for level, unit in reversed(list(enumerate(units))):
        first, end = covered // unit, sealed // unit
        if first < end:
            where = "WHERE series = ? AND level = ? AND n BETWEEN ? AND ? ORDER BY n"
            blobs = [r.buckets for r in select(db, PYRAMID, where, (row.id, level, first // FANOUT, (end - 1) // FANOUT))]
            found = buckets_of(b"".join(blobs)) if level else unpack_buckets(blobs)
            yield unit, found.part(first % FANOUT, first % FANOUT + end - first)
            covered = end * unit
    if row.count > sealed:
        yield 1, single(row.tail())
