"""Search: the first page of a hundred runs out of many, with a metric and a parameter condition, ordered by a metric."""

import random
import time
from pathlib import Path

import anyio
import msgspec

from benchmarks.data import search_batch
from benchmarks.figure import Figure, number, percentile, size
from projections.reads.search import search_runs
from projections.registry import PROJECTIONS
from projections.views import Views, open_views

QUERIES = {
    "common": ("metrics.m1 < 0.9 AND params.p3 > 0.05", "metrics.m2 DESC"),
    "middling": ("metrics.m1 < 0.1 AND params.p0 LIKE 'adam%'", "metrics.m2"),
    "rare": ("metrics.m1 < 0.001 AND params.p2 = 'sgd-7'", "metrics.m2"),
    "none": ("metrics.m1 < 0.5 AND params.p4 = 'nothing'", "metrics.m2"),
}


async def fill(views: Views, runs: int) -> None:
    """Fold runs straight into the views; the log is not what is measured here."""
    rng, offset = random.Random(3), 1
    for first in range(0, runs, 500):
        group = []
        for number_ in range(first, min(first + 500, runs)):
            group.append(search_batch(offset, number_, rng))
            offset += group[-1].count
        await views.apply(group)


async def _measure(directory: Path, runs: int) -> tuple[dict[str, float], float]:
    async with open_views(directory / "views.db", PROJECTIONS) as views:
        await fill(views, runs)
        found: dict[str, float] = {}
        for name, (text, order) in QUERIES.items():
            times = []
            for _ in range(7):
                began = time.perf_counter()
                await search_runs(views, ["bench"], text, order, 100, "")
                times.append((time.perf_counter() - began) * 1e3)
            found[name] = percentile(times, 50)
        began = time.perf_counter()
        rows = await views.fetch("SELECT parameters, results FROM runs")
        kept = [p for p, _ in rows if msgspec.msgpack.decode(p).get("p3", 0) > 0.05]
        kept.sort()
        plain = (time.perf_counter() - began) * 1e3
    return found, plain


def run(directory: Path) -> list[Figure]:
    """Conditions that keep much, some, little and nothing; the slowest counts."""
    runs = size(100_000, 2_000)
    found, plain = anyio.run(_measure, directory, runs)
    told = ", ".join(f"{name} {number(ms)}" for name, ms in found.items())
    return [
        Figure(
            verb="search",
            name=f"first page of 100 out of {runs:,} runs",
            value=max(found.values()),
            unit="ms",
            target=50,
            method=f"two conditions and an order by metric, median of 7 each, without HTTP, the slowest of: {told}",
            beside=f"reading every run and filtering parameters in Python {number(plain)} ms",
        )
    ]
