"""Events to stored bytes and back: the only place that knows tags and compression.

A body is the msgpack array of a batch's events. When it is long enough to pay, it is a zstd frame, known by its magic
number: a msgpack array never begins with 0x28. One decoder for the union of all events does the whole array
in one call; only a body with an unknown or an old tag is walked event by event.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args

import msgspec
import zstandard

from events.errors import Corrupt, InvalidEvent
from events.types import Event, Unknown
from events.upcast import upcast

COMPRESS_FROM = 512  # bytes; below it a zstd frame is hardly smaller than what it holds
MAX_BODY = 64 * 1024 * 1024  # decoded bytes of one batch; more is refused on both ways
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class _Zstd(threading.local):
    """Making either takes longer than using it on a small body, and neither may be used by two threads at once."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()
_encoder = msgspec.msgpack.Encoder()
_events = msgspec.msgpack.Decoder(list[Event])
_raws = msgspec.msgpack.Decoder(list[msgspec.Raw])

AnyEvent = Event | Unknown
KINDS: Mapping[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Event)}  # by tag
_WIDE = frozenset(kind for kind in KINDS.values() if len(kind.__struct_fields__) >= 15)


def encode_event(event: AnyEvent) -> bytes:
    """The msgpack bytes of one event."""
    try:
        return _narrow(event) if type(event) in _WIDE else _encoder.encode(event.data if isinstance(event, Unknown) else event)
    except (TypeError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidEvent(f"{type(event).__name__} cannot be stored: {error}") from error


def _narrow(event: AnyEvent) -> bytes:
    """The bytes of an event of many possible fields. Its encoder gives every such map the header of a large one; with the smallest that
    will do, an event has one form, whether it is encoded from its struct or its plain shape, and with however many fields to come."""
    wide = _encoder.encode(event)
    return bytes((0x80 | wide[2],)) + wide[3:] if wide[:2] == b"\xde\x00" and wide[2] < 16 else wide


def encode(events: Sequence[AnyEvent]) -> bytes:
    """The stored body of a batch."""
    return compress(encode_plain(events))


def encode_plain(events: Sequence[AnyEvent]) -> bytes:
    """The msgpack array of a batch. Raises InvalidEvent."""
    try:
        plain = _encoder.encode([e.data if type(e) is Unknown else msgspec.Raw(_narrow(e)) if type(e) in _WIDE else e for e in events])
    except (TypeError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidEvent(f"the batch cannot be stored: {error}") from error
    if len(plain) > MAX_BODY:
        raise InvalidEvent(f"the batch has {len(plain)} bytes, at most {MAX_BODY} are stored as one: split it")
    return plain


def normal(events: Sequence[AnyEvent]) -> tuple[bytes, list[AnyEvent]]:
    """The msgpack array of a batch, and its events as every reader will get them: a tuple comes back as a list, the metric 1 as 1.0.
    Raises InvalidEvent when one would not come back as the event it is."""
    plain = encode_plain(events)
    try:
        return plain, list(_events.decode(plain))
    except msgspec.ValidationError:
        pass
    back = decode_plain(plain)
    for i, (wanted, got) in enumerate(zip(events, back, strict=True)):
        if type(got) is Unknown and type(wanted) is not Unknown:
            raise InvalidEvent(f"event {i} ({tag_of(wanted)}): {_complaint(got)}")
    return plain, back


def replace(body: bytes, index: int, *events: AnyEvent) -> bytes:
    """The stored body with other events from `index` on; the rest stays byte for byte."""
    raws = _raws.decode(decompress(body))
    raws[index : index + len(events)] = [msgspec.Raw(encode_event(event)) for event in events]
    return compress(_encoder.encode(raws))


def _complaint(event: Unknown) -> str:
    try:
        msgspec.convert(event.data, _kind_of(event.data))
    except msgspec.ValidationError as error:
        return str(error)
    return "its shape is not of this version"


def compress(plain: bytes) -> bytes:
    """A stored body from the msgpack array, compressed when that makes it smaller."""
    if len(plain) < COMPRESS_FROM:
        return plain
    packed = _zstd.compressor.compress(plain)
    return packed if len(packed) < len(plain) else plain


def plain_size(body: bytes) -> int:
    """How many bytes the msgpack array in a stored body has, by its own account."""
    if body[:4] != _ZSTD_MAGIC:
        return len(body)
    try:
        return min(zstandard.frame_content_size(body), MAX_BODY)
    except zstandard.ZstdError:
        return len(body)  # whoever decodes it is told


def decompress(body: bytes) -> bytes:
    """The msgpack array in a stored body."""
    if body[:4] != _ZSTD_MAGIC:
        return body
    try:
        if zstandard.frame_content_size(body) > MAX_BODY:
            raise Corrupt("a stored batch claims more than it may hold")
        return _zstd.decompressor.decompress(body, max_output_size=MAX_BODY)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a stored batch does not decompress: {error}") from error


def decode(body: bytes) -> list[AnyEvent]:
    """The events of a stored body, in their present shapes. Raises Corrupt."""
    return decode_plain(decompress(body))


def decode_plain(plain: bytes) -> list[AnyEvent]:
    """The events of an uncompressed msgpack array. Raises Corrupt."""
    try:
        return list(_events.decode(plain))
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Corrupt(f"a batch does not decode: {error}") from error
    try:
        return [_decode_one(bytes(raw)) for raw in _raws.decode(plain)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Corrupt(f"a batch does not decode: {error}") from error


def _decode_one(raw: bytes) -> AnyEvent:
    try:
        shape = upcast(msgspec.msgpack.decode(raw))
    except (msgspec.DecodeError, RecursionError, AttributeError, UnicodeDecodeError) as error:
        raise Corrupt(f"an event does not decode: {error}") from error
    return event_from(shape)


def _kind_of(shape: Mapping[str, Any]) -> type[Event] | None:
    tag = shape.get("type")
    return KINDS.get(tag) if isinstance(tag, str) else None


def event_from(shape: dict[str, Any]) -> AnyEvent:
    """The event a plain dict stands for; Unknown when its tag, or its shape under a known tag, is not of this version."""
    if kind := _kind_of(shape):
        with suppress(msgspec.ValidationError):
            return msgspec.convert(shape, kind)  # the union of all kinds would be worked out anew each time
    time, iteration = shape.get("time"), shape.get("iteration")
    return Unknown(
        type=str(shape.get("type", "")),
        data=shape,
        time=time if isinstance(time, int) else 0,
        iteration=iteration if isinstance(iteration, int) else 0,
    )


def tag_of(event: AnyEvent) -> str:
    """The dotted tag of an event."""
    return event.type if isinstance(event, Unknown) else str(type(event).__struct_config__.tag)
