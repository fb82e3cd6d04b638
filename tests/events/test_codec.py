"""Events to bytes and back: exact, whole, and bounded."""

import math
import struct
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from events.codec import KINDS, MAX_BODY, decode, decode_plain, encode, encode_event, event_from, normal, replace, tag_of
from events.errors import Corrupt, InvalidEvent
from events.types import ConsoleWritten, LabelSet, MetricLogged, ParameterSet, Redacted, ResultLogged, RunCreated, Unknown
from events.upcast import upcast

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.builds(ResultLogged, time=st.integers(0, 2**63 - 1), iteration=st.integers(0, 9), key=st.text(), value=plain_values)))
def test_values_survive_the_store_exactly(events: list[ResultLogged]) -> None:
    """Any plain value comes back as it was, NaN and infinities included."""
    assert repr(decode(encode(events))) == repr(events)


@given(st.integers(0, 2**64 - 1))
def test_floats_survive_bit_by_bit(bits: int) -> None:
    """Every float keeps its sign, its infinity and its NaN."""
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    (event,) = decode(encode([MetricLogged(time=1, key="loss", value=value)]))
    assert isinstance(event, MetricLogged)
    assert math.isnan(event.value) if math.isnan(value) else struct.pack("<d", event.value) == struct.pack("<d", value)


def test_an_unknown_event_survives_whole() -> None:
    """An event of a later version, nested fields included, is read, written and read again without loss, among known ones."""
    shape = {"type": "model.deployed", "time": 7, "iteration": 2, "to": {"nodes": [1, {"x": b"\xff"}]}, "n": None}
    body = msgspec.msgpack.encode([{"type": "label.set", "time": 1, "key": "a", "value": "b"}, shape])
    known, unknown = decode(body)
    assert known == LabelSet(time=1, key="a", value="b")
    assert unknown == Unknown(type="model.deployed", data=shape, time=7, iteration=2)
    assert decode(encode([known, unknown])) == [known, unknown]
    assert msgspec.msgpack.decode(encode([known, unknown]))[1] == shape
    assert tag_of(unknown) == "model.deployed"


@pytest.mark.parametrize("shape", [{"type": "metric.logged", "time": 1, "key": 5, "value": "x"}, {"time": "soon"}, {"type": 3}, {}])
def test_a_shape_that_fits_no_event_is_kept_as_it_is(shape: dict[str, Any]) -> None:
    """A known tag with a strange shape, or none at all, stops no reader and loses nothing."""
    event = event_from(shape)
    assert isinstance(event, Unknown)
    assert event.data == shape
    assert decode(encode([event])) == [event]


def test_a_field_of_a_later_version_does_not_hide_the_event() -> None:
    """A known event that carries a field this version does not know is still that event."""
    body = msgspec.msgpack.encode([{"type": "label.set", "time": 1, "key": "a", "value": "b", "new": 1}])
    assert decode(body) == [LabelSet(time=1, key="a", value="b")]


def test_old_shapes_are_lifted_step_by_step() -> None:
    """An event of an old tag is taken through every step up to the present one."""
    table = {
        "metric": lambda s: {**s, "type": "metric.2", "key": s["name"]},
        "metric.2": lambda s: {**s, "type": "metric.logged", "value": float(s["value"])},
    }
    old = {"type": "metric", "time": 1, "name": "loss", "value": "0.5"}
    assert event_from(upcast(old, table)) == MetricLogged(time=1, key="loss", value=0.5)
    assert old == {"type": "metric", "time": 1, "name": "loss", "value": "0.5"}


def test_normal_gives_what_readers_will_get() -> None:
    """What is kept in memory after an append equals what the store gives back: tuples are lists, whole metrics are floats."""
    wanted = [ParameterSet(time=1, key="k", value=(1, 2)), MetricLogged(time=1, key="m", value=1)]
    plain, events = normal(wanted)
    assert events == decode_plain(plain)
    assert repr(events[0].value) == "[1, 2]"  # type: ignore[union-attr]
    assert repr(events[1].value) == "1.0"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "event",
    [
        RunCreated(time=1, name=5),  # type: ignore[arg-type]
        MetricLogged(time=1, key="m", value="high"),  # type: ignore[arg-type]
        LabelSet(time=None, key="m", value="high"),  # type: ignore[arg-type]
        ParameterSet(time=1, key="k", value=object()),
        ParameterSet(time=1, key="k", value=2**64),
        ParameterSet(time=1, key="k", value="\ud800"),
    ],
)
def test_what_would_not_come_back_is_refused(event: Any) -> None:
    """An event that cannot be stored, or would be another one when read, is refused with a reason."""
    with pytest.raises(InvalidEvent, match=r"\w{4}"):
        normal([event])


def test_a_value_too_deep_is_refused() -> None:
    """A value nested beyond reason is refused, not a crash."""
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidEvent):
        encode_event(ParameterSet(time=1, key="k", value=value))


def test_a_batch_has_a_largest_size() -> None:
    """A batch larger than may be stored as one is refused."""
    with pytest.raises(InvalidEvent, match="split"):
        encode([ConsoleWritten(time=1, data=bytes(MAX_BODY))])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93\x01",
        b"\xc1",
        b"\x91\x01",
        b"\x81\xa1a\x01",
        encode([LabelSet(time=1, key="a", value="b")])[:-1],
        encode([LabelSet(time=1, key="a", value="b")]) + b"\x00",
        b"\x28\xb5\x2f\xfd\x00",
        encode([ConsoleWritten(time=1, data=b"a" * 9999)])[:-3],
        zstandard.ZstdCompressor().compress(bytes(MAX_BODY + 1)),
        b"\x91" * 100_000,
    ],
    ids=lambda body: f"{body[:8].hex()}-{len(body)}",
)
def test_bytes_that_are_no_batch_are_corrupt(body: bytes) -> None:
    """Broken, cut, or oversized bodies are reported as corrupt, never half decoded."""
    with pytest.raises(Corrupt):
        decode(body)


@given(st.binary(max_size=64))
def test_no_bytes_crash_the_decoder(body: bytes) -> None:
    """Any bytes are either events or Corrupt."""
    with suppress(Corrupt):
        decode(body)


def test_replacing_an_event_leaves_the_others_byte_for_byte() -> None:
    """Around a redacted event everything stays as it was stored, shapes of other versions included."""
    shapes = [{"type": "label.set", "time": 1, "key": "a", "value": "b", "new": 1}, {"type": "x", "time": 1}, {"type": "y", "z": 1}]
    body = replace(msgspec.msgpack.encode(shapes), 1, Redacted(time=1, was="x"))
    assert msgspec.msgpack.decode(body) == [shapes[0], {"type": "redacted", "time": 1, "was": "x"}, shapes[2]]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_event_has_one_form(kind: str) -> None:
    """Encoded from its struct or from its plain shape, an event is the same bytes, whatever fields its kind may have: a log restored
    from its export has the chain it had."""
    fields = {
        field.name: {int: 1, str: "x", bytes: b"x", bool: False, float: 0.5}.get(field.type)
        for field in msgspec.structs.fields(KINDS[kind])
    }
    few = {name: fields[name] for name in ("time", "key", "digest") if fields.get(name) is not None}
    for shape in (few, {name: value for name, value in fields.items() if value is not None}):
        event = event_from({"type": kind, **shape})
        plain = msgspec.to_builtins(event.data if isinstance(event, Unknown) else event, builtin_types=(bytes,))
        assert encode([event]) == encode([Unknown(type=kind, data=plain)])
        assert encode_event(event) == msgspec.msgpack.encode(plain)
