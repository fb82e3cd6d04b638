"""The seam between the SDK and wherever runs are recorded: a server over HTTP, or a data directory opened in this process.

What goes wrong arrives as the errors of `tracker.errors` and `events.errors`, the same on both sides of a wire.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from tracker.journal_reader import Piece
from tracker.settings import Settings, Target, parse_target


class Transport(Protocol):
    """A way to record and to ask."""

    async def send(self, pieces: Sequence[Piece]) -> int:
        """Record events in order, exactly once; returns the log's offset that holds all of them."""
        ...

    async def ask(self, method: str, path: str, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """The reply of the native API as plain values. `path` is percent-encoded and begins with /v1."""
        ...

    def stream(self, path: str, params: Mapping[str, str] | None = None) -> AsyncGenerator[Any, None]:
        """The items of a streaming route: plain values for NDJSON routes, chunks for routes of bytes."""
        ...

    async def put_blob(self, digest: str, path: Path) -> None:
        """Keep a file under its sha256; sends nothing when it is there already."""
        ...

    def get_blob(self, digest: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a blob from `start` up to but without `end`."""
        ...

    async def beat(self, producer: str, runs: Sequence[tuple[str, str]]) -> float:
        """Say that these runs (project, uid) are alive; returns how long silence may last, in seconds."""
        ...


def open_transport(target: Target | str, settings: Settings | None = None) -> AbstractAsyncContextManager[Transport]:
    """A transport to a directory or a server, open within the `async with`."""
    settings = settings or Settings.from_env()
    target = parse_target(target) if isinstance(target, str) else target
    if target.kind == "http":
        from tracker.http_transport import open_http

        return open_http(target, settings)
    from tracker.local_transport import open_local

    return open_local(target, settings)
