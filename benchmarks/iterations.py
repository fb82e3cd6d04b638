"""Iterations: a grid of trivial ones, from the call that starts it until all of them are recorded and to be seen."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import Figure, number, size
from benchmarks.serving import serving

# Prints seconds until run_function returned, until all iterations were to be seen, and of the handler's calls alone.
JOB = """
import sys, time, tracker
from tracker.connection import PROCESS

def job(context, x):
    context.log_result("y", x * x)

count, options = int(sys.argv[1]), {"parallel_runs": int(sys.argv[2]), "selector": "max.y"}
if __name__ == "__main__":
    began = time.perf_counter()
    run = tracker.run_function(job, project="bench", hyperparams={"x": list(range(count))}, hyper_param_options=options)
    returned = time.perf_counter() - began
    uid = run.metadata.uid
    reply = PROCESS.connection().ask("GET", f"/v1/projects/bench/runs/{uid}").result(60)
    seen = time.perf_counter() - began
    children = PROCESS.connection().ask("GET", f"/v1/projects/bench/runs/{uid}/iterations").result(60)["iterations"]
    completed = sum(child["state"] == "completed" for child in children)
    if reply["results"]["best_iteration"] != count or completed < min(count, len(children)) or reply["children"] != count:
        sys.exit(f"{completed} of {reply['children']} iterations of {count} are completed")
    print(returned, seen)
"""


def measure(directory: Path, uri: str, count: int, parallel: int = 0) -> float:
    """Iterations a second, seen at the target."""
    program = directory / "job.py"
    program.write_text(JOB)
    environment = {**os.environ, "TRACKER_URI": uri, "TRACKER_JOURNALS": str(directory / "journals")}
    command = [sys.executable, str(program), str(count), str(parallel)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return count / float(done.stdout.split()[-1])


def run(directory: Path) -> list[Figure]:
    """In process against a directory, and against a server; in two processes beside it."""
    count, few = size(1_000, 20), size(200, 4)
    local = measure(directory, str(directory / "data"), count)
    processes = measure(directory, str(directory / "data"), few, parallel=2)
    with serving(directory / "served") as server:
        remote = measure(directory, server.url, count)
    figure = Figure(
        verb="iterations",
        name="iterations a second of a grid, in process, worst of directory and server",
        value=min(local, remote),
        unit="/s",
        target=300,
        better="more",
        method=f"run_function over {count:,} values with one result each, until the views have all and the best; "
        f"directory {number(local)}, server {number(remote)}",
        beside=f"in two processes, their start included, {few:,} iterations: {number(processes)} /s",
    )
    return [figure]
