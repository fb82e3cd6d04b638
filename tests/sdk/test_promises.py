"""The names, places and facts that users were promised."""

import inspect
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.sdk.conftest import Job, Server, until

# As the API that users come from documents them; `step` is ours, and comes last.
SIGNATURES: dict[str, dict[str, Any]] = {
    "commit": {"message": "", "completed": False},
    "get_child_context": {"with_parent_params": False, "params": inspect.Parameter.empty},
    "get_param": {"key": inspect.Parameter.empty, "default": None},
    "log_artifact": {
        "item": inspect.Parameter.empty,
        "body": None,
        "local_path": None,
        "artifact_path": None,
        "tag": "",
        "viewer": None,
        "target_path": "",
        "src_path": None,
        "upload": None,
        "labels": None,
        "format": None,
        "db_key": None,
        "kwargs": inspect.Parameter.empty,
    },
    "log_metric": {"key": inspect.Parameter.empty, "value": inspect.Parameter.empty, "timestamp": None, "labels": None, "step": None},
    "log_metrics": {"keyvals": inspect.Parameter.empty, "timestamp": None, "labels": None, "step": None},
    "log_result": {"key": inspect.Parameter.empty, "value": inspect.Parameter.empty, "commit": False},
    "log_results": {"results": inspect.Parameter.empty, "commit": False},
    "mark_as_best": {},
    "set_annotation": {"key": inspect.Parameter.empty, "value": inspect.Parameter.empty, "replace": True},
    "set_label": {"key": inspect.Parameter.empty, "value": inspect.Parameter.empty, "replace": True},
    "set_logger_stream": {"stream": inspect.Parameter.empty},
    "set_state": {"execution_state": None, "error": None, "commit": True},
    "to_dict": {},
    "to_json": {},
    "to_yaml": {},
    "update_child_iterations": {"best_run": 0, "commit_children": False, "completed": True},
}
PROPERTIES = ["annotations", "artifacts", "iteration", "labels", "log_level", "logger", "parameters", "project", "results", "state"]


def test_methods_have_the_documented_parameters() -> None:
    """Code that was written for the documented context calls ours: same names, same order, same defaults."""
    for name, wanted in SIGNATURES.items():
        found = inspect.signature(getattr(tracker.Context, name)).parameters
        assert {k: p.default for k, p in found.items() if k != "self"} == wanted, name
        assert list(found)[1:] == list(wanted), name
    for name in (*PROPERTIES, "tag", "uid"):
        assert isinstance(inspect.getattr_static(tracker.Context, name), property), name
    assert tracker.Context.kind == "run"


def test_every_form_of_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, a Path, a relative one, file:// and TRACKER_URI name a directory; ./tracker-data is the default."""
    monkeypatch.chdir(tmp_path)
    for number, uri in enumerate([str(tmp_path / "0"), tmp_path / "1", "2", f"file://{tmp_path / '3'}"]):
        with tracker.get_or_create_ctx("x", uri=uri) as run:
            assert run.commit()
        assert (tmp_path / str(number) / "log.db").exists()
    monkeypatch.setenv("TRACKER_URI", "4")
    with tracker.get_or_create_ctx("x") as run:
        assert run.commit()
    monkeypatch.delenv("TRACKER_URI")
    with tracker.get_or_create_ctx("x") as run:
        assert run.commit()
    assert (tmp_path / "4" / "log.db").exists()
    assert (tmp_path / "tracker-data" / "log.db").exists()


def test_what_is_recorded_is_nobody_elses(server: Server, tmp_path: Path) -> None:
    """Directories are 0700 and files 0600, whoever made them: the server, a job with a directory, a job with a journal."""
    for uri in (server.uri, str(tmp_path / "job" / "data")):
        with tracker.get_or_create_ctx("x", uri=uri) as run:
            run.log_artifact("notes", body="text")
            assert run.commit()
    for made in (server.data, tmp_path / "job", tmp_path / "journals"):
        for path in (made, *made.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has mode {mode:o}"


def test_facts_about_the_process(server: Server, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host, interpreter, command and the version of the code stand in the attempt; values of options that sound secret do not."""
    for command in (
        ["init", "-q", "-b", "work"],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "--allow-empty", "-m", "one"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["git", "remote", "add", "origin", "https://me:hunter2@example.org/code.git"], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()
    process = job(
        server.uri,
        f"""
        import os, sys, tracker
        os.chdir({str(tmp_path)!r})
        sys.argv = ["train.py", "--epochs", "3", "--api-key", "hunter2", "--password=hunter2"]
        with tracker.get_or_create_ctx("x", project="p", uid="r1"): pass
        """,
    )
    assert process.communicate(timeout=60)[1] == ""
    (facts,) = (e["event"]["facts"] for e in server.events("r1") if e["event"]["type"] == "attempt.started")
    assert (facts["pid"], facts["host"]) == (process.pid, os.uname().nodename)
    assert facts["command"] == ["train.py", "--epochs", "3", "--api-key", "***", "--password=***"]
    assert facts["python"].startswith("3.")
    git = facts["git"]
    assert (git["branch"], git["commit"], git["dirty"], git["remote"]) == ("work", head, False, "https://example.org/code.git")
    assert "hunter2" not in json.dumps(server.events("r1"))


def test_the_logger_can_be_led_elsewhere(server: Server) -> None:
    """`set_logger_stream` sends lines to a stream of the user's, and still into the run's console; `log_level` filters both."""
    import io

    elsewhere = io.StringIO()
    with tracker.get_or_create_ctx("x", project="p", uid="r1", uri=server.uri) as run:
        run.set_logger_stream(elsewhere)
        run.log_level = "warning"
        run.logger.info("unheard")
        run.logger.warning("heard", epoch=3)
        assert run.commit()
    assert "[warning] heard epoch=3\n" in elsewhere.getvalue()
    assert "unheard" not in elsewhere.getvalue()
    assert until(lambda: server.bytes("/v1/projects/p/runs/r1/log")).decode() == elsewhere.getvalue()
