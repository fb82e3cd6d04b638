"""A series can be seen in any terminal."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from tracker.audit.chart import chart


def test_a_falling_series_falls() -> None:
    """The first point is drawn in the top row at the left, the last in the bottom row at the right, with both values as scale."""
    rows = chart(range(100), [100 - i for i in range(100)], width=60, height=10, title="loss")
    assert rows[0] == "loss"
    assert rows[1].split()[0] == "100"
    assert rows[10].split()[0] == "1"
    assert len(rows[1].rstrip()) < len(rows[5].rstrip()) < len(rows[10]) == 60
    assert rows[-1].split() == ["0", "step", "99"]


def test_values_that_are_not_numbers_are_counted_not_drawn() -> None:
    """NaN and infinities leave a hole and are said in the caption."""
    assert chart([0, 1, 2], [1.0, math.nan, math.inf], title="loss")[0] == "loss  (2 not finite)"
    assert chart([0], [math.nan]) == ["  (1 not finite)", "no finite values to draw"]


def test_no_points_is_a_sentence() -> None:
    """An empty series says so rather than failing."""
    assert chart([], []) == ["no finite values to draw"]


@given(st.lists(st.floats(), max_size=50), st.integers(10, 200), st.integers(2, 40))
@example([1.7120886998688722e308], 72, 12)
@example([-1.7e308, 1.7e308, 5e-324], 72, 12)
def test_any_series_fits_its_frame(values: list[float], width: int, height: int) -> None:
    """Whatever the values, the chart keeps its width and height."""
    rows = chart(range(len(values)), values, width=width, height=height)
    assert len(rows) <= height + 3
    assert all(len(row) <= max(width, 32) for row in rows)
