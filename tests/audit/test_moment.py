"""A moment can be written as people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.audit.moment import Moment, elapsed, parse_moment, parse_time, rfc3339

NOW = 1_800_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", Moment(offset=0)),
        ("1250", Moment(offset=1250)),
        ("1700000000000000001", Moment(time=1_700_000_000_000_000_001)),
        ("2023-11-14T22:13:20.000000001Z", Moment(time=1_700_000_000_000_000_001)),
        ("2023-11-15T00:13:20+02:00", Moment(time=1_700_000_000_000_000_000)),
        ("10m", Moment(time=NOW - 600 * 10**9)),
        ("2h ago", Moment(time=NOW - 7200 * 10**9)),
    ],
)
def test_offsets_times_and_ages_are_moments(text: str, moment: Moment) -> None:
    """An offset, nanoseconds, an ISO time with any zone, and an age all say when."""
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "12.5", "2023-13-01", "1e9", "10 parsecs"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    """A mistake is answered by what would have been right."""
    with pytest.raises(ValueError, match="give an offset"):
        parse_moment(text, NOW)


@given(st.integers(1, 4_000_000_000 * 10**9))
def test_a_time_printed_is_read_back_to_the_nanosecond(time: int) -> None:
    """What --json prints can be given to --at again."""
    assert parse_time(rfc3339(time)) == time


def test_lengths_of_time_read_naturally() -> None:
    """Seconds, minutes, hours and days, two units at most."""
    seconds = [0.354, 42, 185, 7800, 273_600, -3]
    assert [elapsed(int(s * 1e9)) for s in seconds] == ["0.35s", "42s", "3m 05s", "2h 10m", "3d 04h", "-3.00s"]
