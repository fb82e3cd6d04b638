"""The secrets of a run: names with values that are given to the job and never written.

Sources are read when they are added; the values stay in this object. Whatever is recorded, printed by our logger or raised goes through
`clean` or `mask` first, which put `***` in place of every value. Without secrets none of that costs anything.
"""

import os
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Self, TypeVar

import msgspec

from events.codec import AnyEvent
from events.types import ParameterSet, ResultLogged
from projections.runs import ABORTED, COMPLETED, CREATED, ERROR, LOST, RUNNING
from tracker.errors import InvalidRequest
from tracker.secrets.masking import LEAST, MASK, WORDS, Held, forms, mask
from tracker.secrets.sources import read, split

STATES = frozenset({CREATED, RUNNING, COMPLETED, ERROR, ABORTED, LOST})
OURS = frozenset({"digest", "attempt", "parent", "source"})  # fields that only we fill; a short value could be part of one by chance
NAMES = frozenset({"key", "name", "kind", "tag_name", "format", "viewer"})  # never replaced for being a word that is also a short value
OPENS = {"vault": ("VAULT_TOKEN",), "azure_vault": ("AZURE_CLIENT_SECRET",)}  # variables with which a source is opened

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)
Tell = Callable[[list[str]], None]


class SecretsStore:
    """Names and values. `masking` says whether there is anything to mask."""

    def __init__(self) -> None:
        self.masking = False  # a plain attribute, since it is looked at for every event
        self.told: Tell | None = None  # hears of every value that is hidden from now on, before it can be printed
        self._values: dict[str, str] = {}
        self._hidden: set[str] = set()  # every value, those without a name included
        self._texts: tuple[str, ...] = ()
        self._bytes: tuple[bytes, ...] = ()

    @classmethod
    def from_list(cls, sources: Any) -> Self:
        """The secrets of `[{"kind": ..., "source": ..., "prefix": ...}, ...]`; also of texts like `file=<path>` and `env=A,B`."""
        store = cls()
        if not isinstance(sources, (list, tuple, NoneType)):
            raise InvalidRequest("sources of secrets are a list, each a dict with kind and source", field="secret_sources")
        for source in sources or ():
            if isinstance(source, str):
                store.add_source(*split(source))
            elif isinstance(source, Mapping) and source.get("kind"):
                store.add_source(str(source["kind"]), source.get("source"), str(source.get("prefix") or ""))
            else:
                raise InvalidRequest("a source of secrets is a dict with kind and source", field="secret_sources")
        return store

    def __repr__(self) -> str:
        return f"SecretsStore({', '.join(sorted(self._values))})"

    def __reduce__(self) -> Any:
        raise TypeError("secrets are not pickled: hand handed() to a process of your own")

    def add_source(self, kind: str, source: Any, prefix: str = "") -> None:
        """Read a source: inline (dict), env (names), file (path), vault, kubernetes or azure_vault. Names get the prefix.

        Raises InvalidRequest or NotFound, which name the source and never a value.
        """
        self.add_inline({f"{prefix}{name}": value for name, value in read(kind, source).items()})
        self.hide([os.environ.get(name) for name in OPENS.get(kind, ())])

    def add_inline(self, values: Mapping[str, Any]) -> None:
        """Take names and values as they are; a value becomes text. Under the empty name are those that have none, and are only masked."""
        for name, value in values.items():
            if name and value is not None:
                self._values[str(name)] = str(value)
        self.hide(values)

    def hide(self, value: Any) -> None:
        """Have a value masked that has no name here: a text, a number, or all that a dict or list holds."""
        known = set(self._hidden)
        self._gather(value)
        if fresh := self._hidden - known:
            self.masking = True
            texts = {form for hidden in self._hidden for form in forms(hidden)}
            self._texts = tuple(sorted(texts, key=lambda text: (-len(text), text)))
            self._bytes = tuple(text.encode("utf-8", "surrogatepass") for text in self._texts)
            if self.told is not None:
                self.told(sorted(fresh))

    def _gather(self, value: Any) -> None:
        if isinstance(value, Mapping):
            for item in value.values():
                self._gather(item)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                self._gather(item)
        elif value not in (None, "", b"") and not isinstance(value, bool):
            self._hidden.add(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))

    def get(self, key: str, default: str | None = None) -> str | None:
        """The value of a secret, or else of the environment's variable of that name (masked from then on), or the default."""
        value = self._values.get(key)
        if not value and (value := os.environ.get(key)):
            self.hide(value)
        return value or default

    def handed(self) -> dict[str, Any]:
        """All that a process of our own needs for the same, as `add_inline` takes it; never to be written."""
        nameless = sorted(self._hidden.difference(self._values.values()))
        return {**self._values, **({"": nameless} if nameless else {})}

    # -- masking -----------------------------------------------------------------------------------------------------

    def mask(self, text: str) -> str:
        """The text with `***` for every value."""
        return mask(text, self._texts, MASK) if self._texts else text

    def mask_bytes(self, data: bytes) -> bytes:
        """The bytes with `***` for every value, as UTF-8."""
        return mask(data, self._bytes, MASK.encode()) if self._bytes else data

    def masked(self, value: Any) -> Any:
        """A plain value (texts, bytes, numbers, lists, dicts, structs) without the values of secrets; the same object when it had none."""
        return self._clean(value) if self.masking else value

    def clean(self, event: AnyEvent) -> AnyEvent:
        """The event with `***` for every value in what it says; what only we fill in (digests, ids, states) stays."""
        return self._clean_struct(event) if self.masking else event

    def _clean_struct(self, struct: AnyStruct) -> AnyStruct:
        free = isinstance(struct, (ParameterSet, ResultLogged))  # their value may be of any type
        changes = {}
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if (
                name in OURS
                or (isinstance(value, (int, float)) and not (free and name == "value"))
                or (name == "state" and value in STATES)
            ):
                continue
            cleaned = self.mask(value) if name in NAMES and isinstance(value, str) else self._clean(value)
            if cleaned is not value:
                changes[name] = cleaned
        return msgspec.structs.replace(struct, **changes) if changes else struct

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return MASK if value in self._hidden and len(value) > 1 and value.lower() not in WORDS else self.mask(value)
        if isinstance(value, bytes):
            return self.mask_bytes(value)
        if isinstance(value, dict):
            return self._clean_dict(value)
        if isinstance(value, (list, tuple)):
            items = [self._clean(item) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else type(value)(items)
        if isinstance(value, msgspec.Struct):
            return self._clean_struct(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and len(text := str(value)) >= LEAST:
            return MASK if text in self._hidden else value
        return value

    def _clean_dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        cleaned, same = {}, True
        for key, item in value.items():
            new_key, new_item = self.mask(key) if isinstance(key, str) else key, self._clean(item)
            same = same and new_key is key and new_item is item
            while new_key in cleaned:  # two names that are both secret are still two
                new_key = f"{new_key}*"
            cleaned[new_key] = new_item
        return value if same else cleaned


class StreamMasker:
    """Masks bytes that come in pieces, as a console's do. What may be the beginning of a value waits for the next piece, or `last`."""

    def __init__(self, secrets: SecretsStore) -> None:
        self._secrets, self._held = secrets, Held()
        self._holding = False

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """What can go out now."""
        parts = self._secrets._bytes
        if not parts and not self._holding:
            return data
        self._holding = not last
        return self._held.feed(data, parts, last=last)
