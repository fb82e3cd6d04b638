"""What a use case may answer besides a struct: a stream of items, or bytes. Both are lazy, bounded in memory, and closed by whoever
consumes them.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec


class Item(msgspec.Struct, frozen=True):
    """One item of a stream. `id` resumes after it; `kind` names it for server-sent events; `data` is anything that encodes. `more` says
    that another follows without waiting, so that the two may share a write."""

    id: str
    kind: str
    data: Any
    more: bool = False


class Items(msgspec.Struct, frozen=True):
    """A stream of items."""

    source: AsyncGenerator[Item, None]
    follow: bool = False


class Piece(msgspec.Struct, frozen=True):
    """Consecutive bytes, and where they end."""

    end: int
    data: bytes


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes from `start` (inclusive) to `end` (exclusive; None = open, as they come) of `size` there are now. `read(start, end)` begins
    to read. A `ranged` one may be read in any part of it."""

    read: Callable[[int, int | None], AsyncGenerator[Piece, None]]
    start: int
    end: int | None
    size: int
    ranged: bool = False
    exact: bool = True  # whether `end - start` is what is sent; not when some is left out
    digest: str = ""
    media: str = "application/octet-stream"
    filename: str = ""
    headers: dict[str, str] = {}

    @property
    def follow(self) -> bool:
        """Whether the end is open."""
        return self.end is None
