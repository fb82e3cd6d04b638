"""A bar on the terminal for work that takes long: after a second, on stderr, and only when a person can be looking at it."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AFTER = 1.0  # seconds; what is done by then needs no bar

Step = Callable[[int], None]  # is told of every so many bytes


def silent(_bytes: int) -> None:
    """Nobody looks."""


@contextmanager
def moving(what: str, total: int | None) -> Iterator[Step]:
    """Call what is given with every number of bytes that is done of `total` (None: nobody knows). The bar moves also while none is."""
    if not _terminal():
        yield silent
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False)
    task = bar.add_task(escape(what), total=total)
    timer = threading.Timer(AFTER, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda size: bar.advance(task, size)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # none, or closed
        return False
