"""The numbers of a run's iterations, given once each, whoever asks: threads, and processes forked while the run is open.

One process counts in memory. Before it forks, the count of every open run moves to a nameless file that both processes hold, and is
advanced there under a lock between processes; so two forked workers never record into one iteration.
"""

import fcntl
import os
import tempfile
import threading
import weakref
from contextlib import suppress

from tracker.errors import InvalidRequest

_SIZE = 8  # bytes of a count


class Numbering:
    """Counts from 1 on."""

    def __init__(self) -> None:
        self._last, self._file, self._pid = 0, -1, os.getpid()
        self._lock = threading.RLock()
        _open.add(self)

    def skip(self, last: int) -> None:
        """The numbers up to `last` are taken."""
        self._last = max(self._last, last)

    def take(self) -> int:
        """The next number. Raises InvalidRequest in a process to which the count was not handed."""
        with self._lock:
            if self._file < 0 and self._pid != os.getpid():
                raise InvalidRequest("iterations are numbered where the run was opened: make the child context there, and hand it over")
            self._last = self._last + 1 if self._file < 0 else self._advance(self._last + 1)
            return self._last

    def _advance(self, least: int) -> int:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            number = max(int.from_bytes(os.pread(self._file, _SIZE, 0), "big") + 1, least)
            os.pwrite(self._file, number.to_bytes(_SIZE, "big"), 0)
            return number
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def share(self) -> None:
        """Before a fork: let the count be seen by the child."""
        with self._lock, suppress(OSError):  # then the child says so, should it ask for a number
            if self._file < 0 and self._pid == os.getpid():
                file = _nameless()
                weakref.finalize(self, os.close, file).atexit = False
                os.pwrite(file, self._last.to_bytes(_SIZE, "big"), 0)
                self._file = file

    def elsewhere(self) -> None:
        """The run was opened in another process, which counts."""
        self._pid = 0

    def forked(self) -> None:
        """In the child: whoever held the lock is not here."""
        self._lock = threading.RLock()


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("tracker-iterations")
    file, name = tempfile.mkstemp()
    os.unlink(name)  # noqa: PTH108 - the name is as short-lived as it can be
    return file


_open: "weakref.WeakSet[Numbering]" = weakref.WeakSet()  # of runs in this process


def _share() -> None:
    for numbering in list(_open):
        numbering.share()


def _forked() -> None:
    for numbering in list(_open):
        numbering.forked()


os.register_at_fork(before=_share, after_in_child=_forked)
