"""However a job ends, the run says how, as far as anybody can know, and what was said before is there."""

import signal

import pytest

from tests.sdk.conftest import Job, Server

SCRIPT = """
    import os, signal, sys, time, tracker
    with tracker.get_or_create_ctx("train", project="p", uid="r1") as run:
        run.log_metric("loss", 0.5)
        {end}
"""


@pytest.mark.parametrize(
    ("end", "code", "state", "error"),
    [
        ("pass", 0, "completed", ""),
        ("sys.exit()", 0, "completed", ""),
        ("sys.exit(3)", 3, "error", "SystemExit: 3"),
        ("raise ValueError('boom')", 1, "error", "ValueError: boom"),
        ("run.commit(); os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", -signal.SIGINT, "aborted", "KeyboardInterrupt"),
    ],
)
def test_the_end_of_a_block_is_the_end_of_the_run(server: Server, job: Job, end: str, code: int, state: str, error: str) -> None:
    """A normal end, sys.exit, an exception and Ctrl-C each leave their state, error and exit code."""
    process = job(server.uri, SCRIPT.format(end=end))
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.count("Traceback") == (0 if "Exit" in error or not error else 1)
    run = server.run("r1")
    assert (run["state"], run["metrics"]["loss"]) == (state, 0.5)
    assert run.get("error", "").startswith(error)


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)"])
def test_an_end_without_warning_loses_nothing(server: Server, job: Job, end: str) -> None:
    """os._exit and SIGTERM give nobody time to say goodbye: the next job delivers what was said, and the run still counts as running."""
    job(server.uri, SCRIPT.format(end=end)).communicate(timeout=60)
    job(server.uri, SCRIPT.replace("r1", "r2").format(end="pass")).communicate(timeout=60)
    run = server.run("r1")
    assert (run["state"], run["metrics"]["loss"]) == ("running", 0.5)
