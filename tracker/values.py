"""What users hand in, to what events hold: the journal's edge.

Scalars of numpy, torch and their kind become Python numbers here, in the caller's thread, because only there the value is what it
was. NaN and infinities are kept. What no event can hold is refused at once, with the field's name, before anything is written.
"""

import enum
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import PurePath
from typing import Any

from tracker.errors import InvalidRequest
from tracker.names import check_key

MAX_DEPTH = 31
MAX_TEXT = 1024 * 1024  # characters or bytes of one value
MAX_ITEMS = 100_000
_INT64 = 2**63
_MILLISECONDS = 1e11  # seconds until the year 5138
_NANOSECONDS = 10**16

_known_keys: set[str] = set()  # keys that passed; training loops say the same few for ever


def key_of(key: Any) -> str:
    """A key as events have it. Raises InvalidRequest."""
    try:
        if key in _known_keys:
            return str(key)
    except TypeError:  # not hashable: no key either
        pass
    if isinstance(key, enum.Enum):
        key = key.value
    if not isinstance(key, (str, int, float)):
        raise InvalidRequest(f"a key is text, not {type(key).__name__}", field="key")
    text = check_key(str(key), "key")
    if len(_known_keys) < 10_000:
        _known_keys.add(text)
    return text


def number_of(key: str, value: Any) -> float:
    """The value of a metric as a float. Raises InvalidRequest."""
    if type(value) is float:
        return value
    if isinstance(value, (str, bytes)):
        raise InvalidRequest(f"metric {key!r} needs a number, not {type(value).__name__}: log texts with log_result", field="value")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InvalidRequest(f"metric {key!r} needs one number: {error}", field="value") from None


def step_of(step: Any) -> int:
    """A step as a 64-bit integer. Raises InvalidRequest."""
    try:
        number = int(step)
        if number != step and not isinstance(step, str):
            raise InvalidRequest(f"a step must be a whole number, not {step!r}", field="step")
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"a step must be an integer: {error}", field="step") from None
    if not -_INT64 <= number < _INT64:
        raise InvalidRequest("a step must fit 64 bits", field="step")
    return number


def time_of(timestamp: Any) -> int:
    """Nanoseconds UTC from a datetime (local time when it has no zone), seconds since the epoch, or integer nanoseconds."""
    if timestamp is None:
        return time.time_ns()
    if isinstance(timestamp, datetime):
        whole = timestamp.astimezone(UTC)
        since = whole - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000
    if isinstance(timestamp, int) and abs(timestamp) >= _NANOSECONDS:
        return step_of(timestamp)
    try:
        seconds = float(timestamp)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"a timestamp is a datetime, seconds, or integer nanoseconds: {error}", field="timestamp") from None
    if not math.isfinite(seconds) or abs(seconds) > _MILLISECONDS:
        raise InvalidRequest(f"timestamp {timestamp!r} is no time in seconds; milliseconds must be divided by 1000", field="timestamp")
    return round(seconds * 1_000_000) * 1000


def text_of(value: Any) -> str:
    """The text of a label or annotation. Raises InvalidRequest."""
    text = value if isinstance(value, str) else str(plain(value))
    _check_text(text, "value")
    return text


def recordable(text: str) -> str:
    """A text that nobody can be asked to mend, such as an exception's, as events have it: half surrogate pairs escaped."""
    return text.encode(errors="backslashreplace").decode()


def texts_of(values: Mapping[Any, Any] | None, field: str = "labels") -> dict[str, str]:
    """A dict of labels as events have it. Raises InvalidRequest."""
    if not values:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidRequest(f"{field} must be a dict, not {type(values).__name__}", field=field)
    return {key_of(key): text_of(value) for key, value in values.items()}


def plain_dict(values: Mapping[Any, Any] | None, field: str) -> dict[str, Any]:
    """A dict of parameters or results as events have it. Raises InvalidRequest."""
    if not values:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidRequest(f"{field} must be a dict, not {type(values).__name__}", field=field)
    return {key_of(key): plain(value) for key, value in values.items()}


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A value as events have it: None, bool, int, float, text, bytes, lists and dicts. Arrays become lists, anything else its text."""
    kind = type(value)
    if kind is float or kind is bool or value is None:
        return value
    if kind is int:
        if not -_INT64 <= value < _INT64:
            raise InvalidRequest(f"the integer {str(value)[:40]} does not fit 64 bits: log it as text or as a float", field="value")
        return value
    if kind is str or kind is bytes:
        return _check_text(value, "value")
    return _plain_other(value, depth)


def _plain_other(value: Any, depth: int) -> Any:
    if depth == 0:
        raise InvalidRequest(f"a value is nested deeper than {MAX_DEPTH + 1}: log it as an artifact", field="value")
    if isinstance(value, Mapping):
        _check_size(len(value))
        return {str(_check_text(str(key), "key")): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        _check_size(len(value))
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, enum.Enum):
        return plain(value.value, depth - 1)
    if isinstance(value, (bool, int, float)):  # subclasses, such as numpy.float64
        return plain(float(value) if isinstance(value, float) else int(value), depth)
    if isinstance(value, (bytearray, memoryview)):
        return _check_text(bytes(value), "value")
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if not isinstance(value, (str, PurePath)) and (array := getattr(value, "tolist", None)) is not None and callable(array):
        _check_size(int(getattr(value, "size", 0)) if isinstance(getattr(value, "size", 0), int) else 0)
        return plain(array(), depth - 1)
    return _check_text(str(value), "value")


def _check_text(text: Any, field: str) -> Any:
    if len(text) > MAX_TEXT:
        raise InvalidRequest(f"a value of {len(text)} characters is too long: log it as an artifact", field=field)
    if isinstance(text, str) and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("a text holds half a surrogate pair, which is not Unicode", field=field) from None
    return text


def _check_size(size: int) -> None:
    if size > MAX_ITEMS:
        raise InvalidRequest(f"a value of {size} items is too long: log it as an artifact", field="value")


_SECRET = re.compile(r"(?i)(pass(word|wd)?|secret|token|api[_-]?key|credential)")


def command_line(arguments: list[str]) -> list[str]:
    """A command without the values of options that sound secret."""
    shown: list[str] = []
    hide = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        secret = bool(_SECRET.search(name)) and (bool(equals) or name.startswith("-"))
        shown.append("***" if hide and not argument.startswith("-") else f"{name}=***" if secret and equals else argument)
        hide = secret and not equals
    return shown
