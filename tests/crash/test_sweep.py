"""Every moment of a commit: SIGKILL at the n-th system call by which the writer's thread changes a file, for n = 1, 2, 3 ..."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.crash.checker import stored_events
from tests.crash.nursery import PATIENCE, Child, Nursery

CALLS = "pwrite64,pwritev,fdatasync,fsync,ftruncate,fallocate,unlink,unlinkat,rename"  # those of SQLite; `write` is the child's own speech
APPENDS = 2
POINTS = 40  # a bound on n: a child that outlives it is a child that was never hit

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def traced(child: Child, calls: str, inject: str) -> subprocess.Popen[str]:
    """A tracer attached to a child that stands still."""
    command = ["strace", "-f", "-p", str(child.pid), "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:{inject}"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        tracer.wait(PATIENCE)
        tracer.stderr.close()
        pytest.skip(f"strace may not attach here: {said.strip()}")
    return tracer


def life(nursery: Nursery, data: Path, inject: str, *, size: int = 1, calls: str = CALLS) -> tuple[int, list[str]]:
    """One writer that appends under a tracer, to its end; its exit code and what it acknowledged."""
    child = nursery.spawn("append", data=str(data), count=APPENDS, size=size, checkpoint=size > 1)
    assert child.line() == "ready"
    child.stopped()
    tracer = traced(child, calls, inject)
    child.send(signal.SIGCONT)
    said = []
    while line := child.line():
        said.append(line)
    code = child.wait()
    assert tracer.stderr is not None
    tracer.stderr.close()
    tracer.wait(PATIENCE)
    return code, said


@pytest.mark.parametrize("size", [1, 300])
def test_a_writer_killed_at_any_write_of_a_commit_leaves_a_whole_log(nursery: Nursery, tmp_path: Path, size: int) -> None:
    """Wherever within a commit (and its checkpoint) the process dies: what it acknowledged is stored, the batch it worked on is there
    whole or not at all, and the next writer goes on."""
    known = 0
    for point in range(1, POINTS):
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        code, said = life(nursery, data, f"signal=SIGKILL:when={point}", size=size)
        events, faults = stored_events(data)
        assert faults == [], point
        acknowledged = int(said[-1]) if said else known
        assert acknowledged <= len(events) <= acknowledged + size, point
        assert len(events) % size == 0, point
        assert [event.event["step"] for event in events] == list(range(1, len(events) + 1)), point
        known = len(events)
        if code == 0:
            assert point > 2 * APPENDS, "the sweep must have hit every commit at least twice"
            return
        assert code == -signal.SIGKILL
    pytest.fail(f"{POINTS} points were not enough")


def test_a_disk_that_fails_to_sync_ends_the_writer(nursery: Nursery, tmp_path: Path) -> None:
    """After a failed fsync nothing more is acknowledged, since the kernel may have dropped the pages; what was acknowledged is stored."""
    for point in range(1, POINTS):
        data = tmp_path / f"data-{point}"
        data.mkdir()
        code, said = life(nursery, data, f"error=EIO:when={point}+", calls="fdatasync,fsync")
        events, faults = stored_events(data)
        assert faults == [], point
        acknowledged = [int(word) for word in said if word.isdigit()]
        assert len(events) >= len(acknowledged), point
        if code == 0:
            assert point > APPENDS
            return
        assert said[-1] == "LogClosed", (point, said)
        assert len(acknowledged) < APPENDS
    pytest.fail(f"{POINTS} points were not enough")


def test_an_append_without_space_is_refused_whole(nursery: Nursery, tmp_path: Path) -> None:
    """Wherever within a commit the disk turns out to be full: the append is refused as such, and nothing of it is stored."""
    for point in range(1, POINTS):
        data = tmp_path / f"data-{point}"
        data.mkdir()
        code, said = life(nursery, data, f"error=ENOSPC:when={point}", calls="pwrite64")
        events, faults = stored_events(data)
        assert faults == [], point
        assert len(events) == len([word for word in said if word.isdigit()]), point
        if code == 0:
            assert point > 2 * APPENDS
            return
        assert said[-1] == "DiskFull", (point, said)
    pytest.fail(f"{POINTS} points were not enough")
