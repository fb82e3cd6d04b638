"""At a real terminal: harmless, live, and quiet when it is left."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import free_port

PROGRAM = [sys.executable, "-c", "from tracker.cli.main import main; main()"]
PATIENCE = 20.0  # seconds until a condition that must come true counts as failed
RUN = "digits/aaaa1111"


class Terminal:
    """A `tracker` in a terminal; what it has written so far is in `seen`."""

    def __init__(self, *words: str, columns: int) -> None:
        self._ours, theirs = pty.openpty()
        environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*PROGRAM, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)
        self.seen = b""

    def until(self, text: bytes) -> None:
        """Wait until it has written this."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert self._read(end), self.seen

    def rest(self) -> bytes:
        """All it writes up to its end."""
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        self.process.wait(PATIENCE)
        return self.seen

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
        try:
            found = os.read(self._ours, 65536) if ready else b""
        except OSError:  # the other side has closed it
            found = b""
        self.seen += found
        return bool(found)

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@contextmanager
def terminal(*words: str, columns: int = 100) -> Iterator[Terminal]:
    """Run `tracker` in a terminal."""
    with closing(Terminal(*words, columns=columns)) as found:
        yield found


def record(server: str, sequence: int, *events: dict[str, Any], stream: str = "run/digits/live") -> None:
    """Record events of a job."""
    body = {"batches": [{"stream": stream, "producer": "live", "sequence": sequence, "events": list(events)}]}
    request = urllib.request.Request(f"{server}/v1/events", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    "words", [["runs"], ["show", "digits/bbbb2222"], ["replay", "digits/bbbb2222"], ["events"], ["tail", RUN], ["history", "digits/bb"]]
)
def test_nothing_a_job_wrote_drives_the_terminal(data: Path, words: list[str]) -> None:
    """Hostile names, values, errors and console text appear as text: only colours come out as escape sequences."""
    with terminal(*words, "--uri", str(data)) as found:
        text = re.sub(rb"\x1b\[[0-9;]*m", b"", found.rest())
        assert found.process.returncode == 0, text
    text = re.sub(rb"\x1b\[\?25[hl]|\x1b\[[12]?[KA]", b"", text)  # our own progress bar hides and shows the cursor
    assert b"\x1b" not in text
    assert b"\x07" not in text
    assert "\u202e".encode() not in text


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_a_table_fits_the_terminal(data: Path, columns: int) -> None:
    """No line is longer than it; name, state and result of a run are always there, and where there is room, more."""
    with terminal("runs", "attributes.uid = 'aaaa1111'", "--iterations", "--uri", str(data), columns=columns) as found:
        page = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found.rest().decode())
    rows = [row for row in page.splitlines() if "aaaa1111" in row]
    assert len(rows) == 4
    assert all(len(row) <= columns for row in page.splitlines())
    assert all("train" in row and "✓ completed" in row for row in rows)
    assert all("accuracy 0.9" in row for row in rows if "#" in row)
    assert ("started" in page) == (columns >= 100)


def test_long_ids_are_cut_where_people_look(server: str) -> None:
    """Of a uid that the tracker made, a terminal shows the beginning, which commands take; a pipe gets all of it."""
    uid = "0123456789abcdef" * 2
    record(server, 1, {"type": "run.created", "time": 1, "name": "long"}, stream=f"run/digits/{uid}")
    with terminal("runs", "attributes.name = 'long'", "--uri", server) as found:
        assert b"digits/0123456789ab " in re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", found.rest())
    with terminal("show", "digits/0123456789ab", "--uri", server) as found:
        assert uid.encode() in found.rest()
    piped = subprocess.run(
        [*PROGRAM, "runs", "attributes.name = 'long'", "--uri", server], capture_output=True, text=True, timeout=60, check=True
    )
    assert uid in piped.stdout
    assert not [row for row in piped.stdout.splitlines() if row != row.rstrip()]


def test_a_tail_follows_until_the_run_has_ended(server: str) -> None:
    """What a job prints is on the screen while it runs; the tail ends by itself when the run does."""
    record(server, 1, {"type": "run.created", "time": 1, "name": "live"}, {"type": "attempt.started", "time": 2, "attempt": "a"})
    record(server, 3, {"type": "console.written", "time": 3, "data": "Zmlyc3QK"})
    with terminal("tail", "digits/live", "--follow", "--uri", server) as tail:
        tail.until(b"first\r\n")
        record(server, 4, {"type": "console.written", "time": 4, "data": "c2Vjb25kCg=="})
        tail.until(b"second\r\n")
        assert tail.process.poll() is None
        record(server, 5, {"type": "state.changed", "time": 5, "state": "completed"})
        tail.rest()
        assert tail.process.returncode == 0


def test_what_is_followed_goes_on_after_a_restart_of_the_server(tmp_path: Path) -> None:
    """The server is killed and comes back: the tail and the feed go on where they were, nothing missing and nothing twice."""
    port = free_port()
    uri, serve = f"http://127.0.0.1:{port}", ["serve", "--data", str(tmp_path / "data"), "--port", str(port)]
    with terminal(*serve) as first:
        first.until(b"is served at")
        record(uri, 1, {"type": "run.created", "time": 1, "name": "live"}, {"type": "attempt.started", "time": 2, "attempt": "a"})
        record(uri, 3, {"type": "console.written", "time": 3, "data": "Zmlyc3QK"})
        with terminal("tail", "digits/live", "-f", "--offset", "-3", "--uri", uri) as tail, terminal("events", "-f", "--uri", uri) as feed:
            tail.until(b"st\r\n")
            feed.until("│ first".encode())
            first.process.kill()
            first.process.wait(PATIENCE)
            tail.until(b"this goes on when it is back")
            feed.until(b"this goes on when it is back")
            with terminal(*serve) as second:
                second.until(b"is served at")
                record(uri, 4, {"type": "console.written", "time": 4, "data": "c2Vjb25kCg=="})
                record(uri, 5, {"type": "state.changed", "time": 5, "state": "completed"})
                assert tail.rest().endswith(b"second\r\n")
                assert (tail.process.returncode, tail.seen.count(b"st\r\n"), tail.seen.count(b"second")) == (0, 1, 1)
                feed.until("✓ completed".encode())
                assert (feed.seen.count("│ first".encode()), feed.seen.count("│ second".encode())) == (1, 1)


def test_a_feed_is_left_with_ctrl_c(server: str) -> None:
    """`events --follow` shows what comes and ends at Ctrl-C without a word."""
    with terminal("events", "--follow", "--uri", server, "--after", "3020") as feed:
        feed.until(b"3021")
        record(server, 1, {"type": "run.created", "time": 1, "name": "just now"})
        feed.until(b"created as just now")
        feed.process.send_signal(signal.SIGINT)
        assert b"Traceback" not in feed.rest()
        assert feed.process.returncode == 130


@pytest.mark.parametrize(
    "words", [["events", "--json"], ["events"], ["runs", "--json"], ["show", RUN], ["replay", RUN], ["tail", RUN], ["export"]]
)
def test_a_pipe_may_close_early(data: Path, words: list[str]) -> None:
    """`tracker events | head -1` is no error worth a word, let alone a traceback."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([*PROGRAM, *words, "--uri", str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        process.stdout.close()
        assert process.stderr.read() == b""
    process.wait(PATIENCE)


def test_a_server_comes_up_answers_and_goes(tmp_path: Path) -> None:
    """`tracker serve` makes its directory, says where it is, and ends well when told to."""
    with terminal("serve", "--data", str(tmp_path / "new"), "--port", "0") as server:
        server.until(b"is served at http://127.0.0.1:")
        server.process.send_signal(signal.SIGTERM)
        server.rest()
        assert server.process.returncode == 0
    assert (tmp_path / "new" / "log.db").exists()


def test_an_open_door_and_a_taken_port_are_refused(tmp_path: Path, server: str) -> None:
    """A bind beyond this machine without tokens, a port in use and a directory in use are each refused in a sentence."""
    for words, sentence in (
        (["--host", "0.0.0.0"], b"tracker token create"),
        (["--port", server.rpartition(":")[2]], b"cannot listen at 127.0.0.1:"),
        (["--data", str(tmp_path / "data"), "--port", "0"], b"is being written by process"),
    ):
        data = [] if "--data" in words else ["--data", str(tmp_path / "new")]
        with terminal("serve", *words, *data) as refused:
            said = refused.rest()
            assert sentence in said
            assert b"Traceback" not in said
            assert refused.process.returncode == 1
