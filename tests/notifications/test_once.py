"""A change of state is told once: over several attempts, after a crash, after an end that was none, and in no copy of the log."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notifications.conftest import Receiver
from tests.notifications.test_endings import cli

ATTEMPT = """
import os, signal, sys
import tracker

hook = {"name": "hook", "kind": "webhook", "when": ["running", "odd", "completed", "error"], "params": {"url": sys.argv[1]}}
context = tracker.get_or_create_ctx("again", uid="again", spec={"spec": {"notifications": [hook]}})
context.log_result("begun", 1)
HOW
"""

COMPLETES = "context.commit(completed=True)"
CRASHES = "tracker.flush(); [wait() for wait in list(context._context.connection.waits)]; os.kill(os.getpid(), signal.SIGKILL)"
FAILS_LATE = "with context:\n    context.commit(completed=True)\n    raise ValueError('after its end')"
REPEATS = "[context.set_state('odd') for _ in range(3)]; context.commit(completed=True); context.commit(completed=True)"


def attempt(tmp_path: Path, receiver: Receiver, how: str) -> int:
    """One process that works on the run; how it ended."""
    command = [sys.executable, "-c", ATTEMPT.replace("HOW", how), receiver.url]
    environment = {**os.environ, "TRACKER_URI": str(tmp_path / "data")}
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False, cwd=tmp_path).returncode


@pytest.mark.parametrize(
    ("attempts", "told"),
    [
        ([(COMPLETES, 0), (COMPLETES, 0)], ["running", "completed", "running", "completed"]),
        ([(CRASHES, -signal.SIGKILL), (CRASHES, -signal.SIGKILL), (COMPLETES, 0)], ["running", "completed"]),
        ([(FAILS_LATE, 1), (COMPLETES, 0)], ["running", "completed", "error", "running", "completed"]),
        ([(REPEATS, 0)], ["running", "odd", "completed"]),
    ],
)
def test_each_change_is_told_once(tmp_path: Path, receiver: Receiver, attempts: list[tuple[str, int]], told: list[str]) -> None:
    """Attempts tell what they change: a run that is taken up again is running again, but not one that was running all the time."""
    for how, code in attempts:
        assert attempt(tmp_path, receiver, how) == code
    assert [body["state"] for body in receiver.bodies] == told


def test_a_copy_tells_nobody(tmp_path: Path, receiver: Receiver) -> None:
    """A log that is imported elsewhere, and whose views are built anew there, shows what was told, and tells nobody."""
    attempt(tmp_path, receiver, COMPLETES)
    (tmp_path / "log.jsonl").write_text(cli(tmp_path / "data", "export"))
    cli(tmp_path / "copy", "import", str(tmp_path / "log.jsonl"))
    cli(tmp_path / "copy", "rebuild")
    assert "hook" in cli(tmp_path / "copy", "history", "default/again")
    assert [body["state"] for body in receiver.bodies] == ["running", "completed"]
