"""The right to write a data directory: a file lock held for life by one process.

The kernel drops it when the process dies, however it dies, so there is nothing to clean up and nothing to expire.
The file's content only names the holder for the message of DirectoryBusy. A lock proves nothing about a process that was
paused while somebody removed the file: against that one, the store checks the epoch in the transaction itself.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from events.errors import DirectoryBusy


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lease."""

    pid: int
    host: str


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lease file at `path` (`<data>/lease`) until the end of the block. Raises DirectoryBusy at once when another does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    held = {fd}

    def let_go() -> None:
        with suppress(KeyError):
            os.close(held.pop())

    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DirectoryBusy(str(path.parent), _named(os.pread(fd, 4096, 0))) from error
        # A forked child shares the lock: it must not keep it when its parent has died, nor may it unlock it.
        os.register_at_fork(after_in_child=let_go)
        me = msgspec.json.encode(Holder(pid=os.getpid(), host=socket.gethostname()))
        os.ftruncate(fd, 0)
        os.pwrite(fd, me + b"\n", 0)
        yield
    finally:
        if held:
            fcntl.flock(fd, fcntl.LOCK_UN)
        let_go()


def _named(content: bytes) -> str:
    try:
        holder = msgspec.json.decode(content, type=Holder)
    except msgspec.DecodeError:
        return "another process"
    return f"process {holder.pid} on {holder.host}"
