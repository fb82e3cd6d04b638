"""A progress bar for people: on a terminal only, and not for what is over in a moment.

It is drawn on stderr, at most ten times a second, by the one who reports the steps: no thread of its own draws into a job's output. Where
stderr is being recorded, it is drawn where that leads, and is no part of the record.
"""

import os
import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

from tracker.capture import leads_to

PATIENCE = 1.0  # seconds before the bar appears
PAUSE = 0.1  # seconds between two looks


class Progress:
    """How many of `total` steps are done."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done = 0
        self._bar: Any = None
        self._drawn_at = time.monotonic() + PATIENCE - PAUSE
        self._task: Any = None
        self._terminal, self._own = _terminal()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.stop()
            self._bar = None
        if self._own and self._terminal is not None:
            self._terminal.close()

    def step(self, failed: int = 0) -> None:
        """One more is done; `failed` of all so far have failed."""
        self._done += 1
        if self._total < 2 or time.monotonic() - self._drawn_at < PAUSE or self._terminal is None:
            return
        self._drawn_at = time.monotonic()
        if self._bar is None:
            self._open()
        text = f"{self._what} ({failed} failed)" if failed else self._what
        self._bar.update(self._task, completed=self._done, description=text, refresh=True)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self._bar = Bar(
            *columns, console=Console(file=self._terminal), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._task = self._bar.add_task(self._what, total=self._total)
        self._bar.start()


def _terminal() -> tuple[TextIO | None, bool]:
    """The terminal that stderr leads to, if it is one, and whether it is ours to close."""
    if (fd := leads_to(2)) != 2:
        return (open(os.dup(fd), "w", encoding="utf-8"), True) if os.isatty(fd) else (None, False)  # noqa: PTH123 - a descriptor
    return (sys.stderr, False) if sys.stderr is not None and sys.stderr.isatty() else (None, False)
