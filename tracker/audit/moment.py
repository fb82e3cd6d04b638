"""A moment of the log, as people write it: an offset, a time, or how long ago.

Inside, time is integer nanoseconds UTC. A number below 10^15 is an offset, a larger one nanoseconds since the epoch (10^15 ns is
January 1970, and no log has that many events). A time without a zone is local time, as on the clock on the wall of who asks.
"""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

OFFSETS_BELOW = 10**15
SECOND = 1_000_000_000

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d|w)(?:\s+ago)?")
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_FRACTION = re.compile(r"\.(\d+)")


class Moment(msgspec.Struct, frozen=True):
    """Either the offset of the last event that counts, or the time until which they count; the other one is None."""

    offset: int | None = None
    time: int | None = None

    @property
    def text(self) -> str:
        """As the API's `at=` takes it."""
        return str(self.offset) if self.offset is not None else rfc3339(self.time or 0)

    @property
    def phrase(self) -> str:
        """For people: `after offset 1250`, `at 2026-01-31 13:00:00`."""
        return f"after offset {self.offset}" if self.offset is not None else f"at {local(self.time or 0)}"


def parse_moment(text: str, now: int) -> Moment:
    """The moment written as `text`; `now` (ns) is what "5m ago" counts from. Raises ValueError that says what is accepted."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        number = int(text)
        return Moment(offset=number) if number < OFFSETS_BELOW else Moment(time=number)
    if ago := _AGO.fullmatch(text.lower()):
        return Moment(time=now - int(float(ago[1]) * _UNITS[ago[2]] * SECOND))
    try:
        return Moment(time=parse_time(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a moment: give an offset (1250), a time (2026-01-31T12:00:00Z, 2026-01-31 12:00) or an age (10m, 2h, 3d)"
        ) from None


def parse_time(text: str) -> int:
    """Nanoseconds of an ISO 8601 time, all nine digits kept; without a zone it is local. Raises ValueError."""
    fraction = _FRACTION.search(text)
    whole = datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    seconds = int(whole.timestamp())
    return seconds * SECOND + (int(fraction[1][:9].ljust(9, "0")) if fraction else 0)


def rfc3339(time: int) -> str:
    """`2026-01-31T12:00:00.123456789Z`; the fraction only when there is one."""
    seconds, rest = divmod(time, SECOND)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def local(time: int) -> str:
    """`2026-01-31 13:00:00` on the clock of the machine; "" for 0, which means "not yet"."""
    return f"{datetime.fromtimestamp(time // SECOND, UTC).astimezone():%Y-%m-%d %H:%M:%S}" if time else ""


def elapsed(time: int) -> str:
    """A length of time for people: `0.35s`, `42s`, `3m 05s`, `2h 10m`, `3d 04h`."""
    sign, seconds = ("-", -time / SECOND) if time < 0 else ("", time / SECOND)
    if seconds < 10:
        return f"{sign}{seconds:.2f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{sign}{whole}s"
    if whole < 3600:
        return f"{sign}{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{sign}{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{sign}{whole // 86400}d {whole % 86400 // 3600:02d}h"


def counted(number: int, noun: str) -> str:
    """`1 file`, `1,024 files`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("ch") else "s")


def plain(value: Any) -> str:
    """A JSON value as short text for people: texts bare, numbers short, NaN named, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else msgspec.json.encode(value).decode()
