"""How long a state may last, as people write it: `90s`, `5m`, `1h`, `2d`, `1h30m`, or a number of seconds."""

import math
import re
from collections.abc import Mapping
from typing import Any

from tracker.errors import InvalidRequest

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
EXECUTING = ("executing", "running")  # the state a handler is in while it works; the second is what its run shows
ENDLESS = ("", "-1", "infinite", "none")

_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|[smhdw])\s*")


def seconds_of(value: Any, field: str = "duration") -> float | None:
    """Seconds; None for no bound (None, -1, "infinite"). Raises InvalidRequest."""
    if value is None or str(value).strip().lower() in ENDLESS:
        return None
    seconds = _number(value)
    if seconds is None and isinstance(value, str):
        parts = [_PART.match(value)] if value.strip() else []
        total = 0.0
        while parts and parts[-1] is not None:
            total += float(parts[-1][1]) * UNITS[parts[-1][2]]
            if parts[-1].end() == len(value):
                seconds = total
                break
            parts.append(_PART.match(value, parts[-1].end()))
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        raise InvalidRequest(f"{value!r} is no duration: write 90s, 5m, 1h, 2d, or a number of seconds", field=field)
    return seconds


def executing_limit(thresholds: Mapping[str, Any] | None) -> float | None:
    """How many seconds a handler may work; None is for ever. Raises InvalidRequest for other states: no run started here waits in them."""
    limit: float | None = None
    for state, value in (thresholds or {}).items():
        if state not in EXECUTING:
            raise InvalidRequest(
                f"there is no threshold for {state!r}: a run that is started here has the state executing only", field="state_thresholds"
            )
        limit = seconds_of(value, f"state_thresholds.{state}")
    return limit


def spelled(seconds: float) -> str:
    """A duration for people."""
    for unit in ("d", "h", "m"):
        if seconds >= UNITS[unit] and seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
