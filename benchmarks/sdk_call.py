"""The SDK call: what `log_metric` costs the caller's thread, with the server up, slow, or down."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, number, percentile, size
from benchmarks.serving import Server, append_body, free_port, serving
from events.types import MetricLogged

# A training loop that does nothing but log, in a process of its own. Prints p50 and p99 in microseconds.
JOB = """
import gc, sys, time, tracker
calls = int(sys.argv[1])
clock, times = time.perf_counter_ns, [0] * calls
run = tracker.get_or_create_ctx("sdk-call", project="bench")
for step in range(2000):
    run.log_metric("warm", 0.5, step=step)
for step in range(calls):
    began = clock()
    run.log_metric("loss", 0.5 + step, step=step)
    times[step] = clock() - began
times.sort()
print(times[calls // 2] / 1000, times[calls * 99 // 100] / 1000, flush=True)
import os
os._exit(0)  # what is left in the journal is not of interest here
"""


def measure(directory: Path, url: str, name: str) -> tuple[float, float]:
    """p50 and p99 of a call in a fresh process that records to `url`."""
    environment = {**os.environ, "TRACKER_URI": url, "TRACKER_JOURNALS": str(directory / f"journals-{name}")}
    command = [sys.executable, "-W", "ignore", "-c", JOB, str(size(50_000, 2_000))]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    p50, p99 = done.stdout.split()
    return float(p50), float(p99)


@contextlib.contextmanager
def slow_server() -> Iterator[str]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[socket.socket] = []

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for one in taken:
            one.close()


def naive_post(server: Server) -> float:
    """p50 in microseconds of what a client without a journal does: one POST per call, waiting for the reply."""
    connection, times = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30), []
    for i in range(1, size(500, 50)):
        began = time.perf_counter()
        event = MetricLogged(time=time.time_ns(), key="loss", value=0.5, step=i)
        body = append_body("run/bench/naive", "naive", i, [event])
        connection.request("POST", "/v1/events", body, {"Content-Type": "application/x-msgpack"})
        json.loads(connection.getresponse().read())
        times.append((time.perf_counter() - began) * 1e6)
    connection.close()
    return percentile(times, 50)


def run(directory: Path) -> list[Figure]:
    """The worst of three servers counts."""
    with serving(directory / "sdk") as server:
        measured = {"up": measure(directory, server.url, "up")}
        post = naive_post(server)
    with slow_server() as url:
        measured["slow"] = measure(directory, url, "slow")
    measured["down"] = measure(directory, f"http://127.0.0.1:{free_port()}", "down")
    told = "; ".join(f"{name} {number(p50)}/{number(p99)}" for name, (p50, p99) in measured.items())
    method = f"a loop that does nothing else, perf_counter_ns around each of {size(50_000, 2_000):,} calls; p50/p99: {told}"
    beside = f"a POST per call, reply awaited: p50 {number(post)} us"
    worst = [max(pair[i] for pair in measured.values()) for i in (0, 1)]
    return [
        Figure(
            verb="sdk call",
            name="log_metric p50, worst of up, slow, down",
            value=worst[0],
            unit="us",
            target=8,
            method=method,
            beside=beside,
        ),
        Figure(
            verb="sdk call",
            name="log_metric p99, worst of up, slow, down",
            value=worst[1],
            unit="us",
            target=80,
            method=method,
            beside=beside,
        ),
    ]
