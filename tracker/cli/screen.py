"""How things look: one place for colours, tables, times and bars, so that all commands look alike.

At a terminal: tables without frames, names as they are, numbers to the right, colours only where they say something. In a pipe: the
same text without colours, or JSON. Everything that came from a job goes through `escape` first.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import click
import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tracker.audit.escape import in_json, line
from tracker.audit.moment import plain
from tracker.wire import encode_json

TONES = {"good": "green", "bad": "red", "quiet": "dim", "": ""}
STATES = {
    "created": ("○", "dim"),
    "running": ("▶", "cyan"),
    "completed": ("✓", "green"),
    "error": ("✗", "red"),
    "aborted": ("■", "yellow"),
    "lost": ("?", "yellow"),
}


@cache
def out() -> Console:
    """Standard output."""
    # In a pipe a table is as wide as it needs to be: nothing is cut there.
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 10_000)


@cache
def err() -> Console:
    """Standard error: messages and bars."""
    return Console(stderr=True, highlight=False, emoji=False)


def safe(value: Any, style: str = "") -> Text:
    """A value from a job as one harmless piece of text."""
    return Text(line(plain(value)), style=style)


def state(name: str) -> Text:
    """A run's state with its mark."""
    mark, style = STATES.get(name, ("·", ""))
    return Text(f"{mark} {line(name)}", style=style)


def say(*parts: str | Text | tuple[str, str], style: str = "") -> None:
    """One line of output; text that a job wrote must be `safe` already."""
    out().print(Text.assemble(*parts, style=style), soft_wrap=True)


def heading(text: str) -> None:
    """A title above what follows."""
    out().print()
    out().print(Text(line(text), style="bold"))


class Column(msgspec.Struct, frozen=True):
    """A column of a table; `right` is for numbers, `fold` for what may take several lines, `most` is a width beyond which it is cut,
    and `spare` for what is left out first where the terminal is narrow (the highest goes first)."""

    name: str
    right: bool = False
    fold: bool = False
    most: int | None = None
    spare: int = 0


def table(columns: Sequence[Column], rows: Iterable[Sequence[str | Text]], *, head: bool = True) -> None:
    """A calm table: no frame, a dim head. Plain `str` cells are ours; those of jobs come as `safe`."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [max(cell_len(column.name), *(row[i].cell_len for row in cells)) for i, column in enumerate(columns)]
    kept = _fitting(columns, widths)
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=head, header_style="dim")
    for i in kept:
        column = columns[i]
        grid.add_column(
            column.name,
            justify="right" if column.right else "left",
            min_width=None if column.fold or column.most else widths[i],  # names and numbers are never cut
            max_width=column.most if out().is_terminal else None,
            overflow="fold" if column.fold else "ellipsis",
            no_wrap=not column.fold,
        )
    for row in cells:
        grid.add_row(*(row[i] for i in kept))
    out().print(grid)


def _fitting(columns: Sequence[Column], widths: Sequence[int]) -> list[int]:
    """The columns there is room for: spare ones are left out until the rest fits, or none is left to leave out."""
    kept = list(range(len(columns)))
    while any(columns[i].spare for i in kept) and sum(min(widths[i], columns[i].most or widths[i]) + 3 for i in kept) - 3 > out().width:
        kept.remove(max(kept, key=lambda i: columns[i].spare))
    return kept


def fields(values: dict[str, Any], *, indent: int = 2) -> None:
    """Names and values in two columns."""
    width = max((len(line(str(key))) for key in values), default=0)
    for key, value in values.items():
        shown = value if isinstance(value, Text) else safe(value)
        out().print(Text.assemble(" " * indent, (line(str(key)).ljust(width), "dim"), "   ", shown))


def print_json(value: Any) -> None:
    """One value as one line of JSON; non-finite numbers as the strings the API uses."""
    text = encode_json(value)
    sys.stdout.buffer.write((in_json(text.decode()).encode() if sys.stdout.isatty() else text) + b"\n")
    sys.stdout.buffer.flush()


def size(number: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def note(text: str) -> None:
    """A hint beside the data, on standard error, so that pipes stay clean."""
    err().print(Text(text, style="dim"), soft_wrap=True)


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, gone when done; yields what to call with the number reached. Only drawn at a terminal."""
    with bars() as moved:
        yield lambda number: moved(title, number, total)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for work of several parts; yields what to call with the part's title, the number reached, and the number in all."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(40, complete_style="cyan"), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err(), transient=True, disable=not err().is_terminal) as progress:
        task = progress.add_task("", total=None)
        showing = ""

        def moved(title: str, number: int, total: int) -> None:
            nonlocal showing
            if title != showing:
                showing = title
                progress.reset(task, description=title, total=total or None)
            progress.update(task, completed=number)

        yield moved


class Failed(click.ClickException):
    """What went wrong, in a sentence that says what to do."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's signature
        """On standard error."""
        lines = "\n".join(line(text) for text in self.message.splitlines())  # search text comes with a line that points into it
        err().print(Text.assemble(("error: ", "bold red"), lines), soft_wrap=True)
