"""One writer per directory, for as long as it lives and no longer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from events.errors import DirectoryBusy
from events.lease import hold

HOLDER = """
import signal, sys
from pathlib import Path
from events.lease import hold

with hold(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""

FORKING = HOLDER.replace('print("held", flush=True)', "os.fork() or print(os.getpid(), flush=True)").replace("import ", "import os, ", 1)


def test_a_second_writer_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    """While one holds the lease, the next is refused at once with the holder's process in the message; afterwards it may."""
    lease = tmp_path / "lease"
    with hold(lease), pytest.raises(DirectoryBusy, match=rf"process {os.getpid()} on "), hold(lease):
        pass
    with hold(lease):
        pass


def test_a_killed_writer_leaves_nothing_to_clean_up(tmp_path: Path) -> None:
    """The lease of another process holds while it lives, and is free the moment it is killed."""
    lease = tmp_path / "lease"
    with subprocess.Popen([sys.executable, "-c", HOLDER, lease], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DirectoryBusy, match=f"process {process.pid} on "), hold(lease):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        with hold(lease):
            pass


def test_a_forked_child_does_not_keep_the_lease(tmp_path: Path) -> None:
    """A worker forked off the writer neither gives the directory away while the writer lives, nor holds it when it is killed."""
    lease = tmp_path / "lease"
    with subprocess.Popen([sys.executable, "-c", FORKING, lease], stdout=subprocess.PIPE) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        try:
            with pytest.raises(DirectoryBusy, match=f"process {process.pid} on "), hold(lease):
                pass
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=10)
            with hold(lease):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_lease_file_of_strange_content_still_works(tmp_path: Path) -> None:
    """What stands in the file is only for the message."""
    lease = tmp_path / "lease"
    lease.write_bytes(b"\xff\x00 garbage" * 100)
    with hold(lease):
        lease.write_bytes(b"\xff")
        with pytest.raises(DirectoryBusy, match="another process"), hold(lease):
            pass
