"""What the engine says to whoever runs it.

The same code runs in a server, which has structlog configured, and within jobs, which print what they like: there it goes through the
standard library's `logging`, so that a job sees warnings on stderr, nothing on stdout, and whatever its own configuration lets through.
"""

import logging
from typing import Any

import structlog


class Logger:
    """Says a text, with values by name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, text: str, **values: Any) -> None:
        """Something that goes as it should."""
        self._say(logging.INFO, text, values)

    def warning(self, text: str, **values: Any) -> None:
        """Something to look at."""
        self._say(logging.WARNING, text, values)

    def error(self, text: str, **values: Any) -> None:
        """Something that went wrong."""
        self._say(logging.ERROR, text, values)

    def _say(self, level: int, text: str, values: dict[str, Any]) -> None:
        if structlog.is_configured():
            structlog.get_logger(self._name).log(level, text, **values)
        else:
            pairs = "".join(f" {name}={value!r}" for name, value in values.items())
            logging.getLogger("tracker").log(level, "tracker: %s%s", text, pairs)
