"""Metric series: every bit of every point comes back, charts are exact, and little space is taken."""

import math
import random
import struct
from array import array
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from events.connection import SCRATCH
from events.types import Event, MetricLogged, RunCreated
from projections.metrics import Metrics
from projections.reads.metrics import chart, history, series_of, width_of
from projections.series import Points, integers, integers_of, pack_points, to_bytes, unpack_points
from projections.views import Views, open_views
from tests.oracle.histories import Told, fold

pytestmark = pytest.mark.anyio

NAN_WITH_A_MESSAGE = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_DEAD_BEEF))[0]
int64 = st.integers(-(2**63), 2**63 - 1)
floats = st.floats() | st.sampled_from([math.nan, NAN_WITH_A_MESSAGE, math.inf, -math.inf, -0.0, 0.0, 5e-324])
METRICS = (Metrics(),)


def bits(values: Sequence[float]) -> bytes:
    """What tells one NaN from another, and -0.0 from 0.0."""
    return array("d", values).tobytes()


@pytest.fixture
async def views() -> AsyncIterator[Views]:
    """Empty views."""
    async with open_views(SCRATCH, METRICS) as views:
        yield views


@given(st.lists(st.tuples(int64, int64, floats), max_size=40))
def test_a_chunk_keeps_every_bit(points: list[tuple[int, int, float]]) -> None:
    """Steps and times over the whole range of 64 bits and every float come back as they were."""
    columns = list(zip(*points, strict=True)) or [(), (), ()]
    made = Points(array("q", columns[0]), array("q", columns[1]), array("d", columns[2]))
    packed = pack_points(made, zstandard.ZstdCompressor())
    found = unpack_points([packed, packed])
    assert found.steps.tolist() == made.steps.tolist() * 2
    assert found.times.tolist() == made.times.tolist() * 2
    assert bits(found.values) == bits(made.values) * 2


def test_a_number_beyond_64_bits_is_the_nearest_within() -> None:
    """History is never refused."""
    assert integers([2**64, -(2**70), 5]).tolist() == [2**63 - 1, -(2**63), 5]
    assert integers_of(to_bytes(integers([1, -2]))).tolist() == [1, -2]


def noise(count: int, seed: int = 0, **fields: Any) -> list[MetricLogged]:
    """Points with random values, some of them not numbers, and jittered times."""
    some = random.Random(seed)
    special = [math.nan, NAN_WITH_A_MESSAGE, math.inf, -math.inf, -0.0]
    return [
        MetricLogged(
            time=10**18 + i * 10**7 + some.randrange(10**6),
            step=some.choice([i, i, i, i // 2, -i]),
            key="loss",
            value=some.choice(special) if some.random() < 0.1 else some.uniform(-1, 1),
            **fields,
        )
        for i in range(count)
    ]


@settings(max_examples=15)
@given(count=st.sampled_from([1, 15, 511, 512, 513, 1024, 2000, 17_000]), seed=st.integers(0, 99), data=st.data())
def test_grouping_changes_nothing(count: int, seed: int, data: st.DataObject) -> None:
    """Equal events give equal rows, byte for byte, however they came in batches."""
    events = noise(count, seed)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, count - 1)), max_size=6)) | {0, count})
    told, whole = Told(), Told()
    parts = [told.say("run/p/u", *events[a:b]) for a, b in pairwise(cuts) if a < b]
    dumps = [
        [db.execute(f"SELECT * FROM {t} ORDER BY 1, 2, 3").fetchall() for t in ("series", "chunks", "pyramid")]
        for db in (fold(parts, [1], METRICS), fold([whole.say("run/p/u", *events)], [1], METRICS))
    ]
    assert dumps[0] == dumps[1]


async def tell(views: Views, *batches: Sequence[Event]) -> None:
    """Fold batches of the run `u`."""
    told = Told()
    await views.apply([told.say("run/p/u", *events) for events in batches])
    assert not any(health.error for health in views.health.values())


async def test_history_gives_points_as_they_were_logged(views: Views) -> None:
    """In the order of the log, bit for bit, whole or by pages of any size."""
    events = noise(3000)
    await tell(views, events[:700], events[700:701], events[701:])
    whole = await history(views, "p", "u", "loss", limit=10_000)
    assert whole is not None
    assert (whole.count, whole.after, whole.next) == (3000, 0, 3000)
    assert whole.steps == [e.step for e in events]
    assert whole.times == [e.time for e in events]
    assert bits(whole.values) == bits([e.value for e in events])
    for size in (1, 511, 512, 513, 1000):
        at, values = 2500 - size, []
        while at < 3000:
            page = await history(views, "p", "u", "loss", after=at, limit=size)
            assert page is not None
            values += page.values
            at = page.next
        assert bits(values) == bits(whole.values[2500 - size :])
    beyond = await history(views, "p", "u", "loss", after=5000)
    assert beyond is not None
    assert (beyond.after, beyond.next, beyond.values) == (3000, 3000, [])
    assert await history(views, "p", "u", "acc") is None
    assert await history(views, "p", "u", "loss", 1) is None
    assert await chart(views, "p", "v", "loss") is None


def naive(events: Sequence[MetricLogged], width: int) -> list[tuple[Any, ...]]:
    """A chart by looking at every point."""
    found = []
    for i in range(0, len(events), width):
        part = events[i : i + width]
        numbers = [e.value for e in part if not math.isnan(e.value)]
        low, high = (min(numbers), max(numbers)) if numbers else (math.nan, math.nan)
        found.append((part[0].step, part[0].time, bits([part[0].value, part[-1].value, low, high]), len(part) - len(numbers)))
    return found


@pytest.mark.parametrize("count", [1, 16, 511, 512, 1000, 16_384, 16_385, 40_000])
async def test_a_chart_is_exact(views: Views, count: int) -> None:
    """First, last, least and greatest of every run of points are those of the points, at every width, NaN aside and counted."""
    events = noise(count, seed=count)
    for i in range(256, min(count, 300)):
        events[i] = MetricLogged(time=events[i].time, step=i, key="loss", value=math.nan)
    await tell(views, events)
    for points in (1, 2, 3, 7, 60, 100, 1000, 2000, 50_000):
        found = await chart(views, "p", "u", "loss", points=points)
        assert found is not None
        assert found.width == width_of(count, points)
        assert len(found.steps) <= points
        lows, highs = ([math.nan if math.isnan(v) else v for v in column] for column in (found.minima, found.maxima))
        ends = zip(found.firsts, found.lasts, lows, highs, strict=True)
        shown = list(zip(found.steps, found.times, map(bits, ends), found.nans, strict=True))
        assert shown == naive(events, found.width)


async def test_the_list_of_series_tells_of_each(views: Views) -> None:
    """Keys, iterations and sets of labels are series of their own, with count, last point, extremes and number of NaN."""
    rank = [MetricLogged(time=5, key="loss", value=float(r), step=1, labels={"rank": str(r), "a": "b"}) for r in range(2)]
    await tell(
        views,
        [RunCreated(time=1, name="n"), *noise(600)[:3], *rank],
        [MetricLogged(time=7, key="loss", value=v, step=s, iteration=2) for s, v in enumerate([3.0, -1.0, math.nan])],
        [MetricLogged(time=9, key="acc", value=math.nan)],
    )
    found = await series_of(views, "p", "u")
    assert [(s.key, s.iteration, s.labels, s.count) for s in found] == [
        ("loss", 0, {}, 3),
        ("loss", 0, {"a": "b", "rank": "0"}, 1),
        ("loss", 0, {"a": "b", "rank": "1"}, 1),
        ("loss", 2, {}, 3),
        ("acc", 0, {}, 1),
    ]
    child = (await series_of(views, "p", "u", 2))[0]
    assert (child.minimum, child.maximum, child.nans, child.last_step, child.last_time) == (-1.0, 3.0, 1, 2, 7)
    assert math.isnan(child.last)
    assert math.isnan(found[-1].minimum)
    of_rank = await history(views, "p", "u", "loss", labels={"rank": "1", "a": "b"})
    assert of_rank is not None
    assert of_rank.values == [1.0]
    plain = await history(views, "p", "u", "loss")
    assert plain is not None
    assert plain.labels == {}


async def test_a_point_takes_little_space() -> None:
    """At most 25 bytes a point in a views database, with random values and jittered times."""
    told, some = Told(), random.Random(1)
    events = [
        MetricLogged(time=10**18 + i * 10**8 + some.randrange(10**7), step=i // 4, key=f"k{i % 4}", value=some.random())
        for i in range(120_000)
    ]
    db = fold([told.say("run/p/u", *events[i : i + 1000]) for i in range(0, len(events), 1000)], [10], METRICS)
    pages, size = db.execute("PRAGMA page_count").fetchone()[0], db.execute("PRAGMA page_size").fetchone()[0]
    assert pages * size / len(events) <= 25
