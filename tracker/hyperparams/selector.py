"""Which iteration was the best: `max.accuracy`, `min.loss`, or only `accuracy`, which means its maximum.

Iterations that completed take part, if the result is a number, or a text of one; NaN is none. Of equal ones the first wins.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tracker.errors import InvalidExpression

DIRECTIONS = ("min", "max")


class Selector(msgspec.Struct, frozen=True):
    """What is looked for: the least or the greatest value of a result."""

    direction: str
    result: str

    def best(self, iterations: Iterable[tuple[int, Mapping[str, Any]]]) -> int:
        """The number of the best of these iterations, given with their results; 0 when none has such a number."""
        chosen, least = 0, math.inf
        for number, results in iterations:
            value = _number(results.get(self.result))
            if value is None:
                continue
            rank = value if self.direction == "min" else -value
            if not chosen or rank < least:
                chosen, least = number, rank
        return chosen


def parse_selector(text: str) -> Selector:
    """Read a selector. Raises InvalidExpression, whose column says where."""
    inner = text.strip() if type(text) is str else ""
    if not inner:
        raise _error(str(text), 1, "it must name a result")
    before, dot, after = inner.partition(".")
    start = text.index(inner) + 1
    if not dot:
        return Selector("max", inner)
    if before not in DIRECTIONS:
        raise _error(text, start, f"{before!r} is neither min nor max; for the result {inner!r} say max.{inner}")
    if not after.strip():
        raise _error(text, start + len(before) + 1, f"no result is named after {before}.")
    return Selector(before, after.strip())


def _error(text: str, column: int, message: str) -> InvalidExpression:
    shown = text.replace("\n", " ")[:120]
    return InvalidExpression(f"selector: {message}\n  {shown}\n  {' ' * (column - 1)}^", field="selector", column=column)


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number
