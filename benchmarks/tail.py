"""Tail: how soon a line printed by a job is at everybody who watches, and what a watcher that stopped reading costs."""

import asyncio
import socket
import time
from pathlib import Path

from benchmarks.data import START
from benchmarks.figure import Figure, number, percentile, rss, size
from benchmarks.serving import Server, append_body, exchange, get, post, serving
from events.types import AttemptStarted, ConsoleWritten, RunCreated

FOLLOWERS, STOPPED = 100, 50


def _follow(port: int, run: str) -> bytes:
    return get(port, f"/v1/projects/bench/runs/{run}/log?follow=true")


def _begin(port: int, run: str) -> bytes:
    events = [RunCreated(time=START, name=run), AttemptStarted(time=START, attempt="a")]
    return post(port, append_body(f"run/bench/{run}", run, 1, events))


async def _watch(port: int, run: str, lines: int, arrivals: list[list[float]], ready: asyncio.Semaphore) -> None:
    """One follower: notes when each line arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_follow(port, run))
    await reader.readuntil(b"line start\n")
    ready.release()
    for i in range(lines):
        await reader.readuntil(f"line {i}\n".encode())
        arrivals[i].append(time.perf_counter())
    writer.close()


async def delays(server: Server, lines: int) -> list[float]:
    """Milliseconds from sending an append to each follower having its line."""
    arrivals: list[list[float]] = [[] for _ in range(lines)]
    sent, ready = [], asyncio.Semaphore(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await exchange(reader, writer, _begin(server.port, "live"))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(FOLLOWERS):
            tasks.create_task(_watch(server.port, "live", lines, arrivals, ready))
        await exchange(reader, writer, _console(server.port, "live", 3, b"line start\n"))
        for _ in range(FOLLOWERS):
            await ready.acquire()
        for i in range(lines):
            sent.append(time.perf_counter())
            await exchange(reader, writer, _console(server.port, "live", 4 + i, f"line {i}\n".encode()))
            await asyncio.sleep(0.1)
    writer.close()
    return [(at - began) * 1e3 for began, all_at in zip(sent, arrivals, strict=True) for at in all_at]


def _console(port: int, run: str, sequence: int, data: bytes) -> bytes:
    return post(port, append_body(f"run/bench/{run}", run, sequence, [ConsoleWritten(time=START, data=data)]))


async def print_much(server: Server, run: str, megabytes: int, followers: int = 0) -> list[socket.socket]:
    """Append that much console in pieces of 64 KiB, while some follow it and never read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await exchange(reader, writer, _begin(server.port, run))
    stuck = [_stopped(server.port, run) for _ in range(followers)]
    for i in range(megabytes * 16):
        await exchange(reader, writer, _console(server.port, run, 3 + i, (b"%063d\n" % i) * 1024))
    writer.close()
    return stuck


def _stopped(port: int, run: str) -> socket.socket:
    """A follower that asks and then never reads."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", port))
    one.sendall(_follow(port, run))
    return one


def stopped_cost(server: Server, megabytes: int) -> float:
    """KiB of the server's memory for each follower that has stopped reading."""
    before, largest = 0.0, rss(server.pid)
    for i in range(8):  # until the server's caches are as full as they get
        asyncio.run(print_much(server, f"before-{i}", megabytes))
        before, largest = largest, max(largest, rss(server.pid))
        if largest - before < 0.5 and i:
            break
    before = largest
    followers = asyncio.run(print_much(server, "stuck", megabytes, STOPPED))
    time.sleep(0.5)
    after = rss(server.pid)
    for one in followers:
        one.close()
    return max(0.0, (after - before) * 1024 / STOPPED)


def run(directory: Path) -> list[Figure]:
    """A hundred followers of one console; then twenty that never read."""
    lines, megabytes = size(50, 5), size(20, 2)
    with serving(directory / "tail") as server:
        found = asyncio.run(delays(server, lines))
    with serving(directory / "stopped") as server:
        cost = stopped_cost(server, megabytes)
    return [
        Figure(
            verb="tail",
            name=f"a console line is at {FOLLOWERS} followers, p50",
            value=percentile(found, 50),
            unit="ms",
            target=50,
            method=f"{lines} lines, 0.1 s apart, from sending the append to each follower's having it, all in one process; "
            f"p99 {number(percentile(found, 99))} ms",
            beside="polling once a second: 500 ms",
        ),
        Figure(
            verb="tail",
            name="a stopped follower costs the server",
            value=cost,
            unit="KiB",
            target=256,
            method=f"resident memory with {STOPPED} followers that read nothing of {megabytes} MiB printed, less what printing takes",
        ),
    ]
