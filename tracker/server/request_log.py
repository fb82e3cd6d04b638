"""What the server says about itself: one line of JSON per request or event of its own life, on stderr.

Lines are handed to a thread, since whoever reads stderr may stop reading and the server must not. When the thread is that far behind,
lines are dropped and counted. Values come from clients: they are JSON strings, so a line stays a line; headers, queries' values and
bodies are never logged.
"""

import logging
import queue
import sys
import threading
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog

CAPACITY = 10_000
_encoder = msgspec.json.Encoder(enc_hook=repr)


class Lines:
    """A bounded queue of lines in front of stderr; a structlog logger."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | None] = queue.Queue(CAPACITY)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="request-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Write what waits, as far as `timeout` seconds allow."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout)

    def put(self, line: bytes) -> None:
        """Hand a line over."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    debug = info = warning = error = exception = critical = msg = put

    def _write(self) -> None:
        while (line := self._queue.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                line += f'\n{{"event":"lines dropped","count":{dropped}}}'.encode()
            try:
                sys.stderr.buffer.write(line + b"\n")
                sys.stderr.buffer.flush()
            except OSError:
                self._dropped += 1


_lines = Lines()


def configure(level: int = logging.INFO) -> None:
    """Send structlog's lines through here."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _lines,
        cache_logger_on_first_use=True,
    )


def _render(_logger: object, _name: str, line: MutableMapping[str, Any]) -> bytes:
    return _encoder.encode(line)


@asynccontextmanager
async def request_log() -> AsyncIterator[None]:
    """Lines are written within the block, and what waits at its end."""
    _lines.start()
    try:
        yield
    finally:
        _lines.stop(1.0)
