"""Values to bodies and back: JSON or msgpack, each with one strict reader.

JSON has no NaN and no infinities, and this domain produces them: they are written as the strings "NaN", "Infinity" and "-Infinity", and
bytes as base64. msgpack carries both as they are. Readers refuse what two parsers could understand differently: duplicate keys, bare NaN,
numbers out of range, text that is not UTF-8, nesting beyond 32.
"""

import json
import math
from functools import cache
from typing import Any, NoReturn

import msgspec

from tracker.errors import InvalidRequest

JSON = "application/json"
MSGPACK = "application/x-msgpack"
MAX_DEPTH = 32
MAX_MEMBERS = 10_000

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()
_ALIASES = {JSON: JSON, MSGPACK: MSGPACK, "application/msgpack": MSGPACK, "application/vnd.msgpack": MSGPACK}
_NEVER = frozenset({str, int, bool, bytes, type(None)})
_TIGHT = (str, int, bool, bytes, dict[str, str], dict[str, int], list[str])  # types of fields in which no float can be


def media_type(header: str) -> str | None:
    """JSON or MSGPACK for a Content-Type that means one of them."""
    return _ALIASES.get(header.partition(";")[0].strip().lower())


def accepted(header: str) -> str:
    """JSON or MSGPACK, whichever an Accept header names first; JSON when it names neither."""
    for part in header.split(","):
        if found := media_type(part):
            return found
    return JSON


def encode(value: Any, media: str) -> bytes:
    """The body of a reply."""
    return _msgpack.encode(value) if media == MSGPACK else encode_json(value)


def encode_json(value: Any) -> bytes:
    """JSON, in which non-finite floats are strings. Where there is none of them, nothing is copied."""
    return _json.encode(_spell(msgspec.to_builtins(value)) if _odd(value) else value)


def _odd(value: Any) -> bool:
    """Whether a non-finite float may be in a value. A sum tells it of a whole column at once."""
    kind = type(value)
    if kind in _NEVER:
        return False
    if kind is float:
        return not math.isfinite(value)
    if kind is dict:
        return any(map(_odd, value.values()))
    if kind is list or kind is tuple:
        if value and type(value[0]) in (float, int):
            try:
                return not math.isfinite(sum(value))
            except (TypeError, OverflowError):
                pass
        return any(map(_odd, value))
    if not isinstance(value, msgspec.Struct):
        return True
    return any(_odd(getattr(value, field)) for field in _loose(type(value)))


@cache
def _loose(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a struct in which a float may be, by their types."""
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.type not in _TIGHT)


def _spell(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else _spelled(value)
    if isinstance(value, dict):
        return {key: _spell(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spell(item) for item in value] if _odd(value) else value
    return value


def _spelled(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def decode_json(body: bytes) -> Any:
    """Plain values from JSON. Raises InvalidRequest."""
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_members, parse_constant=_constant, parse_float=_number, parse_int=_integer
        )
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: byte {error.start}", reason="bad_utf8") from None
    except RecursionError:
        raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH}", reason="too_deep") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}", reason="bad_json") from None
    return value


def decode_msgpack(body: bytes) -> Any:
    """Plain values from msgpack. Raises InvalidRequest."""
    try:
        return msgspec.msgpack.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise InvalidRequest(f"the body is not msgpack: {error}", reason="bad_msgpack") from None
    except RecursionError:
        raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH}", reason="too_deep") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidRequest(f"the key {twice[:64]!r} stands twice in one object", reason="duplicate_key")
    return members


def _constant(text: str) -> NoReturn:
    raise InvalidRequest(f'{text} is not JSON: write "{text}" in quotes, where a metric value is meant', reason="bad_json")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidRequest(f"the number {text[:32]} does not fit a 64-bit float", reason="number_range")
    return value


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (value := int(text)) < 2**63:
        raise InvalidRequest(f"the integer {text[:32]} does not fit 64 bits", reason="int_range")
    return value


def check_plain(value: Any, field: str, depth: int = MAX_DEPTH) -> None:
    """Refuse a value that is not JSON as the log means it: too deep, too wide, integers beyond 64 bits, keys or types that are not
    plain."""
    if value is None or isinstance(value, (bool, float, bytes)):
        return
    if isinstance(value, str):
        _check_text(value, field)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidRequest(f"{field}: an integer does not fit 64 bits", field=field, reason="int_range")
    elif isinstance(value, (list, dict)):
        if depth == 0:
            raise InvalidRequest(f"{field} is nested deeper than {MAX_DEPTH}", field=field, reason="too_deep")
        if len(value) > MAX_MEMBERS and isinstance(value, dict):
            raise InvalidRequest(f"{field} has {len(value)} members, at most {MAX_MEMBERS} are allowed", field=field, reason="too_large")
        for item in value.values() if isinstance(value, dict) else value:
            check_plain(item, field, depth - 1)
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise InvalidRequest(f"{field}: the keys of an object must be text", field=field)
                _check_text(key, field)
    else:
        raise InvalidRequest(f"{field}: {type(value).__name__} is not a plain value", field=field)


def _check_text(text: str, field: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(f"{field}: a text holds half a surrogate pair", field=field, reason="bad_utf8") from None
