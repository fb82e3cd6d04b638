"""The views are functions of the log alone."""

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.histories import Said, batched, cuttings, fold, groupings, histories, hostile, rows_of


@given(said=histories, sizes=groupings, cuts=cuttings)
def test_equal_events_give_equal_rows(said: list[Said], sizes: list[int], cuts: list[bool]) -> None:
    """However events were grouped into batches and transactions, every column of every view is the same."""
    at_once = rows_of(fold(batched(said, [False]), [10_000]))
    one_by_one = rows_of(fold(batched(said, [True]), [1]))
    somehow = rows_of(fold(batched(said, cuts), sizes))
    assert somehow == one_by_one == at_once


@given(said=st.lists(hostile(), min_size=1, max_size=30), sizes=groupings, cuts=cuttings)
def test_nothing_that_can_be_stored_stops_a_fold(said: list[Said], sizes: list[int], cuts: list[bool]) -> None:
    """Numbers beyond 64 bits or whose sum is, keys of any length, values no JSON has, shapes of no event: folded, and equal however
    they were grouped."""
    assert rows_of(fold(batched(said, cuts), sizes)) == rows_of(fold(batched(said, [True]), [1]))


@given(said=histories, sizes=groupings)
def test_nothing_in_a_log_stops_a_fold(said: list[Said], sizes: list[int]) -> None:
    """Whatever was recorded, in whatever order and wherever, all projections reach the end of the log."""
    db = fold(batched(said, [True, False]), sizes)
    assert {offset for (offset,) in db.execute("SELECT offset FROM checkpoint")} == {len(said)}
