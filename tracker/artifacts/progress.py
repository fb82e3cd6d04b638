"""A bar for people who wait: only on a terminal, and only for work that takes longer than a second."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 1.0  # seconds without a bar


@contextmanager
def moving(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Call what is given with every number of bytes that has been done of `total` (0 = unknown)."""
    if not _terminal():
        yield lambda _bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task(what, total=total or None)
    began, shown = time.monotonic(), False

    def step(size: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - began > PATIENCE:
            progress.start()
            shown = True
        progress.advance(task, size)

    try:
        yield step
    finally:
        if shown:
            progress.stop()


def _terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # none, or closed
        return False
