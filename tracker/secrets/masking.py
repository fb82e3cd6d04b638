"""Masking: `***` in place of every value that must not be written, in texts, in bytes, and in bytes that come in pieces.

A value is looked for as it is and in the forms in which programs print it: as JSON and `repr` write it, percent-encoded, in base64, and
the long lines of one that has several (keys). Values that overlap are covered together. A stream holds back what may be the beginning
of a value until more of it comes, so that one split over two writes is found, too; never more than one byte less than the longest value.
"""

import base64
import json
from collections.abc import Iterable
from typing import AnyStr
from urllib.parse import quote, quote_plus

MASK = "***"
LEAST = 4  # characters; a shorter value is a word like any other, and cannot be masked without destroying the text
LINE = 12  # characters; a shorter line of a longer value is no secret of its own
WORDS = frozenset({"true", "false", "none", "null"})  # values that say nothing

Span = tuple[int, int]


def forms(value: str) -> set[str]:
    """The texts that give this value away."""
    found = {value, value.strip()}
    lines = value.split("\n")
    if len(lines) > 1:
        found.update(line.strip() for line in lines if len(line.strip()) >= LINE)
    for form in tuple(found):
        found.update((json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], repr(form)[1:-1], quote(form, safe="")))
        found.update((quote(form), quote_plus(form)))
    for raw in (value, value.strip()):
        found.add(base64.b64encode(raw.encode("utf-8", "surrogatepass")).decode().rstrip("="))
    return {form for form in found if len(form) >= LEAST and form.lower() not in WORDS}


def spans(text: AnyStr, parts: Iterable[AnyStr], covered: int = 0) -> list[Span]:
    """Where the text holds any of the parts, overlaps joined, in order. The first `covered` characters count as held."""
    found: list[Span] = [(0, covered)] if covered else []
    for part in parts:
        at = text.find(part)
        while at >= 0:
            found.append((at, at + len(part)))
            at = text.find(part, at + 1)
    joined: list[Span] = []
    for start, end in sorted(found):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def mask(text: AnyStr, parts: Iterable[AnyStr], sign: AnyStr) -> AnyStr:
    """The text with the sign for every part; the very same object when there is none."""
    found = spans(text, parts)
    if not found:
        return text
    pieces: list[AnyStr] = []
    at = 0
    for start, end in found:
        pieces.extend((text[at:start], sign))
        at = end
    pieces.append(text[at:])
    return sign[:0].join(pieces)


class Held:
    """What a stream holds back between two pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._covered = 0  # bytes of the rest for which a sign has gone out

    def feed(self, data: bytes, parts: Iterable[bytes], *, last: bool = False) -> bytes:
        """What can go out now, masked; all of it when this is the `last`."""
        parts = tuple(parts)
        text = self._rest + data
        found = spans(text, parts, self._covered)
        cut = len(text) if last else _safe(text, parts)
        pieces: list[bytes] = []
        at = beyond = 0
        for start, end in found:
            if start >= cut and not (start == 0 and self._covered):
                break
            pieces.append(text[at:start])
            if start or not self._covered:
                pieces.append(MASK.encode())
            at, beyond = min(end, cut), max(0, end - cut)
        pieces.append(text[at:cut])
        self._rest, self._covered = text[cut:], beyond
        return b"".join(pieces)


def _safe(text: bytes, parts: Iterable[bytes]) -> int:
    """Up to where nothing can become part of a value, whatever comes."""
    safe = len(text)
    for part in parts:
        at = text.find(part[:1], max(0, len(text) - len(part) + 1))
        while 0 <= at < safe:
            if part.startswith(text[at:]):
                safe = at
                break
            at = text.find(part[:1], at + 1)
    return safe
