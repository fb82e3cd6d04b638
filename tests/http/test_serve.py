"""The server as a process: it begins quickly, ends orderly, and says why when it cannot go on."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.timeout(60)

CODE = """
import sys
from pathlib import Path
from tracker.server.serve import serve
from tracker.settings import Settings
serve(Settings(data=Path(sys.argv[1]), port=0), ready=lambda url: print(url, flush=True))
"""


def start(data: Path) -> subprocess.Popen[bytes]:
    """A server on a free port; the first line of its output is its address."""
    command = [sys.executable, "-c", CODE, str(data)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, umask=0o022)


def address(server: subprocess.Popen[bytes]) -> str:
    """Where it listens."""
    assert server.stdout is not None
    return server.stdout.readline().decode().strip()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_orderly_end(tmp_path: Path, sign: signal.Signals) -> None:
    """A signal ends it with exit code 0; its own log is one JSON object per line; nobody else can read what it keeps."""
    with start(tmp_path / "data") as server:
        url = address(server)
        with urlopen(url + "/health") as reply:
            assert json.load(reply)["status"] == "ok"
        with urlopen(url + "/v1/runs?filter=") as reply:
            assert json.load(reply)["runs"] == []
        server.send_signal(sign)
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["event"] for line in lines] == ["serving", "request", "stopping"]
    assert lines[1]["path"] == "/v1/runs"
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files), files


def test_one_writer(tmp_path: Path) -> None:
    """A second server on the same directory ends at once, naming the process that has it."""
    with start(tmp_path / "data") as first, start_after(first, tmp_path / "data") as second:
        _, errors = second.communicate(timeout=60)
        assert second.returncode != 0
        assert f"process {first.pid}" in errors.decode()
        first.terminate()
        first.communicate(timeout=60)


def start_after(first: subprocess.Popen[bytes], data: Path) -> subprocess.Popen[bytes]:
    """Another one, when the first is ready."""
    address(first)
    return start(data)
