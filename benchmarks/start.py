"""Start: import, server start, restart on a long log, and what an idle server costs."""

import subprocess
import sys
import time
from pathlib import Path

import anyio

from benchmarks.data import fill
from benchmarks.engine import engine
from benchmarks.figure import Figure, cpu_seconds, number, percentile, rss, size
from benchmarks.serving import serving


def import_ms(statement: str) -> float:
    """Median milliseconds of a fresh interpreter that runs `statement`."""
    times = []
    for _ in range(size(9, 3)):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append((time.perf_counter() - began) * 1e3)
    return percentile(times, 50)


def start_ms(data: Path, times: int) -> float:
    """Median milliseconds from starting the server's process to its first answer."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        with serving(data):
            found.append((time.perf_counter() - began) * 1e3)
    return percentile(found, 50)


def idle(data: Path, seconds: float) -> tuple[float, float]:
    """MiB and percent of a core of a server nobody asks."""
    with serving(data) as server:
        server.ask("/health")
        time.sleep(min(1.0, seconds))
        began = cpu_seconds(server.pid)
        time.sleep(seconds)
        return rss(server.pid), (cpu_seconds(server.pid) - began) / seconds * 100


async def _long_log(directory: Path, total: int) -> None:
    async with engine(directory) as (log, _):
        await fill(log, total)


def run(directory: Path) -> list[Figure]:
    """Everything that happens before the first event."""
    total = size(1_000_000, 20_000)
    bare, whole = import_ms("pass"), import_ms("import tracker; tracker.get_or_create_ctx")
    first = start_ms(directory / "fresh", size(5))
    anyio.run(_long_log, directory / "long", total)
    (directory / "long" / "views.db").unlink()
    with serving(directory / "long") as server:  # the views are folded once, under the server's own name
        while server.ask("/v1/info")["views"] < total:
            time.sleep(0.05)
    again = start_ms(directory / "long", size(3))
    seconds = size(50, 5) / 10
    memory, processor = idle(directory / "fresh", seconds)
    return [
        Figure(
            verb="start",
            name="import tracker, and what a first run needs of it",
            value=whole - bare,
            unit="ms",
            target=150,
            method=f"fresh interpreter, median, less {number(bare)} ms of a bare one",
        ),
        Figure(
            verb="start",
            name="server start to first answer",
            value=first,
            unit="ms",
            target=1_000,
            method="tracker serve on a fresh directory to 200 of /health, median",
        ),
        Figure(
            verb="start",
            name=f"restart to ready with {total:,} events",
            value=again,
            unit="ms",
            target=3_000,
            method="the same on a long log with its views, median",
        ),
        Figure(verb="idle", name="memory of an idle server", value=memory, unit="MiB", target=100, method="resident size"),
        Figure(
            verb="idle",
            name="processor of an idle server",
            value=processor,
            unit="%",
            target=0.5,
            method=f"of one core, over {seconds:g} s",
        ),
    ]
