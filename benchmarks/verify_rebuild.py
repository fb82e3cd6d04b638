"""Verify and rebuild: metric events a second when the whole log is checked, and when the views are folded anew."""

import time
from pathlib import Path

import anyio

from benchmarks.data import fill
from benchmarks.engine import engine
from benchmarks.figure import Figure, size
from events.log import open_log
from events.sqlite import open_sqlite
from events.verify import verify_chain
from projections.registry import PROJECTIONS
from projections.runner import run as follow
from projections.views import open_views


async def _measure(directory: Path, total: int) -> tuple[float, float, float]:
    """Seconds to verify, to rebuild, and to read and decode only."""
    async with engine(directory) as (log, views):
        await fill(log, total)
        await views.wait(log.head.offset, 600)
    async with open_sqlite(directory / "log.db", write=True) as store, open_log(store) as log:
        began = time.perf_counter()
        report = await verify_chain(log)
        verified = time.perf_counter() - began
        if not report.sound:
            raise RuntimeError(f"the log does not verify: {report}")
    async with open_sqlite(directory / "log.db", write=True) as store, open_log(store) as log:
        began = time.perf_counter()
        async with open_views(directory / "fresh.db", PROJECTIONS) as views, anyio.create_task_group() as tasks:
            tasks.start_soon(follow, log, views)
            await views.wait(log.head.offset, 600)
            tasks.cancel_scope.cancel()
        rebuilt = time.perf_counter() - began
    async with open_sqlite(directory / "log.db", write=True) as store, open_log(store) as log:
        began, seen = time.perf_counter(), 0
        async for batch in log.read():
            seen += len(batch.events)
        read = time.perf_counter() - began
    return verified, rebuilt, read


def run(directory: Path) -> list[Figure]:
    """One log, cold caches of ours, warm ones of the system."""
    total = size(1_000_000, 20_000)
    verified, rebuilt, read = anyio.run(_measure, directory, total)
    method, beside = f"{total:,} metric events in batches of 1,000", f"reading and decoding alone {total / read:,.0f}/s"
    return [
        Figure(
            verb="verify",
            name="events verified a second",
            value=total / verified,
            unit="/s",
            target=200_000,
            better="more",
            method=method,
            beside=beside,
        ),
        Figure(
            verb="rebuild",
            name="events rebuilt into views a second",
            value=total / rebuilt,
            unit="/s",
            target=200_000,
            better="more",
            method=method,
            beside=beside,
        ),
    ]
