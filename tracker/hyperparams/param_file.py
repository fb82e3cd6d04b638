"""Combinations from a file: CSV, whose rows are combinations, or JSON, an object of lists (a space) or a list of objects (rows).

A CSV's first row names the parameters. Cells are numbers if their whole column is numbers, true/false if it is that, else text; an empty
cell is None. Every row has as many cells as the first: a ragged one is an error that names it, for guessing would shift values.
"""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import msgspec

from tracker.errors import InvalidRequest
from tracker.hyperparams.strategies import MAX_ITERATIONS, Space, space_of

MAX_BYTES = 64 * 1024 * 1024

_WHOLE = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_TRUTH = {"true": True, "false": False}


def read_param_file(data: bytes, url: str, strategy: str = "") -> tuple[Space, str]:
    """The space that the bytes of a file hold, and its strategy if none is asked for. Raises InvalidRequest that names file and row."""
    if len(data) > MAX_BYTES:
        raise _error(url, f"has more than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(url, f"is not UTF-8 text: {error.reason} at byte {error.start}") from None
    kind = url.partition("?")[0].rpartition(".")[2].lower()
    if kind == "json":
        return _from_json(text, url, strategy)
    if kind != "csv":
        raise _error(url, "must end in .csv or .json")
    if strategy not in ("", "list"):
        raise _error(url, f"is a CSV file, whose rows are combinations: its strategy is list, not {strategy}")
    return _from_csv(text, url), "list"


def _from_csv(text: str, url: str) -> Space:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    try:
        for cells in reader:
            if not cells or (len(cells) == 1 and not cells[0].strip() and len(header) != 1):
                continue
            if not header:
                header = _header([cell.strip() for cell in cells], url)
                continue
            if len(cells) != len(header):
                raise _error(url, f"row {len(rows) + 1} (line {reader.line_num}) has {len(cells)} cells, the header has {len(header)}")
            rows.append(cells)
            if len(rows) > MAX_ITERATIONS:
                raise _error(url, f"has more than {MAX_ITERATIONS} rows")
    except csv.Error as error:
        raise _error(url, f"line {reader.line_num} is no CSV: {error}") from None
    if not header:
        raise _error(url, "is empty: its first row must name the parameters")
    return {name: _typed([row[i].strip() for row in rows]) for i, name in enumerate(header)}


def _header(names: list[str], url: str) -> list[str]:
    for i, name in enumerate(names):
        if not name:
            raise _error(url, f"column {i + 1} has no name in the first row")
        if name in names[:i]:
            raise _error(url, f"two columns are named {name!r}")
    return names


def _typed(cells: list[str]) -> list[Any]:
    filled = [cell for cell in cells if cell]
    convert: Callable[[str], Any] = str
    if all(map(_WHOLE.fullmatch, filled)):
        convert = int
    elif all(map(_NUMBER.fullmatch, filled)):
        convert = float
    elif all(cell.lower() in _TRUTH for cell in filled):
        convert = _truth
    return [convert(cell) if cell else None for cell in cells]


def _truth(cell: str) -> bool:
    return _TRUTH[cell.lower()]


def _from_json(text: str, url: str, strategy: str) -> tuple[Space, str]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _error(url, f"is no JSON: {error}") from None
    if isinstance(found, list):
        if strategy not in ("", "list"):
            raise _error(url, f"is a list of combinations: its strategy is list, not {strategy}")
        return _from_rows(found, url), "list"
    if not isinstance(found, dict):
        raise _error(url, "must hold an object of lists, or a list of objects")
    try:
        return space_of(found), strategy or "grid"
    except InvalidRequest as error:
        raise _error(url, f"does not fit: {error.message}") from None


def _from_rows(rows: list[Any], url: str) -> Space:
    space: Space = {}
    for i, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise _error(url, f"row {i} is no object")
        if i == 1:
            space = {name: [] for name in row}
        if row.keys() != space.keys():
            odd = sorted(map(repr, row.keys() ^ space.keys()))
            raise _error(url, f"row {i} has not the parameters of the first row: they differ in {', '.join(odd)}")
        for name, value in row.items():
            space[name].append(value)
    return space


def _error(url: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"parameter file {url} {message}", field="param_file")
