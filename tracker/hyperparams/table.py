"""The table of iterations: a header, then one row for each, in the order of their numbers.

Columns are `state`, `iter`, `param.<name>` and `output.<name>`, as they first appear; what an iteration does not have is None.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

Table = list[list[Any]]


class Row(msgspec.Struct, frozen=True):
    """What an iteration was given, and what came of it."""

    number: int
    state: str
    parameters: Mapping[str, Any]
    results: Mapping[str, Any]


def iteration_table(rows: Iterable[Row]) -> Table:
    """The header and the rows."""
    found = sorted(rows, key=lambda row: row.number)
    parameters = list(dict.fromkeys(name for row in found for name in row.parameters))
    results = list(dict.fromkeys(name for row in found for name in row.results))
    header = ["state", "iter", *(f"param.{name}" for name in parameters), *(f"output.{name}" for name in results)]
    lines = [
        [row.state, row.number, *(row.parameters.get(name) for name in parameters), *(row.results.get(name) for name in results)]
        for row in found
    ]
    return [header, *lines]
