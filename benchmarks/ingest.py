"""Ingest: metric events per second over HTTP, durable (fsync before the reply) and visible in the views."""

import asyncio
import time
from pathlib import Path

from benchmarks import naive
from benchmarks.data import KEYS, metrics
from benchmarks.figure import Figure, number, size
from benchmarks.serving import Server, append_body, exchange, post, serving

CONNECTIONS, BATCH = 2, 1_000


def requests(port: int, connection: int, total: int) -> list[bytes]:
    """All requests of one connection, encoded beforehand: the load must not compete with the server for the processor."""
    made = []
    for i in range(total // BATCH):
        events = metrics(BATCH, first_step=i * BATCH // 4, seed=connection)
        made.append(post(port, append_body(f"run/bench/ingest-{connection}", f"ingest-{connection}", i * BATCH + 1, events)))
    return made


async def _send(port: int, prepared: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in prepared:
        await exchange(reader, writer, request)
    writer.close()


def visible(server: Server) -> int:
    """Points the views show."""
    found = 0
    for connection in range(CONNECTIONS):
        series = server.ask(f"/v1/projects/bench/runs/ingest-{connection}/metrics")["series"]
        found += sum(one["count"] for one in series if one["key"] in KEYS)
    return found


async def _load(server: Server, prepared: list[list[bytes]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for one in prepared:
            tasks.create_task(_send(server.port, one))


def run(directory: Path) -> list[Figure]:
    """Two connections, batches of 1,000; the clock stops when the views show the last point."""
    total = size(1_000_000, 20_000)
    with serving(directory / "ingest") as server:
        prepared = [requests(server.port, c, total // CONNECTIONS) for c in range(CONNECTIONS)]
        began = time.perf_counter()
        asyncio.run(_load(server, prepared))
        durable = time.perf_counter() - began
        while visible(server) < total // CONNECTIONS // BATCH * BATCH * CONNECTIONS:
            time.sleep(0.01)
        seen = time.perf_counter() - began
    single = naive.one_insert_per_event(directory / "naive.db", size(20_000, 1_000))
    ceiling = naive.executemany(directory / "naive.db", size(300_000, 10_000))
    return [
        Figure(
            verb="ingest",
            name="metric events a second, durable and visible",
            value=total / seen,
            unit="/s",
            target=150_000,
            better="more",
            method=f"{total:,} events, POST /v1/events, msgpack, batches of {BATCH:,}, {CONNECTIONS} connections, load on the same cores; "
            f"durable alone {number(total / durable)}/s",
            beside=f"without HTTP: one INSERT per event {number(single)}/s; executemany of 1,000 rows {number(ceiling)}/s",
        )
    ]
