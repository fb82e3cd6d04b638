"""A run on one page: a table of its fields and one of its iterations, for a terminal or for a notebook.

Everything that came from a job is made harmless first: control characters for a terminal, markup for a notebook.
"""

import html
import sys
from typing import Any, Protocol

from tracker.audit.escape import line
from tracker.model.run import RunMetadata, RunSpec, RunStatus
from tracker.notebook import notebook_display

ROWS = 100  # iterations shown
LONGEST = 500  # characters of a value shown
NARROW = 9  # characters that a column of the iterations has at least
_COLOURS = {"completed": "green", "error": "red", "aborted": "yellow", "lost": "yellow", "running": "cyan"}


class Shown(Protocol):
    """What can be shown: a run."""

    metadata: RunMetadata
    spec: RunSpec
    status: RunStatus

    @property
    def error(self) -> str:
        """Why it failed."""
        ...

    def artifact_now(self, key: str) -> str | None:
        """The name of an artifact."""
        ...


def show(run: Shown) -> None:
    """Print a run at a terminal or into a pipe, or display it in a notebook."""
    if (notebook := notebook_display()) is not None:
        notebook.display(notebook.HTML(as_html(run)))
        return
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 200)
    for part in _parts(run, console.width):
        console.print(part)


def as_html(run: Shown) -> str:
    """The run as a piece of HTML without scripts, styles of a page, or anything from elsewhere."""
    rows = "".join(f"<tr><th style='text-align:left'>{_safe(name)}</th><td>{_cell(value)}</td></tr>" for name, value in fields(run))
    page = f"<table>{rows}</table>"
    if table := run.status.iterations:
        header = "".join(f"<th>{_safe(name)}</th>" for name in table[0])
        body = "".join("<tr>" + "".join(f"<td>{_safe(value)}</td>" for value in row) + "</tr>" for row in table[1 : ROWS + 1])
        page += f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>{_more(table)}"
    return f"<div>{page}</div>"


def fields(run: Shown) -> list[tuple[str, Any]]:
    """What there is to show of a run, without what is empty."""
    metadata, spec, status = run.metadata, run.spec, run.status
    artifacts = {str(view.get("key")): run.artifact_now(str(view.get("key"))) for view in status.artifacts}
    found: list[tuple[str, Any]] = [
        ("project", metadata.project),
        ("uid", metadata.uid),
        ("iteration", metadata.iteration),
        ("name", metadata.name),
        ("state", status.state),
        ("error", run.error),
        ("start", status.start_time),
        ("host", status.host),
        ("labels", metadata.labels),
        ("inputs", spec.inputs),
        ("parameters", spec.parameters),
        ("results", status.results),
        ("artifacts", artifacts),
    ]
    return [(name, value) for name, value in found if value]


def _parts(run: Shown, width: int) -> list[Any]:
    from rich.table import Table
    from rich.text import Text

    page = Table(show_header=False, box=None, pad_edge=False)
    page.add_column(style="dim")
    page.add_column(overflow="fold")
    for name, value in fields(run):
        text = "\n".join(f"{_line(key)} = {_line(item)}" for key, item in value.items()) if isinstance(value, dict) else _line(value)
        page.add_row(name, Text(text, style=_COLOURS.get(run.status.state, "") if name == "state" else ""))
    table = run.status.iterations
    if not table:
        return [page]
    shown = _fitting(table, width)
    left_out = [_line(name) for index, name in enumerate(table[0]) if index not in shown]
    iterations = Table(box=None, pad_edge=False, header_style="dim")
    for index in shown:
        iterations.add_column(Text(_line(table[0][index]), overflow="fold"), min_width=min(NARROW, len(_line(table[0][index]))))
    for row in table[1 : ROWS + 1]:
        values = [*row, *([None] * (len(table[0]) - len(row)))]
        iterations.add_row(*(Text(_line(values[index]), no_wrap=True, overflow="ellipsis") for index in shown))
    notes = [note for note in (_more(table), f"no room for {', '.join(left_out)}" if left_out else "") if note]
    return [page, Text(""), iterations, *(Text(note, style="dim") for note in notes)]


def _fitting(table: list[list[Any]], width: int) -> list[int]:
    """The columns that there is room for, in their order: state and number, then results, then parameters, varying ones first."""
    header, rows = table[0], table[1:]

    def rank(index: int) -> tuple[int, bool, int]:
        name = str(header[index])
        kind = 2 if name.startswith("param.") else 1 if name.startswith("output.") else 0
        return kind, len(rows) > 1 and all(row[index : index + 1] == rows[0][index : index + 1] for row in rows), index

    return sorted(sorted(range(len(header)), key=rank)[: max(3, width // (NARROW + 2))])


def _more(table: list[list[Any]]) -> str:
    more = len(table) - 1 - ROWS
    return f"and {more} more" if more > 0 else ""


def _line(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return line(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def _safe(value: Any) -> str:
    return html.escape(_line(value))


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "<br>".join(f"{_safe(key)} = {_safe(item)}" for key, item in value.items())
    return _safe(value)
