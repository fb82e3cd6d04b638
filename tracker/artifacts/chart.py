"""A line chart that needs nothing but a browser: HTML with inline SVG, no script, no font, no picture from elsewhere.

The first column of the header is the horizontal axis, each other column is a line. A first column that is no number counts rows.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from tracker.artifacts.artifact import Artifact
from tracker.errors import InvalidRequest

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 64, 36, 16, 44
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")
TICKS = 5
MAX_ROWS = 100_000


class ChartArtifact(Artifact):
    """A line chart: `chart.header = ["Epoch", "Accuracy"]`, then `chart.add_row([1, 0.8])` for every point."""

    kind = "chart"

    def __init__(
        self,
        key: str = "",
        data: Iterable[Sequence[Any]] | None = None,
        header: Sequence[Any] | None = None,
        options: dict[str, Any] | None = None,
        title: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(key, **{"viewer": "chart", "format": "html", **kwargs})
        self.header: list[Any] = list(header or [])
        self.rows: list[list[Any]] = [list(row) for row in data or ()]
        self.options = dict(options or {})  # width and height in pixels
        self.title = title

    def add_row(self, row: Iterable[Any]) -> None:
        """Add a point of each line: the place on the axis, then a value for every other column."""
        self.rows.append(list(row))

    def has_content(self) -> bool:
        """See Artifact."""
        return bool(self.rows) or super().has_content()

    def describe(self) -> None:
        """See Artifact."""
        if self.rows:
            self.spec.update(header=[str(name) for name in self.header], rows=len(self.rows))

    def content(self) -> Any:
        """The page."""
        if self.body is not None or (not self.rows and not self.header):
            return self.body
        return self._page()

    def _page(self) -> str:
        rows = self._checked()
        names = [str(name) for name in self.header] or [str(i) for i in range(len(rows[0]) if rows else 1)]
        title = self.title or self.key
        width, height = (_pixels(self.options.get(name, default), name) for name, default in (("width", WIDTH), ("height", HEIGHT)))
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
            f'<body style="margin:0;font-family:sans-serif">{_drawing(title, names, rows, width, height)}</body></html>\n'
        )

    def _checked(self) -> list[list[Any]]:
        wide = len(self.header) or (len(self.rows[0]) if self.rows else 0)
        for number, row in enumerate(self.rows, 1):
            if len(row) != wide:
                raise InvalidRequest(f"row {number} of chart {self.key!r} has {len(row)} values, its header has {wide}", field="add_row")
        if len(self.rows) > MAX_ROWS:
            raise InvalidRequest(f"chart {self.key!r} has {len(self.rows)} rows, at most {MAX_ROWS} can be drawn", field="add_row")
        return self.rows


def _pixels(value: Any, name: str) -> int:
    if not isinstance(value, int) or not 200 <= value <= 10_000:
        raise InvalidRequest(f"a chart's {name} is a number of pixels from 200 to 10000, not {value!r}", field="options")
    return value


def _number(value: Any) -> float:
    """The value as a float, NaN when it is none: a gap in the line."""
    if value is None or isinstance(value, (str, bytes)):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _spread(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest finite value, never equal."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if low == high:
        reach = abs(low) * 0.1 or 0.5
        low, high = low - reach, high + reach
    return low, high


def _share(value: float, low: float, high: float) -> float:
    """How far the value is from low to high, 0 to 1; halved, so that the distance of the greatest numbers is finite, too."""
    return (value / 2 - low / 2) / (high / 2 - low / 2)


def _drawing(title: str, names: list[str], rows: list[list[Any]], width: int, height: int) -> str:
    across = [_number(row[0]) for row in rows] if rows and rows[0] else []
    if not all(map(math.isfinite, across)):
        across = [float(i) for i in range(1, len(rows) + 1)]
    lines = [[_number(row[column]) for row in rows] for column in range(1, len(names))]
    x0, x1 = _spread(across)
    y0, y1 = _spread(value for line in lines for value in line)
    right, bottom = width - RIGHT, height - BOTTOM

    def x(value: float) -> float:
        return LEFT + _share(value, x0, x1) * (right - LEFT)

    def y(value: float) -> float:
        return bottom - _share(value, y0, y1) * (bottom - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f'<text x="{LEFT}" y="20" font-size="15">{escape(title)}</text>',
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#888"/>',
    ]
    for i in range(TICKS + 1):
        at_x, at_y = (low * (1 - i / TICKS) + high * (i / TICKS) for low, high in ((x0, x1), (y0, y1)))
        parts.append(f'<text x="{x(at_x):.1f}" y="{bottom + 16}" font-size="11" text-anchor="middle">{at_x:.4g}</text>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(at_y) + 4:.1f}" font-size="11" text-anchor="end">{at_y:.4g}</text>')
    parts.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{height - 8}" font-size="12" text-anchor="middle">{escape(names[0])}</text>')
    for i, line in enumerate(lines):
        parts += _line(names[i + 1], COLOURS[i % len(COLOURS)], i, [(x(a), y(v)) for a, v in zip(across, line, strict=True)], right)
    return "".join([*parts, "</svg>"])


def _line(name: str, colour: str, number: int, points: list[tuple[float, float]], right: int) -> list[str]:
    """A line with gaps where there are no numbers, its points, and its name in the legend."""
    path, pen = [], "M"
    for across, up in points:
        if math.isfinite(up):
            path.append(f"{pen}{across:.1f} {up:.1f}")
            pen = "L"
        else:
            pen = "M"
    dots = [f'<circle cx="{a:.1f}" cy="{u:.1f}" r="2.5"/>' for a, u in points if math.isfinite(u)] if len(points) <= 200 else []
    return [
        f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<g fill="{colour}">{"".join(dots)}</g>',
        f'<text x="{right}" y="{TOP + 14 * number}" font-size="12" text-anchor="end" fill="{colour}">{escape(name)}</text>',
    ]
