"""The secrets of a run: names with values that are given to the job and never written.

Sources are read when they are added; the values stay in this object. Whatever is recorded, printed by our logger or raised goes through
`clean` or `mask` first, which put `***` in place of every value.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from events.codec import AnyEvent

MASK = "***"
LEAST = 4  # characters; a shorter value is a word like any other, and cannot be masked without destroying the text


class SecretsStore:
    """Names and values. `bool(store)` says whether there is anything to mask."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        return f"SecretsStore({', '.join(sorted(self._values))})"

    def add_inline(self, values: Mapping[str, Any]) -> None:
        """Take names and values as they are."""
        self._values.update({str(key): str(value) for key, value in values.items()})

    def get(self, key: str, default: str | None = None) -> str | None:
        """The value of a secret, or the default."""
        return self._values.get(key) or default

    def mask(self, text: str) -> str:
        """The text with `***` for every value."""
        for value in sorted(self._values.values(), key=len, reverse=True):
            if len(value) >= LEAST:
                text = text.replace(value, MASK)
        return text

    def clean(self, event: AnyEvent) -> AnyEvent:
        """The event with `***` for every value in its texts."""
        plain = msgspec.to_builtins(event, builtin_types=(bytes,))
        cleaned = self._clean(plain)
        return event if cleaned == plain else msgspec.convert(cleaned, type(event))

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, bytes):
            return self.mask(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if isinstance(value, dict):
            return {self._clean(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._clean(item) for item in value]
        return value
