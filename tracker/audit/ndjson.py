"""Events as lines of JSON, without loss, for pipes, backups and other tools.

A line is one recorded event: its place (offset, stream, version, recorded_at, actor, producer, sequence) and `event`, the plain shape
as stored, unknown fields and unknown events included. What JSON cannot say is tagged by an object of one key:
`{"$float": "nan"}` (also inf, -inf, and 16 hex digits for a NaN with other bits), `{"$bytes": "<base64>"}`, `{"$time": "<RFC 3339>"}`,
`{"$ext": [code, "<base64>"]}`, `{"$map": [[key, value], ...]}` for a map that JSON or these tags could not tell apart.
"""

import base64
import math
import struct
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from events.codec import AnyEvent, decode_plain, decompress, encode_event
from events.errors import Corrupt
from events.record import Batch
from events.types import Unknown

_NAN = struct.pack(">d", math.nan)
_shapes = msgspec.msgpack.Decoder(list[dict[Any, Any]])


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One exported event; `event` holds builtins as JSON can say them."""

    offset: int
    stream: str
    version: int
    recorded_at: int
    actor: str = ""
    producer: str
    sequence: int
    event: dict[str, Any]
    # On the first event of a batch only: how many events it has, its digest in the chain, and the digest of its first body when redacted.
    count: int = 0
    digest: str = ""
    original: str = ""


class Malformed(ValueError):
    """A line is not an exported event. `.number` is its number in the file, counted from 1."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number


_line = msgspec.json.Decoder(Line)
_json = msgspec.json.Encoder()


def lines(batch: Batch, after: int = 0) -> Iterator[bytes]:
    """The events of a batch with an offset greater than `after`, one line each, newline included."""
    for i, shape in enumerate(_shapes.decode(decompress(batch.body))):
        if batch.offset + i > after:
            place = Line(
                offset=batch.offset + i,
                stream=batch.stream,
                version=batch.version + i,
                recorded_at=batch.recorded_at,
                actor=batch.actor,
                producer=batch.producer,
                sequence=batch.sequence + i,
                event=to_json(shape),
                count=0 if i else batch.count,
                digest="" if i else batch.digest.hex(),
                original="" if i else (batch.original or b"").hex(),
            )
            yield _json.encode(place) + b"\n"


def parse(text: bytes, number: int = 1) -> Line:
    """The exported event of a line. Raises Malformed."""
    try:
        return _line.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(number, f"not an exported event: {error}") from None


def event_of(line: Line, number: int = 1) -> AnyEvent:
    """The event of a line, such that storing it gives the bytes it was exported from. Raises Malformed."""
    try:
        shape = from_json(line.event)
        stored = msgspec.msgpack.encode(shape)
        (event,) = decode_plain(b"\x91" + stored)  # an array of one; a prepared decoder is far faster than msgspec.convert
        # Fields this version does not know would be lost with a typed event: then the shape is kept as it is.
        if encode_event(event) != stored:
            return Unknown(type=str(shape.get("type", "")), data=shape)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, struct.error, Corrupt) as error:
        raise Malformed(number, f"its event cannot be read: {error}") from None
    return event


def to_json(value: Any) -> Any:
    """Builtins of msgpack as builtins of JSON; `from_json` gives back equal ones, to the bit."""
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and not _looks_tagged(value):
            return {key: to_json(item) for key, item in value.items()}
        return {"$map": [[to_json(key), to_json(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        bits = struct.pack(">d", value)
        return {"$float": repr(value) if math.isinf(value) or bits == _NAN else bits.hex()}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, msgspec.msgpack.Ext):
        return {"$ext": [value.code, base64.b64encode(bytes(value.data)).decode()]}
    return value


def from_json(value: Any) -> Any:
    """The inverse of `to_json`."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _looks_tagged(value):
        ((tag, content),) = value.items()
        return _TAGS[tag](content)
    return {key: from_json(item) for key, item in value.items()}


def _looks_tagged(value: dict[Any, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in _TAGS


def _float(text: str) -> float:
    return float(text) if text in {"nan", "inf", "-inf"} else float(struct.unpack(">d", bytes.fromhex(text))[0])


_TAGS: dict[str, Callable[[Any], Any]] = {
    "$float": _float,
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$time": datetime.fromisoformat,
    "$ext": lambda pair: msgspec.msgpack.Ext(pair[0], base64.b64decode(pair[1], validate=True)),
    "$map": lambda pairs: {from_json(key): from_json(item) for key, item in pairs},
}
