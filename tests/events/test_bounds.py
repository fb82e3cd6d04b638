"""Bounded memory, for any length of the log and any number of slow readers; and what a kill leaves behind."""

import random
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from events.log import EventLog
from events.recent import Recent
from events.record import Batch, New
from events.verify import verify_chain

pytestmark = pytest.mark.anyio

Make = Callable[..., New]
OpenLog = Callable[[], AbstractAsyncContextManager[EventLog]]
MIB = 1024 * 1024


@pytest.fixture
async def long_log(opened: OpenLog, console: Make) -> AsyncIterator[EventLog]:
    """A log of 48 MiB that do not compress, freshly opened, so that none of it is in memory."""
    data = random.Random(1).randbytes(64 * 1024 + 800)
    async with opened() as log:
        for n in range(768):
            await log.append(console(n + 1, data[n : n + 64 * 1024]), checked=True)
    async with opened() as log:
        yield log


def peak() -> int:
    """The most memory used since the last call."""
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    return most


async def test_reading_a_long_log_takes_little_memory(long_log: EventLog) -> None:
    """Reading, tailing and verifying 48 MiB take a few MiB at most."""
    tracemalloc.start()
    try:
        peak()
        assert sum([len(batch.body) async for batch in long_log.read()]) > 45 * MIB
        assert peak() < 6 * MIB
        async with aclosing(long_log.tail()) as tail:
            async for batch in tail:
                assert batch.events
                if batch.last == long_log.head.offset:
                    break
        assert peak() < 6 * MIB
        assert (await verify_chain(long_log)).sound
        assert peak() < 24 * MIB
    finally:
        tracemalloc.stop()


async def test_stopped_followers_cost_little(long_log: EventLog) -> None:
    """A hundred followers that stopped at different places hold at most 256 KiB each."""
    tails = [long_log.tail(n * 7) for n in range(100)]
    tracemalloc.start()
    try:
        for tail in tails:
            assert (await anext(tail)).offset
        now, _ = tracemalloc.get_traced_memory()
        assert now < 100 * 256 * 1024
    finally:
        tracemalloc.stop()
        for tail in tails:
            await tail.aclose()  # type: ignore[attr-defined]


def test_what_is_kept_in_memory_is_bounded_and_unbroken() -> None:
    """The last batches in memory are a bounded, gapless stretch up to the head; before it, readers are sent to the store."""
    recent = Recent(0, limit=100_000)
    offset, dice = 0, random.Random(1)
    for _ in range(2000):
        count = dice.randrange(1, 9)
        batch = Batch(
            offset=offset + 1,
            count=count,
            stream=f"s{dice.randrange(5)}",
            version=1,
            recorded_at=1,
            actor="",
            producer="p",
            sequence=1,
            body=bytes(dice.randrange(2000)),
            digest=b"",
        )
        recent.add(batch, [], len(batch.body))
        offset += count
    assert recent.after(offset, None, None, 10, 10**9) == []
    assert recent.after(recent.floor - 2, None, None, 10, 10**9) is None
    everything = recent.after(recent.floor - 1, None, None, 10**6, 10**9)
    assert everything
    assert everything[0].offset == recent.floor
    assert everything[-1].last == offset
    assert all(a.last + 1 == b.offset for a, b in pairwise(everything))
    assert 20_000 < sum(len(batch.body) for batch in everything) < 100_000
    for stream in ("s0", "s4", "none"):
        mine = [batch for batch in everything if batch.stream == stream]
        assert recent.after(recent.floor - 1, stream, None, 10**6, 10**9) == mine
        assert recent.after(recent.floor - 1, stream, None, 2, 10**9) == mine[:2]
        if mine:
            assert recent.after(mine[0].last, stream, None, 10**6, 10**9) == mine[1:]
    assert recent.after(recent.floor - 1, None, "s", 10**6, 10**9) == everything
    assert recent.after(recent.floor - 1, None, None, 10, 1) == everything[:1]


WRITE = """
import anyio, sys
from pathlib import Path
from events.log import open_log
from events.record import New
from events.sqlite import open_sqlite
from events.types import MetricLogged

async def produce(log, name, position):
    while True:
        events = [MetricLogged(time=1, key="loss", value=float(position + i)) for i in range(1, 1 + position % 7 + 1)]
        receipt = await log.append(New(stream=f"run/p/{name}", events=events, producer=name, sequence=position + 1))
        position += len(events)
        print(f"{name} {position} {receipt.offset}", flush=True)

async def main():
    async with open_sqlite(Path(sys.argv[1]), write=True) as store, open_log(store) as log, anyio.create_task_group() as tasks:
        for name in "abcd":
            tasks.start_soon(produce, log, name, await log.position(name))

anyio.run(main)
"""


async def test_a_killed_writer_loses_nothing_it_acknowledged(opened: OpenLog, path: Path) -> None:
    """Killed at any moment, again and again, the log holds every acknowledged event once, in order, gapless, and verifies."""
    dice = random.Random(time.time_ns())
    acknowledged: dict[str, int] = {}
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            end = dice.randrange(1, 300)
            for i, line in enumerate(process.stdout):
                if not line.endswith("\n"):
                    break  # killed in the middle of saying it
                name, position, _ = line.split()
                acknowledged[name] = int(position)
                if i == end:
                    process.send_signal(signal.SIGKILL)
        async with opened() as log:
            assert (await verify_chain(log)).sound
            for name, position in acknowledged.items():
                assert await log.position(name) >= position
                values = [event.value async for batch in log.read(stream=f"run/p/{name}") for event in batch.events]  # type: ignore[union-attr]
                assert values == [float(i + 1) for i in range(len(values))]
    assert len(acknowledged) == 4
