"""Which part of some bytes a request asks for: one range or all of it, never many."""

import re
from collections.abc import Mapping

from tracker.errors import OutOfRange
from tracker.service.replies import Content

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


def requested(headers: Mapping[str, str], content: Content) -> tuple[int, tuple[int, int]]:
    """The status (200, 206 or 304) and the span to send. Raises OutOfRange for a range that holds nothing, or for several."""
    tag = f'"{content.digest}"'
    known = headers.get("If-None-Match")
    if known is not None and (known.strip() == "*" or tag in [part.strip().removeprefix("W/") for part in known.split(",")]):
        return 304, (0, 0)
    text = headers.get("Range")
    if text is None or headers.get("If-Range", tag) != tag:
        return 200, (0, content.size)
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise OutOfRange("the Range header must ask for one range of bytes", size=content.size)
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(content.size - int(suffix), 0), content.size
    else:
        start, end = int(first), min(int(last) + 1, content.size) if last else content.size
    if start >= end:
        raise OutOfRange(f"the range holds nothing: there are {content.size} bytes", size=content.size)
    return 206, (start, end)
