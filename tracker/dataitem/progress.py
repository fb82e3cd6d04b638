"""A bar on the terminal for work that takes long: after a second, on stderr, and only when a person can be looking at it."""

import sys
import time
from types import TracebackType
from typing import Any, Self

AFTER = 1.0  # seconds; what is done by then needs no bar


class Progress:
    """Counts bytes. A context manager; `total` may be unknown."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total, self._done = what, total, 0
        self._since = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
        self._done += count
        if self._bar is None and time.monotonic() - self._since > AFTER and sys.stderr.isatty():
            self._show()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False)
        self._task = self._bar.add_task(escape(self._what), total=self._total)
        self._bar.start()
