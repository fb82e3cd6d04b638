"""A picture of all iterations at once: parallel coordinates, as one HTML page with inline SVG and no script.

Each parameter and each numeric result is an upright axis, each iteration a line across all of them; the best is drawn last, in a colour of
its own, and failed ones are dashed. Numbers are to scale, other values stand at equal distances. Pure: rows in, text out.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tracker.hyperparams.selector import Selector
from tracker.hyperparams.table import Row

MAX_LINES = 2000
MAX_AXES = 24
MAX_NAMES = 40  # values at one axis that are written beside it
WIDTH, HEIGHT, TOP, LEFT = 150, 360, 60, 70  # of an axis; of the drawing's margins

_STYLE = """body{font:14px system-ui,sans-serif;margin:24px;color:#222;background:#fff}path{fill:none;stroke:#4878a8;stroke-opacity:.45}
path:hover{stroke-opacity:1;stroke-width:3}.best{stroke:#d1495b;stroke-width:3;stroke-opacity:1}.failed{stroke:#888;stroke-dasharray:4 3}
line{stroke:#444}text{font-size:11px;fill:#333;stroke:#fff;stroke-width:3px;paint-order:stroke}.name{font-size:13px;font-weight:600}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}text{fill:#ccc;stroke:#181818}line{stroke:#aaa}}"""


class _Axis(msgspec.Struct):
    name: str
    places: dict[str, float]  # what a value is called -> 0 (bottom) .. 1 (top)
    least: float = 0.0
    most: float = 0.0
    numeric: bool = False

    def place(self, value: Any) -> float | None:
        """How high a value stands; None when it has no place."""
        if not self.numeric:
            return self.places.get(_called(value))
        if not _is_number(value):
            return None
        span = self.most / 2 - self.least / 2  # halves, as the whole may be beyond the largest float
        return 0.5 if span == 0 else (value / 2 - self.least / 2) / span


def parallel_coordinates(rows: Sequence[Row], selector: Selector | None = None, best: int = 0) -> str:
    """The page; "" when there is nothing to draw."""
    drawn = list(rows[:MAX_LINES]) + [row for row in rows[MAX_LINES:] if row.number == best]
    axes = [(False, axis) for axis in _axes([row.parameters for row in drawn])]
    axes += [(True, axis) for axis in _axes([row.results for row in drawn]) if axis.numeric]
    if not axes or len(drawn) < 1:
        return ""
    left_out = [f"{len(rows) - len(drawn)} of {len(rows)} iterations are not drawn"] if len(rows) > len(drawn) else []
    if len(axes) > MAX_AXES:
        left_out.append(f"{len(axes) - MAX_AXES} axes are not drawn")
        axes = _chosen(axes, selector)
    lines = [_line(row, axes, row.number == best) for row in sorted(drawn, key=lambda row: (row.number == best, row.number))]
    scales = [_scale(axis, LEFT + i * WIDTH, of_results) for i, (of_results, axis) in enumerate(axes)]
    aim = f"best: iteration {best} by {selector.direction}.{selector.result}" if best and selector else ""
    told = html.escape("; ".join(filter(None, [f"{len(rows)} iterations", aim, *left_out])))
    size = f'viewBox="0 0 {2 * LEFT + (len(axes) - 1) * WIDTH} {HEIGHT + 2 * TOP}" width="100%" style="max-height:80vh"'
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{told}" {size}>{"".join(lines)}{"".join(scales)}</svg>'
    head = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Parallel coordinates</title><style>{_STYLE}</style></head>'
    return f"{head}<body><p>{told}</p>{drawing}</body></html>"


def _axes(found: Sequence[Mapping[str, Any]]) -> list[_Axis]:
    names = dict.fromkeys(name for values in found for name in values)
    return [axis for name in names if (axis := _axis(name, [values[name] for values in found if name in values]))]


def _axis(name: str, values: list[Any]) -> _Axis | None:
    finite = [value for value in values if _is_number(value)]
    if finite and all(_is_number(value) or value is None or isinstance(value, float) for value in values):
        return _Axis(name, {}, float(min(finite)), float(max(finite)), numeric=True)
    called = list(dict.fromkeys(map(_called, values)))
    return _Axis(name, {text: 0.5 if len(called) == 1 else i / (len(called) - 1) for i, text in enumerate(called)})


def _chosen(axes: list[tuple[bool, _Axis]], selector: Selector | None) -> list[tuple[bool, _Axis]]:
    """As many as can be read, the one that decides among them."""
    first = [pair for pair in axes if pair[0] and selector is not None and pair[1].name == selector.result]
    rest = [pair for pair in axes if pair not in first]
    return rest[: MAX_AXES - len(first)] + first


def _line(row: Row, axes: Sequence[tuple[bool, _Axis]], best: bool) -> str:
    points: list[str] = []
    pen = "M"
    for i, (of_results, axis) in enumerate(axes):
        values = row.results if of_results else row.parameters
        place = axis.place(values[axis.name]) if axis.name in values else None
        if place is None:
            pen = "M"
            continue
        points.append(f"{pen}{LEFT + i * WIDTH} {TOP + HEIGHT * (1 - place):.1f}")
        pen = "L"
    kind = ' class="best"' if best else "" if row.state == "completed" else ' class="failed"'
    told = [f"{name} = {_called(value)}" for values in (row.parameters, row.results) for name, value in values.items()]
    title = html.escape(f"iteration {row.number}, {row.state}\n" + "\n".join(told[: 2 * MAX_AXES]))
    return f'<path{kind} d="{"".join(points)}"><title>{title}</title></path>' if points else ""


def _scale(axis: _Axis, x: int, of_results: bool) -> str:
    marks = [(axis.least, 0.0), (axis.most, 1.0)] if axis.least != axis.most else [(axis.least, 0.5)]
    shown = [(f"{value:.6g}", place) for value, place in marks] if axis.numeric else list(axis.places.items())[:MAX_NAMES]
    texts = "".join(f'<text x="{x + 5}" y="{TOP + HEIGHT * (1 - place) + 4:.1f}">{html.escape(text[:24])}</text>' for text, place in shown)
    name = html.escape(axis.name[:20])
    style = ' font-style="italic"' if of_results else ""
    return (
        f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{TOP + HEIGHT}"/>{texts}'
        f'<text class="name" text-anchor="middle" x="{x}" y="{TOP - 20}"{style}>{name}<title>{html.escape(axis.name)}</title></text>'
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _called(value: Any) -> str:
    return str(value)[:200]
