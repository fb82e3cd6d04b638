"""Runs: whole small runs a second through the SDK, acknowledged by a server."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import Figure, size
from benchmarks.serving import serving

JOB = """
import sys, time, tracker
count = int(sys.argv[1])
parameters = {f"p{i}": i / 7 for i in range(10)}
labels = {f"l{i}": f"value {i}" for i in range(5)}
began = time.perf_counter()
for number in range(count):
    with tracker.get_or_create_ctx(f"run {number}", project="bench", parameters=parameters, labels=labels) as run:
        for i in range(10):
            run.log_metric(f"m{i}", number / (i + 1), step=i)
run.commit()
print(time.perf_counter() - began)
"""


def run(directory: Path) -> list[Figure]:
    """Ten parameters, ten metrics, five labels each; the clock stops when the server has acknowledged the last."""
    count = size(1_000, 50)
    with serving(directory / "runs") as server:
        environment = {**os.environ, "TRACKER_URI": server.url, "TRACKER_JOURNALS": str(directory / "journals")}
        done = subprocess.run([sys.executable, "-c", JOB, str(count)], env=environment, check=True, capture_output=True, text=True)
        query = f"limit=1000&filter=attributes.state%20%3D%20'completed'&min_offset={server.ask('/v1/info')['offset']}"
        stored = len(server.ask(f"/v1/projects/bench/runs?{query}")["runs"])
    if stored != min(count, 1_000):
        raise RuntimeError(f"{stored} of {count} runs are completed")
    return [
        Figure(
            verb="runs",
            name="whole runs a second through the SDK",
            value=count / float(done.stdout.split()[-1]),
            unit="/s",
            target=1_000,
            better="more",
            method=f"{count:,} contexts one after another in one process, 10 parameters, 10 metrics, 5 labels each, until acknowledged",
        )
    ]
