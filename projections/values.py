"""Values as the search index holds them: an int, a float or a text, as SQLite compares them (numbers before texts)."""

import math
from typing import Any

import msgspec

LONGEST = 1_000  # characters of a text in the index
_MOST = 2**63 - 1


def searchable(value: Any) -> int | float | str | None:
    """The value for the index; None when there is nothing to find. A bool is "true" or "false", NaN the text "NaN",
    an int beyond 64 bits the nearest float, bytes are hexadecimal digits, other JSON is its text; texts are cut after 1,000 characters."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value
    if isinstance(value, int):
        return value if -_MOST <= value <= _MOST else float(value)
    if value is None:
        return None
    if isinstance(value, bytes):
        return value[: LONGEST // 2].hex()
    try:
        return msgspec.json.encode(value).decode()[:LONGEST]
    except (TypeError, RecursionError):
        return None  # not JSON, though msgpack can hold it


def fit(number: int) -> int:
    """The number, or the nearest that a column can hold: a fold never refuses history."""
    return number if -_MOST <= number <= _MOST else max(-_MOST, min(_MOST, number))
