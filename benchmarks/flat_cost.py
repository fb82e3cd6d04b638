"""Flat cost: does an append get dearer, or the process bigger, as the log grows? BENCH_LENGTH sets the last length (default 10 million)."""

import os
import time
from pathlib import Path

import anyio

from benchmarks.data import batches, metrics
from benchmarks.engine import engine
from benchmarks.figure import Figure, number, percentile, rss, size
from events.log import EventLog
from events.record import New
from projections.views import Views

LENGTH = int(os.environ.get("BENCH_LENGTH", "0")) or size(10_000_000, 20_000)


async def one_by_one(log: EventLog, sequence: int, count: int) -> float:
    """Median microseconds of a single-event append."""
    times = []
    for i in range(count):
        new = New(stream="run/bench/single", events=list(metrics(1, first_step=sequence + i)), producer="single", sequence=sequence + i)
        began = time.perf_counter()
        await log.append(new, checked=True)
        times.append((time.perf_counter() - began) * 1e6)
    return percentile(times, 50)


async def _measure(directory: Path) -> tuple[list[tuple[int, float, float]], float]:
    """(length, us per event in batches, us per single append) at each power of ten, and the largest resident size in MiB."""
    found, largest, singles = [], 0.0, 1
    async with engine(directory) as (log, views):
        source, written, mark, spent, counted = batches(LENGTH * 2), 0, 1_000, 0.0, 0
        while written < LENGTH:
            new = next(source)
            began = time.perf_counter()
            await log.append(new, checked=True)
            spent, counted, written = spent + time.perf_counter() - began, counted + len(new.events), written + len(new.events)
            if written % 50_000 == 0:
                await _settle(log, views)
                largest = max(largest, rss())
            if written >= mark or written >= LENGTH:
                single = await one_by_one(log, singles, 300)
                singles += 300
                found.append((written, spent / counted * 1e6, single))
                mark, spent, counted = mark * 10, 0.0, 0
                await _settle(log, views)
        largest = max(largest, rss())
    return found, largest


async def _settle(log: EventLog, views: Views) -> None:
    """The views keep up: what waits for them is not of this measure."""
    await views.wait(log.head.offset, 600)


def run(directory: Path) -> list[Figure]:
    """The last decade against the first."""
    found, largest = anyio.run(_measure, directory)
    told = "; ".join(f"{length:,}: {number(batch)} us, {number(single)} us" for length, batch, single in found)
    return [
        Figure(
            verb="flat cost",
            name="cost of a single append at the end against the beginning",
            value=found[-1][2] / found[0][2],
            unit="x",
            target=1.5,
            method=f"log and views in process; length: per event in batches of 1,000, per single append: {told}",
        ),
        Figure(
            verb="flat cost",
            name="resident memory throughout",
            value=largest,
            unit="MiB",
            target=300,
            method=f"largest seen in the writing process, up to {LENGTH:,} events",
        ),
    ]
