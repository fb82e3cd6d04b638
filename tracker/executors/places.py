"""Where the processes of a pool say what they do: a place for each iteration under way, in memory that they share with who started them.

A place holds the process that works on its iteration, and whether the work itself has begun, after that process and the handler's code were
brought up. It needs no lock: one process at a time writes into a place, and what it writes is one number.
"""

import contextlib
import os
import signal
from multiprocessing.context import SpawnContext
from multiprocessing.process import parent_process
from multiprocessing.reduction import DupFd
from typing import Any

import anyio

from tracker.capture import leads_to
from tracker.connection import PROCESS
from tracker.executors.worker import Job, until_stopped

NOBODY, DONE = 0, -1

_here: "Places"  # of this process of a pool


class Places:
    """A number of places. Goes to a process as it is spawned."""

    def __init__(self, spawned: SpawnContext, number: int) -> None:
        self._pids = spawned.RawArray("q", number)
        self._begun = spawned.RawArray("b", number)

    def __len__(self) -> int:
        return len(self._pids)

    def clear(self, place: int) -> None:
        """Nobody works here yet."""
        self._pids[place], self._begun[place] = NOBODY, 0

    def take(self, place: int) -> None:
        """This process works here."""
        self._pids[place] = os.getpid()

    def leave(self, place: int) -> None:
        """This process is done here: it may soon work elsewhere."""
        self._pids[place] = DONE

    def begin(self, place: int) -> None:
        """The work begins."""
        self._begun[place] = 1

    def pid(self, place: int) -> int:
        """The process that works here; NOBODY yet, or DONE."""
        return int(self._pids[place])

    def signal(self, place: int, number: int) -> None:
        """Send a signal to the process that works here, if one does."""
        if (pid := self.pid(place)) > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def has_begun(self, place: int) -> bool:
        """Whether the work has begun."""
        return bool(self._begun[place])


class Terminal:
    """What 1 and 2 lead to beside what is recorded. A process that gets it as it is spawned prints there: it records for itself, and who
    started it would record that a second time."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _adopted, tuple(DupFd(leads_to(fd)) for fd in (1, 2))


def _adopted(*given: Any) -> Terminal:
    for fd, one in enumerate(given, 1):
        found = one.detach()
        os.dup2(found, fd)
        os.close(found)
    return Terminal()


def enter(places: Places, workdir: str, _terminal: Terminal | None) -> None:
    """Begin as a process of a pool."""
    global _here  # noqa: PLW0603 - what its jobs find, as they are called by name
    _here = places
    os.chdir(workdir)


def execute_here(job: Job, place: int) -> dict[str, Any]:
    """Do a job, and return the status of its iteration. A TERM, or the death of who started this process, ends the process with it."""
    _here.take(place)
    starter = parent_process()
    assert starter is not None
    status = anyio.run(until_stopped, job, starter.sentinel, lambda: _here.begin(place))
    if status is None:
        PROCESS.end()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    _here.leave(place)
    return status or {}
