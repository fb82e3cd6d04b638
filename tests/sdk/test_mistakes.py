"""What a newcomer gets wrong is named, with what to do about it; the job goes on, ends soon, and nobody sees a traceback of ours."""

import re
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import tracker
import tracker.aio
from tests.sdk.conftest import Job, Server
from tracker.errors import InvalidRequest

SCRIPT = """
    import time, tracker
    began = time.monotonic()
    with tracker.get_or_create_ctx("train", project="p") as run:
        run.log_metric("loss", 0.5)
        print(run.commit(), flush=True)
    print(time.monotonic() - began < 5, flush=True)
"""


def said(process: "subprocess.Popen[str]", stored: bool = False) -> str:
    """What a script that went well said on stderr."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.split() == [str(stored), "True"], err
    assert "Traceback" not in err
    return err


def test_all_well_is_silence(server: Server, job: Job, tmp_path: Path) -> None:
    """A job whose target works prints nothing of ours, at a server and in a directory, even where views have to be rebuilt."""
    assert said(job(server.uri, SCRIPT), stored=True) == ""
    assert said(job(str(tmp_path / "here"), SCRIPT), stored=True) == ""
    for path in (tmp_path / "here").glob("views-*"):  # as another version would have left them
        path.rename(path.with_name("views-0123456789abcdef" + path.name.partition(".")[1] + path.name.partition(".")[2]))
    assert said(job(str(tmp_path / "here"), SCRIPT), stored=True) == ""


def test_nobody_listens(job: Job, tmp_path: Path) -> None:
    """A wrong port: said once, in the system's words, with where the events are and which command delivers them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    err = said(job(uri, SCRIPT))
    assert err.count(f"{uri} does not answer (Connection refused)") == 1
    assert f"kept in {tmp_path / 'journals'}" in err
    assert f"tracker sync --uri {uri}" in err


def test_somebody_else_listens(job: Job) -> None:
    """An address where another kind of server answers is said to be none of a tracker's, and is not waited for."""

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(501, "Unsupported")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        uri = f"http://127.0.0.1:{other.server_port}"
        err = said(job(uri, SCRIPT))
        other.shutdown()
        thread.join()
    assert f"{uri} answered 501 Unsupported: is it a tracker?" in err


def test_a_path_that_is_not_there(server: Server, job: Job) -> None:
    """A base path too many is told apart from a server that is away."""
    assert f"{server.uri}/base is not the address of a tracker" in said(job(f"{server.uri}/base", SCRIPT))


def test_no_token_and_a_wrong_one(server: Server, job: Job) -> None:
    """A server with tokens: the message names TRACKER_TOKEN, and commit does not wait for what cannot be."""
    command = "from tracker.cli.main import main; main()"
    token = subprocess.run(
        [sys.executable, "-c", command, "token", "create", "--uri", server.uri, "--role", "writer", "--name", "x"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()[0]
    assert f"{server.uri} wants a token: put one into TRACKER_TOKEN" in said(job(server.uri, SCRIPT))
    assert "the token in TRACKER_TOKEN is not valid" in said(job(server.uri, SCRIPT, TRACKER_TOKEN="some.thing"))
    assert "the token in TRACKER_TOKEN holds characters" in said(job(server.uri, SCRIPT, TRACKER_TOKEN=token + "\n"))
    said(job(server.uri, SCRIPT, TRACKER_TOKEN=token), stored=True)


def test_a_place_that_cannot_be_written(server: Server, job: Job, tmp_path: Path) -> None:
    """A data directory, or a directory for journals, that cannot be made: named, and at the end it is said how many events are lost."""
    (tmp_path / "file").write_text("x")
    for process in (job(str(tmp_path / "file" / "data"), SCRIPT), job(server.uri, SCRIPT, TRACKER_JOURNALS=str(tmp_path / "file" / "j"))):
        err = said(process)
        assert err.count("cannot be written") == 1
        assert re.search(rf"\d+ events for \S+ are lost: no journal could be written in {tmp_path / 'file'}", err)
        assert "kept" not in err


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("ftp://host", "'ftp://host' has scheme 'ftp'"),
        ("localhost:8137", "http://localhost:8137"),
        ("http://", "like http://host:port"),
        ("http://me:secret@host", "TRACKER_TOKEN"),
        ("file://host/data", "file:///path"),
    ],
)
def test_a_uri_that_is_none(uri: str, words: str) -> None:
    """What is neither a directory nor a server is refused where it is said, with what would be right."""
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        tracker.get_or_create_ctx("x", uri=uri)


def test_a_run_that_is_left_open_is_spoken_of(server: Server, job: Job) -> None:
    """A script that forgets to end its run hears how to; its state stays what it was, since nobody knows whether the work was done."""
    process = job(server.uri, 'import tracker\ntracker.get_or_create_ctx("x", project="p", uid="r1").log_metric("m", 1)')
    _, err = process.communicate(timeout=60)
    assert "run p/r1 was left running: work in a `with` block, or call commit(completed=True)" in err
    assert server.run("r1")["state"] == "running"
    finished = job(server.uri, 'import tracker\ntracker.get_or_create_ctx("x", project="p", uid="r2").commit(completed=True)')
    assert finished.communicate(timeout=60)[1] == ""
    assert server.run("r2")["state"] == "completed"


@pytest.mark.parametrize("api", [tracker, tracker.aio])
def test_arguments_of_the_wrong_kind_are_named(api: Any, tmp_path: Path) -> None:
    """What a member cannot use is refused at the call, by the name of the parameter; nothing is swallowed, and no other error comes out."""
    run = api.Context.from_dict({"metadata": {"name": "x", "project": "p"}}, str(tmp_path / "data"), store_run=False)
    for field, call in (
        ("stream", lambda: run.set_logger_stream(5)),
        ("tmp", lambda: api.Context.from_dict({}, tmp=5)),
        ("key", lambda: run.get_param(["x"])),
        ("key", lambda: run.log_result(["x"], 1)),
        ("key", lambda: run.get_secret(["x"])),
        ("key", lambda: run.get_cached_artifact(["x"])),
        ("value", lambda: run.set_annotation("note", "half \ud800 pair")),
        ("host", lambda: run.set_hostname("a\nb")),
        ("host", lambda: run.set_hostname(None)),
        ("subpaths", lambda: run.artifact_subpath("a", None)),
    ):
        with pytest.raises(InvalidRequest) as caught:
            call()
        assert caught.value.field == field


def test_results_of_iterations_of_the_wrong_kind_are_named(tmp_path: Path) -> None:
    """A table that is no table, and a task that is no dict, are refused by name before anything is recorded."""
    run = tracker.Context.from_dict({"metadata": {"name": "x", "project": "p"}}, str(tmp_path / "data"), store_run=False)
    for field, call in (
        ("summary", lambda: run.log_iteration_results(0, 5, None)),  # type: ignore[arg-type]
        ("task", lambda: run.log_iteration_results(0, [["iter"], [1]], "best")),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidRequest) as caught:
            call()
        assert caught.value.field == field
    assert run.artifacts == {}
