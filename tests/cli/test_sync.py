"""What jobs killed with -9 left in their journals arrives, by a command, at the directory or the server it was meant for."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tests.cli.conftest import Tracker, free_port
from tracker.server.serve import running
from tracker.settings import Settings

JOB = """
import os, signal, warnings, tracker
warnings.simplefilter("ignore")
run = tracker.get_or_create_ctx("left behind", project="p", uid="dead")
run.__enter__()
for step in range(1000):
    run.log_metric("loss", 1 / (step + 1), step=step)
run.log_artifact("notes", body="what it wrote")
run.log_result("last", 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_job(uri: str, journals: Path) -> None:
    """A job that records to `uri` and is killed right after its last call."""
    environment = {**os.environ, "TRACKER_URI": uri, "TRACKER_JOURNALS": str(journals)}
    done = subprocess.run([sys.executable, "-c", JOB], env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def all_is_there(run: Tracker, uri: str) -> None:
    """Every call that had returned is in the log, once, and shows in the views."""
    seen = json.loads(run("show", "p/dead", "--json", "--uri", uri).stdout)
    assert [(one["key"], one["count"], one["last_step"]) for one in seen["metrics"]] == [("loss", 1000, 999)]
    assert seen["run"]["results"] == {"last": 1}
    assert [one["key"] for one in seen["artifacts"]] == ["notes"]


def test_a_killed_job_whose_server_was_away(run: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server was away while the job lived; once it is up, `sync` finds the journal by itself and delivers events and artifacts."""
    port, data = free_port(), tmp_path / "data"
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    killed_job(uri, tmp_path / "journals")
    assert "is the server up?" in run("sync", "--uri", uri, code=1).stderr
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running(Settings(data=data, port=port))):
        report = json.loads(run("sync", "--uri", uri, "--json").stdout)
        assert (report["delivered"], report["refused"]) == (1004, 0)
        assert "nothing to deliver" in run("sync", "--uri", uri).stdout
        all_is_there(run, uri)
    assert not list((tmp_path / "journals").glob("*.journal"))
    assert run("verify", "--uri", str(data)).stdout


def test_a_killed_job_that_recorded_to_a_directory(run: Tracker, tmp_path: Path) -> None:
    """The job was the directory's writer; `sync` delivers what it had not brought into the log, and verify proves the whole."""
    data = tmp_path / "data"
    killed_job(str(data), tmp_path / "journals")
    assert run("sync", "--uri", str(data)).stdout
    assert not list((data / "journals").glob("*.journal"))
    assert "nothing to deliver" in run("sync", "--uri", str(data)).stdout
    all_is_there(run, str(data))
    assert run("verify", "--uri", str(data)).stdout


def test_a_running_job_keeps_its_journal(run: Tracker, tmp_path: Path, server: str) -> None:
    """The journal of a job that lives is left to it, and said so."""
    journals = tmp_path / "journals"
    job = JOB.replace("os.kill(os.getpid(), signal.SIGKILL)", "print('here', flush=True); input()")
    environment = {**os.environ, "TRACKER_URI": "http://127.0.0.1:1", "TRACKER_JOURNALS": str(journals), "TRACKER_PATIENCE": "0"}
    with subprocess.Popen([sys.executable, "-c", job], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
            assert "left to running jobs: 1 journal" in run("sync", str(journals), "--uri", server).stdout
            assert len(list(journals.glob("*.journal"))) == 1
        finally:
            process.kill()
    assert "1,004" in run("sync", str(journals), "--uri", server).stdout
