"""What is told by a process that ends at once, and what is never told: by a rebuild, a replay, a delivery of journals."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notifications.conftest import Receiver

JOB = """
import json, multiprocessing, sys
import tracker

def work(url):
    spec = {"notifications": [{"name": "hook", "kind": "webhook", "when": ["completed", "error"], "params": {"url": url}}]}
    context = tracker.Context.from_dict({"metadata": {"name": "n", "uid": "brief"}, "spec": spec})
    HOW

if __name__ == "__main__":
    if "SPAWN":
        process = multiprocessing.get_context("SPAWN").Process(target=work, args=(sys.argv[1],))
        process.start()
        process.join()
        sys.exit(process.exitcode)
    work(sys.argv[1])
"""


def cli(data: Path, *arguments: str) -> str:
    """What a command of the tracker prints."""
    command = [sys.executable, "-c", "from tracker.cli.main import main; main()", *arguments]
    done = subprocess.run(command, env={**os.environ, "TRACKER_URI": str(data)}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_job(tmp_path: Path, receiver: Receiver, how: str, spawn: str = "") -> tuple[int, str]:
    """Run the job; its exit code and what it said."""
    (tmp_path / "job.py").write_text(JOB.replace("HOW", how).replace("SPAWN", spawn))
    command = [sys.executable, str(tmp_path / "job.py"), receiver.url]
    done = subprocess.run(
        command, env={**os.environ, "TRACKER_URI": str(tmp_path / "data")}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("how", "spawn", "state"),
    [
        ("context.commit(completed=True)", "", "completed"),
        ("context.set_state('completed', commit=False)", "", "completed"),
        ("raise ValueError('unhandled')", "", "error"),
        ("context.set_state('completed', commit=False)", "spawn", "completed"),
    ],
)
def test_a_process_that_ends_at_once_has_told(tmp_path: Path, receiver: Receiver, how: str, spawn: str, state: str) -> None:
    """What a process has to tell goes out before it ends, and is on the record; and never again, whatever is done with that."""
    run_job(tmp_path, receiver, how, spawn)
    assert [body["state"] for body in receiver.bodies] == [state]
    history = cli(tmp_path / "data", "history", "default/brief")
    assert "hook" in history
    if state == "error":
        cli(tmp_path / "data", "rebuild")
    assert len(receiver.got) == 1


def test_a_channel_that_is_silent_delays_the_end_by_a_bound(tmp_path: Path, receiver: Receiver) -> None:
    """A process whose channel never answers ends all the same, and its run is complete."""
    receiver.gate.clear()
    how = "from tracker.notifications import notifier; context._context.on_state[0].__self__._bound = 1.0; context.commit(completed=True)"
    code, said = run_job(tmp_path, receiver, how)
    assert (code, said, len(receiver.got)) == (0, "", 1)
