"""Every change of a run can be told: what, when, by whom, from which value to which."""

import math
from collections.abc import AsyncIterator
from typing import get_args

import pytest
from msgspec import UNSET

from events import types as t
from events.codec import AnyEvent
from events.record import Recorded
from tracker.audit.diff import BOOKKEEPING, diff, flatten
from tracker.audit.history import Change, history
from tracker.audit.replay import _TELLERS, paced, tell

pytestmark = pytest.mark.anyio
SECOND = 1_000_000_000


async def recorded(*events: AnyEvent, actor: str = "", producer: str = "p1") -> AsyncIterator[Recorded]:
    """The events as recorded one after another."""
    for i, event in enumerate(events, 1):
        yield Recorded(
            offset=i, stream="run/p/u", version=i, recorded_at=i * SECOND, actor=actor, producer=producer, sequence=i, event=event
        )


async def changes(*events: AnyEvent, actor: str = "") -> list[Change]:
    """What history tells of the events."""
    return [change async for change in history(recorded(*events, actor=actor))]


async def test_a_correction_shows_both_values() -> None:
    """A parameter set twice is a change from the first value to the second, at the offset where it happened."""
    found = await changes(
        t.RunCreated(time=1, name="r", parameters={"lr": 0.1}),
        t.ParameterSet(time=2, key="lr", value=0.2),
        t.ParameterSet(time=3, key="lr", value=0.2),
    )
    assert [(c.offset, c.field, c.before, c.after) for c in found if c.field == "parameters.lr"] == [
        (1, "parameters.lr", UNSET, 0.1),
        (2, "parameters.lr", 0.1, 0.2),
    ]


async def test_who_did_it_is_the_actor_else_the_process() -> None:
    """The authenticated actor is named; without one, the user, host and process the producer said it was."""
    facts = {"user": "ada", "host": "box", "pid": 7}
    assert (await changes(t.AttemptStarted(time=1, attempt="a", facts=facts)))[-1].by == "ada@box (pid 7)"
    assert (await changes(t.AttemptStarted(time=1, attempt="a", facts=facts), actor="token:ci"))[-1].by == "token:ci"


async def test_a_removed_label_has_no_after() -> None:
    """Removing is a change like any other."""
    found = await changes(t.LabelSet(time=1, key="a", value="x"), t.LabelSet(time=2, key="a", value=None))
    assert [(c.before, c.after) for c in found] == [(UNSET, "x"), ("x", UNSET)]


async def test_types_and_nan_are_told_apart() -> None:
    """1 to 1.0 to true are changes; NaN to NaN is none."""
    found = await changes(*(t.ResultLogged(time=i, key="r", value=v) for i, v in enumerate([1, 1.0, True, math.nan, math.nan])))
    assert [c.offset for c in found] == [1, 2, 3, 4]


async def test_children_have_their_own_fields() -> None:
    """The same field of two iterations is two fields; the best mark belongs to the run itself."""
    found = await changes(
        t.ResultLogged(time=1, key="acc", value=1, iteration=1),
        t.ResultLogged(time=1, key="acc", value=1, iteration=2),
        t.BestIterationMarked(time=2, iteration=2),
    )
    assert [(c.iteration, c.field, c.after) for c in found] == [(1, "results.acc", 1), (2, "results.acc", 1), (0, "best_iteration", 2)]


def test_a_diff_names_each_field_by_its_path() -> None:
    """Two states differ in exactly the fields that differ; what only one has is absent on the other side."""
    before = {"state": "running", "parameters": {"lr": 0.1, "deep": {"x": 1}}, "labels": {"a": "b"}, "offset": 3}
    after = {"state": "completed", "parameters": {"lr": 0.1, "deep": {"x": 2}}, "labels": {}, "offset": 9, "results": {"acc": math.nan}}
    found = {d.field: (d.before, d.after) for d in diff(before, after, ignore=BOOKKEEPING)}
    assert found.pop("results.acc")[0] is UNSET
    assert found == {"state": ("running", "completed"), "parameters.deep.x": (1, 2), "labels.a": ("b", UNSET)}
    assert diff(after, after) == []
    assert flatten({}) == {}


async def test_a_replay_keeps_the_pace_and_cuts_long_silences() -> None:
    """At speed 2 a second is half a second; an hour of silence is the longest pause; a clock that goes back does not stop the story."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    times = [10, 11, 10.5, 3611, 3612]
    events = recorded(*(t.RunCommitted(time=int(s * SECOND)) for s in times))
    since = [story.since / SECOND async for story in paced(events, sleep, speed=2, longest=4)]
    assert pauses == [0.5, 4, 0.5]
    assert since == [0, 1, 1, 3601, 3602]


def test_every_event_can_be_told() -> None:
    """No event of the vocabulary is told as unknown."""
    assert set(get_args(t.Event)) == set(_TELLERS)
    assert tell(t.StateChanged(time=1, state="error", error="boom")).text == "error: boom"
    assert "kept whole" in tell(t.Unknown(type="x.y", data={})).text
