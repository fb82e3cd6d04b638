"""Disk: bytes that a metric event takes in the log and in the views."""

from pathlib import Path

import anyio

from benchmarks import naive
from benchmarks.data import fill
from benchmarks.engine import engine, on_disk
from benchmarks.figure import Figure, number, size


async def _write(directory: Path, total: int) -> None:
    async with engine(directory) as (log, views):
        await fill(log, total)
        await views.wait(log.head.offset, 600)


def run(directory: Path) -> list[Figure]:
    """Batches of 1,000 random values over ten runs; databases closed, WAL folded in."""
    total = size(1_000_000, 20_000)
    anyio.run(_write, directory, total)
    rows = naive.bytes_per_event(directory / "naive.db", size(300_000, 20_000))
    method = f"{total:,} events of four metrics, random doubles, times with jitter, batches of 1,000"
    beside = f"a row per event with its index {number(rows)} B"
    return [
        Figure(
            verb="disk",
            name=f"bytes a metric event in the {name}",
            value=on_disk(directory, file) / total,
            unit="B",
            target=25,
            method=method,
            beside=beside,
        )
        for name, file in (("log", "log.db"), ("views", "views.db"))
    ]
