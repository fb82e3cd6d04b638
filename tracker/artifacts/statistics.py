"""Statistics of a frame's columns, as MLRun's datasets and models have them: a description each, and for numbers a histogram.

Values that are missing, NaN or infinite are left out and counted apart by what `count` lacks. Quantiles are linear between neighbours.
"""

import math
from typing import Any

from tracker.artifacts.frames import Frame
from tracker.errors import InvalidRequest
from tracker.values import plain

BINS = 20
SMALL_ROWS, SMALL_CELLS = 10_000, 1_000_000  # a frame up to this size is described unasked
MAX_COLUMNS = 2_000


def small(frame: Frame) -> bool:
    """Whether describing it costs next to nothing."""
    return frame.length <= SMALL_ROWS and frame.length * len(frame.columns) <= SMALL_CELLS


def statistics(frame: Frame) -> dict[str, dict[str, Any]]:
    """By column: count, mean, std, min, 25%, 50%, 75%, max and hist [counts, edges] of numbers; count, unique, top, freq of the rest."""
    try:
        import numpy
    except ImportError:
        raise InvalidRequest("statistics need numpy: pip install 'run-tracker[data]'", field="stats") from None
    found = {}
    for name in frame.frame.columns[:MAX_COLUMNS]:
        series = frame.frame.get_column(name)
        try:
            found[str(name)] = _numbers(numpy, series) if series.dtype.is_numeric() else _values(series)
        except Exception:  # noqa: BLE001 - a kind of number that numpy does not know: how many there are is all there is to say
            found[str(name)] = {"count": int(series.drop_nulls().len())}
    return found


def _numbers(numpy: Any, series: Any) -> dict[str, Any]:
    import narwhals as nw

    values = numpy.asarray(series.cast(nw.Float64).to_numpy(), dtype="float64")
    values = values[numpy.isfinite(values)]
    count = int(values.size)
    if not count:
        return {"count": 0}
    with numpy.errstate(over="ignore", invalid="ignore"):
        quarters = [float(value) for value in numpy.quantile(values, [0.25, 0.5, 0.75])]
        told = {"count": count, "mean": float(values.mean()), "std": float(values.std(ddof=1)) if count > 1 else math.nan}
        told |= {"min": float(values.min()), "25%": quarters[0], "50%": quarters[1], "75%": quarters[2], "max": float(values.max())}
    try:
        counts, edges = numpy.histogram(values, bins=BINS)
    except ValueError:  # too wide a range for finite bins
        return told
    return {**told, "hist": [counts.tolist(), edges.tolist()]}


def _values(series: Any) -> dict[str, Any]:
    present = series.drop_nulls()
    told: dict[str, Any] = {"count": int(present.len())}
    if not told["count"] or series.dtype.is_nested():
        return told
    try:
        counted = present.alias("top").value_counts(sort=True, name="freq")
        top, freq = plain(counted["top"][0]), int(counted["freq"][0])
    except Exception:  # noqa: BLE001 - objects that cannot be compared
        return told
    return {**told, "unique": int(counted.shape[0]), "top": top[:200] if isinstance(top, str) else top, "freq": freq}
