"""How long a handler may take, as people write it."""

from typing import Any

import pytest

from tracker.errors import InvalidRequest
from tracker.executors.durations import executing_limit, seconds_of, spelled


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("2d", 172800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("250ms", 0.25),
        (3, 3),
        (1.5, 1.5),
        ("7", 7),
    ],
)
def test_durations(said: Any, seconds: float) -> None:
    """Units and plain seconds are understood."""
    assert seconds_of(said) == seconds


@pytest.mark.parametrize("said", [None, -1, "-1", "infinite", ""])
def test_no_bound(said: Any) -> None:
    """There are ways to say that there is no bound."""
    assert seconds_of(said) is None


@pytest.mark.parametrize("wrong", ["soon", "5x", "h", "1h foo", 0, -5, "nan", "inf", True, [1], "1h-"])
def test_what_is_no_duration(wrong: Any) -> None:
    """What is no duration is refused with the state it was said for."""
    with pytest.raises(InvalidRequest, match="is no duration") as caught:
        executing_limit({"executing": wrong})
    assert caught.value.field == "state_thresholds.executing"


def test_states_that_do_not_exist_are_refused() -> None:
    """A threshold for a state in which no run here ever waits is not silently kept."""
    assert executing_limit({"running": "2s"}) == 2
    assert executing_limit(None) is None
    with pytest.raises(InvalidRequest, match="image_pull_backoff"):
        executing_limit({"image_pull_backoff": "1h"})


def test_spelled() -> None:
    """Durations are shown in their greatest whole unit."""
    assert [spelled(seconds) for seconds in (0.5, 90, 300, 7200, 172800)] == ["0.5s", "90s", "5m", "2h", "2d"]
