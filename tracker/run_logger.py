"""Lines for people, said by the job through its context: on stderr, and in the run's console.

When the console is captured, what goes to stderr or stdout is in it already; otherwise the line is recorded with the source "logger".
"""

import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from tracker.ambient import within
from tracker.errors import InvalidRequest

if TYPE_CHECKING:
    from tracker.lifetime import Lifetime

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
MAX_LINE = 64 * 1024  # bytes


class RunLogger:
    """`logger.info("text", key=value)`, and so for every level."""

    def __init__(self, context: "Lifetime") -> None:
        self._context = context
        self._level = "info"
        self._stream: TextIO | None = None

    @property
    def level(self) -> str:
        """The least level that is written."""
        return self._level

    @level.setter
    def level(self, level: str) -> None:
        name = {"warn": "warning", "fatal": "critical"}.get(str(level).lower(), str(level).lower())
        if name not in LEVELS:
            raise InvalidRequest(f"the log level is one of {', '.join(LEVELS)}, not {level!r}", field="log_level")
        self._level = name

    def redirect(self, stream: TextIO | None) -> None:
        """Write to this text stream instead of stderr; None is stderr again."""
        if stream is not None and not callable(getattr(stream, "write", None)):
            raise InvalidRequest(f"the logger writes to a text stream, not to {type(stream).__name__}", field="stream")
        self._stream = stream

    def debug(self, message: str, **values: Any) -> None:
        """Something for whoever looks for a fault."""
        self._say("debug", message, values)

    def info(self, message: str, **values: Any) -> None:
        """Something that goes as it should."""
        self._say("info", message, values)

    def warning(self, message: str, **values: Any) -> None:
        """Something to look at."""
        self._say("warning", message, values)

    warn = warning

    def error(self, message: str, **values: Any) -> None:
        """Something that went wrong."""
        self._say("error", message, values)

    def critical(self, message: str, **values: Any) -> None:
        """Something that ends the work."""
        self._say("critical", message, values)

    def exception(self, message: str, **values: Any) -> None:
        """An error, with the traceback of the exception being handled."""
        import traceback

        self._say("error", f"{message}\n{traceback.format_exc()}".rstrip(), values)

    def _say(self, level: str, message: str, values: dict[str, Any]) -> None:
        if LEVELS[level] < LEVELS[self._level]:
            return
        at = datetime.now(UTC).isoformat(sep=" ", timespec="milliseconds")[:-6]
        pairs = "".join(f" {key}={value!r}" for key, value in values.items())
        line = self._context.secrets.mask(f"{at} [{level}] {message}{pairs}\n")
        stream = self._stream or sys.stderr
        with suppress(OSError, ValueError, AttributeError), within(self._context):  # closed, or none: a job without a terminal
            stream.write(line)
            stream.flush()
        if not (self._context.captured and (stream is sys.stderr or stream is sys.stdout)):
            data = line.encode("utf-8", "replace")[:MAX_LINE]
            self._context.record_console(data, "logger")
