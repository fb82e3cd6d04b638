"""A series of numbers as a chart of characters: two by four dots in each cell (Braille), so 60 x 12 cells show 120 x 48 points.

Points are joined when they are neighbours in x. Values that are not finite leave a hole, and are counted in the caption.
"""

import math
import sys
from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column inside a cell, as Unicode numbers them


def chart(
    xs: Sequence[float], ys: Sequence[float], *, width: int = 72, height: int = 12, title: str = "", x_name: str = "step"
) -> list[str]:
    """Lines of text, at most `width` columns wide: title, `height` rows with their scale, the axis. Empty input gives a sentence."""
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    holes = len(xs) - len(points)
    caption = [title + (f"  ({holes} not finite)" if holes else "")] if title or holes else []
    if not points:
        return [*caption, "no finite values to draw"]
    (left, right), (low, high) = _span([x for x, _ in points]), _span([y for _, y in points])
    labels = _labels(low, high, height)
    margin = max(map(len, labels))
    columns = max(8, width - margin - 2)
    grid = _Grid(columns, height)
    grid.draw(_to_dots(xs, ys, (left, right), (low, high), columns * 2, height * 4))
    rows = [f"{label:>{margin}} ┤{cells}" for label, cells in zip(labels, grid.rows(), strict=True)]
    return [*caption, *rows, " " * margin + " └" + "─" * columns, _axis(left, right, x_name, margin + 2, columns)]


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low < high:
        return low, high
    pad = abs(low) * 0.05 or 0.5
    return max(low - pad, -sys.float_info.max), min(high + pad, sys.float_info.max)


def _labels(low: float, high: float, height: int) -> list[str]:
    """A scale at every third row, top and bottom always."""
    labels = [""] * height
    for row in {*range(0, height - 1, 3), height - 1} - {height - 2}:
        down = row / max(1, height - 1)
        labels[row] = f"{high * (1 - down) + low * down:.4g}"
    return labels


def _axis(left: float, right: float, name: str, margin: int, columns: int) -> str:
    start, end = f"{left:.6g}", f"{right:.6g}"
    return " " * margin + start + name.center(max(0, columns - len(start) - len(end))) + end


Dot = tuple[int, int]


def _to_dots(
    xs: Sequence[float], ys: Sequence[float], x_span: tuple[float, float], y_span: tuple[float, float], across: int, down: int
) -> list[Dot | None]:
    dots: list[Dot | None] = []
    for x, y in zip(xs, ys, strict=True):
        if not (math.isfinite(x) and math.isfinite(y)):
            dots.append(None)
            continue
        dots.append((round(_share(x, x_span) * (across - 1)), round((1 - _share(y, y_span)) * (down - 1))))
    return dots


def _share(value: float, span: tuple[float, float]) -> float:
    """Where in the span a value lies, from 0 to 1; in halves, since the width of a span may be more than a float holds."""
    low, high = span[0] / 2, span[1] / 2
    return (value / 2 - low) / (high - low) if high > low else 0.5


class _Grid:
    def __init__(self, columns: int, height: int) -> None:
        self._cells = [[0] * columns for _ in range(height)]

    def draw(self, dots: list[Dot | None]) -> None:
        last: Dot | None = None
        for dot in dots:
            if dot is not None:
                for column, row in _between(last or dot, dot):
                    self._cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
            last = dot

    def rows(self) -> list[str]:
        return ["".join(chr(0x2800 + cell) if cell else " " for cell in row).rstrip() for row in self._cells]


def _between(one: Dot, other: Dot) -> list[Dot]:
    """The dots of a straight line, both ends included."""
    steps = max(abs(other[0] - one[0]), abs(other[1] - one[1]))
    if not steps:
        return [other]
    return [(round(one[0] + (other[0] - one[0]) * i / steps), round(one[1] + (other[1] - one[1]) * i / steps)) for i in range(steps + 1)]
