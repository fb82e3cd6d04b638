"""A line chart that needs nothing but a browser: HTML with inline SVG, no script, no font, no picture from elsewhere.

The first column of the header is the horizontal axis, each other column is a line: points in the order of the rows, a gap where there is no
number. A first column of words or dates is written along the axis as it is. Long lines are thinned to what a screen can show: of every few
pixels the first, least, greatest and last point.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from tracker.artifacts.artifact import Artifact
from tracker.artifacts.axes import number, of_numbers, of_words
from tracker.errors import InvalidRequest

WIDTH, HEIGHT, TITLE, RIGHT, BOTTOM = 720, 400, 32, 40, 46
LEGEND = 18  # pixels of a row of names
LETTER = 7  # pixels, about
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")
DASHES = ("", "6 3", "2 3")  # when the colours are used up
DOTTED = 100  # points that are marked each
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

    def let_go(self) -> None:
        """See Artifact: what is remembered of it does not change with further rows."""
        super().let_go()
        self.rows, self.header = [], []

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
        for place, row in enumerate(self.rows, 1):
            if len(row) != wide:
                raise InvalidRequest(f"row {place} of chart {self.key!r} has {len(row)} values, its header has {wide}", field="add_row")
        if len(self.rows) > MAX_ROWS:
            raise InvalidRequest(f"chart {self.key!r} has {len(self.rows)} rows, at most {MAX_ROWS} can be drawn", field="add_row")
        return self.rows


def _pixels(value: Any, name: str) -> int:
    if not isinstance(value, int) or not 200 <= value <= 10_000:
        raise InvalidRequest(f"a chart's {name} is a number of pixels from 200 to 10000, not {value!r}", field="options")
    return value


class _Legend(NamedTuple):
    """The names of the lines in rows above the picture: (x, row, name) of each."""

    names: list[tuple[int, int, str]]
    rows: int


def _legend(names: list[str], left: int, right: int) -> _Legend:
    found, x, row = [], left, 0
    for name in names:
        wide = 30 + LETTER * len(name)
        if x > left and x + wide > right:
            x, row = left, row + 1
        found.append((x, row, name))
        x += wide
    return _Legend(found, row + 1 if names else 0)


def _drawing(title: str, names: list[str], rows: list[list[Any]], width: int, height: int) -> str:
    column = [row[0] for row in rows] if rows and rows[0] else []
    across = [number(value) for value in column]
    numeric = all(map(math.isfinite, across))
    horizontal = of_numbers(across) if numeric else of_words(column, width // 120)
    across = across if numeric else [float(i) for i in range(len(rows))]
    lines = [[number(row[i]) for row in rows] for i in range(1, len(names))]
    vertical = of_numbers(value for line in lines for value in line)
    left = 20 + LETTER * max(4, *(len(text) for _, text in vertical.marks))
    legend = _legend([name if len(name) <= 40 else f"{name[:39]}\N{HORIZONTAL ELLIPSIS}" for name in names[1:]], left, width - RIGHT)
    top, right, bottom = min(TITLE + LEGEND * legend.rows + 6, height // 2), width - RIGHT, height - BOTTOM

    def x(value: float) -> float:
        return left + horizontal.share(value) * (right - left)

    def y(value: float) -> float:
        return bottom - vertical.share(value) * (bottom - top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        '<g font-family="sans-serif" fill="#333">',
        f'<rect width="{width}" height="{height}" fill="#fff"/><text x="{left}" y="22" font-size="15">{escape(title)}</text>',
        *(
            f'<path d="M{left} {y(at):.1f}H{right}" stroke="#e4e4e4"/>{_text(left - 8, y(at) + 4, text, "end")}'
            for at, text in vertical.marks
        ),
        *(f'<path d="M{x(at):.1f} {bottom}v5" stroke="#888"/>{_text(x(at), bottom + 18, text)}' for at, text in horizontal.marks),
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#888"/>',
        _text((left + right) / 2, height - 8, names[0], size=12),
    ]
    for i, line in enumerate(lines):
        parts += _line(i, [(x(a), y(v)) for a, v in zip(across, line, strict=True)], width)
    for i, (at, row, name) in enumerate(legend.names):
        up = TITLE + LEGEND * row + 6
        parts.append(f'<line x1="{at}" y1="{up}" x2="{at + 18}" y2="{up}" {_stroke(i)}/>{_text(at + 23, up + 4, name, "start", 12)}')
    return "".join([*parts, "</g></svg>"])


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'


def _stroke(number: int) -> str:
    dashes = DASHES[number // len(COLOURS) % len(DASHES)]
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="2" stroke-linejoin="round"{dashed}'


def _line(number: int, points: list[tuple[float, float]], width: int) -> list[str]:
    """A line with gaps where there are no numbers; points are marked when they are few, or would not be seen because they stand alone."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            pieces[-1].append(point)
        elif pieces[-1]:
            pieces.append([])
    path = "".join("M" + "L".join(f"{a:.1f} {u:.1f}" for a, u in _thinned(piece, width)) for piece in pieces if len(piece) > 1)
    marked = [point for piece in pieces if len(points) <= DOTTED or len(piece) == 1 for point in piece]
    dots = "".join(f'<circle cx="{a:.1f}" cy="{u:.1f}" r="2.5"/>' for a, u in marked)
    found = [f'<path d="{path}" {_stroke(number)}/>'] if path else []
    return [*found, f'<g fill="{COLOURS[number % len(COLOURS)]}">{dots}</g>'] if dots else found


def _thinned(points: list[tuple[float, float]], width: int) -> list[tuple[float, float]]:
    """The points, or of neighbours within a pixel the first, least, greatest and last one, in their order."""
    if len(points) <= 4 * width:
        return points
    found: list[tuple[float, float]] = []
    start = 0
    for i in range(1, len(points) + 1):
        if i == len(points) or int(points[i][0]) != int(points[start][0]):
            few = points[start:i]
            if len(few) > 4:
                up = [point[1] for point in few]
                few = [few[j] for j in sorted({0, up.index(min(up)), up.index(max(up)), len(few) - 1})]
            found += few
            start = i
    return found
