"""Waiting for runs of other processes, for runs whose job dies, and through restarts of the server."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.model.test_runs import begun, later, of
from tests.sdk.conftest import Server, until
from tracker.connection import PROCESS
from tracker.errors import RunFailed
from tracker.model import RunMetadata, RunObject


def test_another_process_is_waited_for_in_a_shared_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that another process records to the same directory is heard of, its log and its outputs read."""
    data = tmp_path / "data"
    program = """
        import sys, tracker
        with tracker.get_or_create_ctx("train", project="p") as context:
            context.logger.info("from afar")
            context.commit()
            print(context.uid, flush=True)
            sys.stdin.readline()
            context.log_result("x", 1)
    """
    env = {**os.environ, "TRACKER_URI": str(data), "TRACKER_JOURNALS": str(tmp_path / "journals")}
    job = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    monkeypatch.setenv("TRACKER_URI", str(data))
    try:
        assert job.stdout is not None
        uid = job.stdout.readline().strip()
        run = RunObject(metadata=RunMetadata(uid=uid, project="p"))
        assert run.state() == "running"
        with later(lambda: job.communicate("go\n")):
            assert run.wait_for_completion(sleep=1, timeout=60, show_logs=False) == "completed"
        assert run.outputs == {"x": 1}
    finally:
        job.kill()
        job.communicate()
        PROCESS.end()


def test_a_wait_outlives_a_restart_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server is killed and started again, a wait and a followed log go on where they were."""
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    server = Server(tmp_path / "data")
    server.start()
    monkeypatch.setenv("TRACKER_URI", server.uri)
    try:
        context = begun()
        run = of(context)
        states: list[str] = []
        with later(lambda: states.append(run.wait_for_completion(sleep=0.1, timeout=90, show_logs=False))):
            until(lambda: run.status.state == "running")
            server.signal(signal.SIGKILL)
            server.start()
            context.commit(completed=True)
        assert states == ["completed"]
    finally:
        PROCESS.end()
        assert server.process is not None
        server.process.kill()
        server.process.wait(15)


def test_a_run_whose_job_was_killed_is_not_waited_for_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that dies without a word is lost after a while: a wait ends with a reason, and so does a followed log."""
    monkeypatch.setenv("TRACKER_JOURNALS", str(tmp_path / "journals"))
    server = Server(tmp_path / "data")
    server.start(TRACKER_LOST_AFTER="3")
    monkeypatch.setenv("TRACKER_URI", server.uri)
    program = "import tracker; c = tracker.get_or_create_ctx('t', project='p'); c.commit(); print(c.uid, flush=True); input()"
    job = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert job.stdout is not None
        run = RunObject(metadata=RunMetadata(uid=job.stdout.readline().strip(), project="p"))
        assert run.state() == "running"
        watching: list[tuple[str, int]] = []
        with (
            later(lambda: watching.append(run.copy().logs())),
            later(job.kill),
            pytest.raises(RunFailed, match="ended as lost: no sign of life"),
        ):
            run.wait_for_completion(timeout=60)
        assert watching == [("lost", 0)]
    finally:
        job.kill()
        job.communicate()
        PROCESS.end()
        assert server.process is not None
        server.process.kill()
        server.process.wait(15)
