"""History: a long metric series, raw and as a chart, over HTTP."""

import asyncio
import time
from pathlib import Path

from benchmarks import naive
from benchmarks.figure import Figure, number, percentile, size
from benchmarks.ingest import _send, requests
from benchmarks.serving import Server, serving

RUN = "/v1/projects/bench/runs/ingest-0/metrics"


def timed(server: Server, path: str, times: int, accept: str = "application/json") -> tuple[float, bytes]:
    """Median milliseconds of a GET, and its body."""
    found, body = [], b""
    for _ in range(times):
        began = time.perf_counter()
        body = server.get(path, accept)
        found.append((time.perf_counter() - began) * 1e3)
    return percentile(found, 50), body


def run(directory: Path) -> list[Figure]:
    """Whole replies at the client, connection made anew each time."""
    points = size(100_000, 5_000)
    with serving(directory / "history") as server:
        prepared = requests(server.port, 0, points * 4)
        asyncio.run(_send(server.port, prepared))
        while sum(s["count"] for s in server.ask(RUN)["series"]) < points * 4:
            time.sleep(0.02)
        raw, body = timed(server, f"{RUN}/history?key=loss&limit={points}", 9)
        packed, _ = timed(server, f"{RUN}/history?key=loss&limit={points}", 9, "application/x-msgpack")
        chart, _ = timed(server, f"{RUN}/chart?key=loss&points=2000", 15)
    rows = naive.history_ms(directory / "naive.db", points)
    return [
        Figure(
            verb="history",
            name=f"raw history of {points:,} points",
            value=raw,
            unit="ms",
            target=150,
            method=f"GET as JSON, {len(body) / 1e6:.1f} MB, median of 9; as msgpack {number(packed)} ms",
            beside=f"without HTTP: a row per point, SELECT and json.dumps {number(rows)} ms",
        ),
        Figure(
            verb="history",
            name=f"chart of 2,000 points out of {points:,}",
            value=chart,
            unit="ms",
            target=20,
            method="GET as JSON, every minimum and maximum kept, median of 15",
        ),
    ]
