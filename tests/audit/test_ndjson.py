"""Events survive the way out to lines of JSON and back, to the bit."""

import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import types as t
from events.codec import AnyEvent, encode
from events.record import Batch
from tracker.audit.ndjson import Malformed, event_of, from_json, lines, parse, to_json


def batch(events: list[AnyEvent]) -> Batch:
    """A batch as stored."""
    return Batch(
        offset=7,
        count=len(events),
        stream="run/p/u",
        version=3,
        recorded_at=5,
        actor="",
        producer="x",
        sequence=2,
        body=encode(events),
        digest=b"",
    )


def round_trip(events: list[AnyEvent]) -> bytes:
    """The stored body of the events after export and import."""
    return encode([event_of(parse(text)) for text in lines(batch(events))])


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary(max_size=8)
keys = st.sampled_from(["a", "$float", "$bytes", "$map", "$ext"]) | st.text(max_size=4)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8)


@given(values)
def test_any_value_survives(value: Any) -> None:
    """A parameter of any JSON-like value, bytes and NaN included, comes back to the bit, also through the text."""
    text = msgspec.json.encode(to_json(value))
    assert msgspec.msgpack.encode(from_json(msgspec.json.decode(text))) == msgspec.msgpack.encode(value)


def test_events_come_back_as_the_same_bytes() -> None:
    """What import stores is what export read: console bytes that are no text, NaN, negative zero and infinities included."""
    events: list[AnyEvent] = [
        t.ConsoleWritten(time=1, data=b"\xff\x00\x1b[31m"),
        t.MetricLogged(time=2, key="m", value=math.nan, step=1),
        t.MetricLogged(time=2, key="m", value=-math.inf),
        t.ResultLogged(time=3, key="r", value=[-0.0, 1.0, 1, True, None, "NaN", math.inf, b"x", {"$float": "nan"}]),
    ]
    assert round_trip(events) == encode(events)


def test_a_strange_nan_keeps_its_bits() -> None:
    """A NaN with a payload is still that NaN."""
    strange = struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0]
    assert struct.pack(">d", from_json(to_json(strange))).hex() == "fff8000000000123"


def test_unknown_events_and_fields_are_kept_whole() -> None:
    """An event of a newer version, and a newer field of a known event, pass through a tool that knows neither."""
    newer: list[AnyEvent] = [
        t.Unknown(type="run.teleported", data={"type": "run.teleported", "time": 4, "where": {"x": b"\x00", "y": [1]}}),
        t.Unknown(type="run.renamed", data={"type": "run.renamed", "time": 5, "name": "n", "since": 3}),
    ]
    assert round_trip(newer) == encode(newer)


def test_a_known_event_comes_back_typed() -> None:
    """Imported events are folded at once like any other."""
    event = t.ParameterSet(time=1, key="lr", value=0.1)
    (text,) = lines(batch([event]))
    assert event_of(parse(text)) == event


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"offset":1}', b'{"offset":"1","stream":"s","version":1,"recorded_at":1,"producer":"p","sequence":1,"event":{}}'],
)
def test_a_line_that_is_no_event_is_named_by_its_number(text: bytes) -> None:
    """A truncated or foreign file is refused at the line that is wrong."""
    with pytest.raises(Malformed, match="line 12: not an exported event"):
        parse(text, 12)


@pytest.mark.parametrize("event", [{"a": {"$bytes": "!"}}, {"a": {"$float": "zz"}}, {"a": {"$map": [1]}}, {"a": {"$ext": "x"}}])
def test_a_broken_tag_is_named_by_its_line(event: dict[str, Any]) -> None:
    """A value that was edited into nonsense is refused, never guessed."""
    text = msgspec.json.encode(
        {"offset": 1, "stream": "run/p/u", "version": 1, "recorded_at": 1, "producer": "p", "sequence": 1, "event": {"type": "x", **event}}
    )
    with pytest.raises(Malformed, match="line 3"):
        event_of(parse(text, 3), 3)
