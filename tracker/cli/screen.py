"""How things look: one place for colours, tables, times and bars, so that all commands look alike.

At a terminal: tables without frames, names as they are, numbers to the right, colours only where they say something. In a pipe: the
same text without colours, or JSON. Everything that came from a job goes through `escape` first.
"""

import re
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
BEGINNING = 12  # digits of a uid that the tracker made: the millisecond it was made in

_MADE = re.compile(r"[0-9a-f]{32}")
_GAP = 3  # columns between columns


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


def run_name(project: str, uid: str, iteration: int = 0, *, digits: int = BEGINNING) -> Text:
    """A run as commands take it. At a terminal, of a uid that the tracker made only the beginning is shown, which commands take as well."""
    shown = uid[:digits] if out().is_terminal and _MADE.fullmatch(uid) else uid
    return Text(line(f"{project}/{shown}") + (f"#{iteration}" if iteration else ""), "cyan")


def say(*parts: str | Text | tuple[str, str], style: str = "") -> None:
    """One line of output; text that a job wrote must be `safe` already."""
    out().print(Text.assemble(*parts, style=style), soft_wrap=True)


def heading(text: str) -> None:
    """A title above what follows."""
    out().print()
    out().print(Text(line(text), style="bold"))


class Column(msgspec.Struct, frozen=True):
    """A column of a table; `right` is for numbers, `most` a width beyond which it is cut at a terminal. Where that is too narrow, columns
    with `spare` are left out (the highest first) until the others fit, those with `least` made as narrow as that; then they are given the
    room that remains. With `fold`, what does not fit goes on in the next line."""

    name: str
    right: bool = False
    fold: bool = False
    most: int | None = None
    least: int | None = None
    spare: int = 0


def table(columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> None:
    """A calm table: no frame, a dim head. Plain `str` cells are ours; those of jobs come as `safe`."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = _fitting(columns, [max([cell_len(column.name), *(row[i].cell_len for row in cells)]) for i, column in enumerate(columns)])
    grid = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for i, width in widths.items():
        column = columns[i]
        grid.add_column(
            column.name,
            width=width,
            justify="right" if column.right else "left",
            overflow="fold" if column.fold else "ellipsis",
            no_wrap=not column.fold,
        )
    for row in cells:
        grid.add_row(*(row[i] for i in widths))
    if out().is_terminal:
        out().print(grid)
        return
    with out().capture() as text:
        out().print(grid)
    click.echo("\n".join(row.rstrip() for row in text.get().splitlines()))


def _fitting(columns: Sequence[Column], natural: Sequence[int]) -> dict[int, int]:
    """The columns there is room for, each with its width."""
    room = out().width
    widths = {i: min(natural[i], column.most or natural[i]) if out().is_terminal else natural[i] for i, column in enumerate(columns)}
    smallest = {i: min(width, columns[i].least or width) for i, width in widths.items()}
    while sum(smallest.values()) + _GAP * (len(smallest) - 1) > room and any(columns[i].spare for i in smallest):
        del smallest[max(smallest, key=lambda i: columns[i].spare)]
    spare = room - sum(smallest.values()) - _GAP * (len(smallest) - 1)
    for i, width in smallest.items():
        smallest[i] = width + max(0, min(spare, widths[i] - width))
        spare -= smallest[i] - width
    return smallest


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


def note(text: str, style: str = "dim") -> None:
    """A hint beside the data, on standard error, so that pipes stay clean."""
    err().print(Text(text, style=style), soft_wrap=True)


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
