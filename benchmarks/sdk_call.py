"""The SDK call: what `log_metric` costs the caller's thread, with the server up, slow, or down."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.figure import Figure, number, percentile, size
from benchmarks.serving import Server, append_body, free_port, serving
from events.types import MetricLogged

# A training loop that does nothing but log, in a process of its own. With a pace it sleeps up to each call's time, as a loop that
# computes would be busy. Prints p50 and p99 in microseconds.
JOB = """
import os, sys, time, tracker
calls, pause, alone = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "alone"
clock, times = time.perf_counter_ns, [0] * calls
if alone:  # the journal only: nobody sends
    from pathlib import Path
    from events.types import MetricLogged
    from tracker.recorder import Recorder
    recorder = Recorder("http://nowhere", Path(os.environ["TRACKER_JOURNALS"]))
    def log(key, value, step):
        recorder.record(b"run/bench/alone", (MetricLogged(time=time.time_ns(), key=key, value=value, step=step),))
else:
    log = tracker.get_or_create_ctx("sdk-call", project="bench").log_metric
for step in range(2000):
    log("warm", 0.5, step=step)
due = clock()
for step in range(calls):
    due += pause
    if pause and (rest := due - clock()) > 0:
        time.sleep(rest / 1e9)
    began = clock()
    log("loss", 0.5 + step, step=step)
    times[step] = clock() - began
times.sort()
print(times[calls // 2] / 1000, times[calls * 99 // 100] / 1000, flush=True)
os._exit(0)  # what is left in the journal is not of interest here
"""
PACE = 1_000_000  # nanoseconds between paced calls
STOPPED, RUNNING = 0.2, 0.05  # seconds of each turn of a slow server


def measure(directory: Path, url: str, name: str, *, pause: int = 0) -> tuple[float, float]:
    """p50 and p99 of a call in a fresh process that records to `url`; name "alone": that writes its journal, and has no sender."""
    environment = {**os.environ, "TRACKER_URI": url, "TRACKER_JOURNALS": str(directory / f"journals-{name}-{pause}")}
    calls = size(5_000, 500) if pause else size(50_000, 2_000)
    command = [sys.executable, "-W", "ignore", "-c", JOB, str(calls), str(pause), name]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    p50, p99 = done.stdout.split()
    return float(p50), float(p99)


@contextlib.contextmanager
def slowed(server: Server) -> Iterator[None]:
    """The server gets a fifth of the time: stopped, then running, in turns."""
    over = threading.Event()

    def turns() -> None:
        while not over.is_set():
            os.kill(server.pid, signal.SIGSTOP)
            over.wait(STOPPED)
            os.kill(server.pid, signal.SIGCONT)
            over.wait(RUNNING)

    thread = threading.Thread(target=turns)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


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


def told(measured: dict[str, tuple[float, float]]) -> str:
    """Pairs of p50 and p99, by name."""
    return "; ".join(f"{name} {number(p50)}/{number(p99)}" for name, (p50, p99) in measured.items())


def run(directory: Path) -> list[Figure]:
    """The worst of three servers counts."""
    away = f"http://127.0.0.1:{free_port()}"
    with serving(directory / "sdk") as server:
        measured = {"up": measure(directory, server.url, "up")}
        paced = {"up": measure(directory, server.url, "up", pause=PACE)}
        post = naive_post(server)
        with slowed(server):
            measured["slow"] = measure(directory, server.url, "slow")
    measured["down"] = measure(directory, away, "down")
    paced["down"] = measure(directory, away, "down", pause=PACE)
    alone = measure(directory, away, "alone", pause=PACE)
    method = f"a loop that does nothing else, perf_counter_ns around each of {size(50_000, 2_000):,} calls; p50/p99: {told(measured)}"
    worst = [max(pair[i] for pair in measured.values()) for i in (0, 1)]
    tight = Figure(
        verb="sdk call",
        name="log_metric p50, worst of up, slow, down",
        value=worst[0],
        unit="us",
        target=8,
        method=f"{method}; slow = stopped {STOPPED:g} s of every {STOPPED + RUNNING:g}",
        beside=f"a POST per call, reply awaited: p50 {number(post)} us",
    )
    name = "log_metric p99, worst of up, slow, down"
    slept = Figure(
        verb="sdk call",
        name="log_metric p99 at 1,000 calls/s, worst of up, down",
        value=max(p99 for _, p99 in paced.values()),
        unit="us",
        method=f"as above, {size(5_000, 500):,} calls, asleep in between, so caches are cold and the core wakes up; p50/p99: {told(paced)}",
        beside=f"the same with the journal written and nobody sending: {number(alone[0])}/{number(alone[1])}",
    )
    return [tight, msgspec.structs.replace(tight, name=name, value=worst[1], target=80), slept]
