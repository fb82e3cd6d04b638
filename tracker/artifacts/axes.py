"""The scale of an axis: where its marks are, and what is written at them. Pure.

Numbers get marks at round values, written with as many digits as tell neighbours apart; words and times get their own text, as many of
them as there is room for.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

MARKS = 5
LONGEST = 14  # characters of a word at an axis


class Axis(NamedTuple):
    """From `low` to `high`, with marks and their texts."""

    low: float
    high: float
    marks: list[tuple[float, str]]

    def share(self, value: float) -> float:
        """How far the value is from low to high, 0 to 1; halved, so that the distance of the greatest numbers is finite, too."""
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)


def number(value: Any) -> float:
    """The value as a float, NaN when it is none: a gap in a line."""
    if value is None or isinstance(value, (str, bytes)):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def of_numbers(values: Iterable[float]) -> Axis:
    """An axis for all finite values."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if low == high:
        reach = abs(low) * 0.1 or 0.5
        low, high = low - reach, high + reach
    return Axis(low, high, _marks(low, high))


def of_words(values: Sequence[Any], room: int) -> Axis:
    """An axis of texts, one after the other, of which at most `room` are written."""
    last = max(len(values) - 1, 1)
    every = max(1, math.ceil(len(values) / max(room, 1)))
    marks = [(float(i), _word(value)) for i, value in enumerate(values) if i % every == 0]
    return Axis(0.0, float(last), marks) if len(values) != 1 else Axis(-1.0, 1.0, marks)


def _word(value: Any) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _marks(low: float, high: float) -> list[tuple[float, str]]:
    step = _step(high / MARKS - low / MARKS)
    first = math.ceil(low / step)
    values = [found for i in range(MARKS * 2 + 1) if (found := (first + i) * step) <= high + step * 1e-9]
    if len(set(values)) < 2 or not all(map(math.isfinite, values)):  # so near to each other, or so far, that there is nothing round
        values = [low, high]
    digits = min(max(0, -math.floor(math.log10(step) + 1e-9)), 12)
    biggest = max(abs(value) for value in values)
    exact = min(max(0, math.floor(math.log10(biggest) + 1e-9) - math.floor(math.log10(step) + 1e-9)), 15) if biggest else 0
    plain = [f"{value + 0.0:.{digits}f}" for value in values]
    powers = ["0" if not value else _short(f"{value:.{exact}e}") for value in values]
    told = plain if digits < 12 and max(map(len, plain)) <= max(6, *map(len, powers)) else powers
    return list(zip(values, told, strict=True))


def _step(about: float) -> float:
    """The round number that is about this: 1, 2 or 5 times a power of ten."""
    if not about > 0 or not math.isfinite(about):
        return math.ulp(0.0) if not about > 0 else about
    power = 10.0 ** math.floor(math.log10(about))
    return next((step * power for step in (1, 2, 5) if about <= step * power * 1.0001), 10 * power) or about


def _short(text: str) -> str:
    """1.20e+09 as 1.2e9."""
    mantissa, _, exponent = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"
