"""What a task says of a source of secrets, read strictly: dicts, lists of names, and which of the names that are there were asked for.

Errors name what was asked and never a value.
"""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from tracker.errors import InvalidRequest, NotFound

Values = dict[str, Any]


def structure(source: Any, what: str, wanted: type | tuple[type, ...]) -> Any:
    """The source, or what its literal text stands for, when it has the wanted type."""
    if isinstance(source, str):
        try:
            source = ast.literal_eval(source)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise InvalidRequest(f"{what}: this text is no literal", field="source") from None
    if not isinstance(source, wanted):
        raise InvalidRequest(f"{what}, not {type(source).__name__}", field="source")
    return source


def names_of(source: Any, what: str) -> list[str]:
    """A list of names, given as one or as text with commas."""
    if isinstance(source, str):
        source = [name.strip() for name in source.split(",") if name.strip()]
    if not isinstance(source, Sequence) or isinstance(source, bytes) or not all(isinstance(name, str) and name for name in source):
        raise InvalidRequest(f"{what} is a list of names, or text with commas between them", field="source")
    return list(source)


def wanted(source: Any, what: str, known: frozenset[str]) -> Values:
    """A source as a dict with `secrets`: a list alone is that; text is its literal. Unknown keys are refused."""
    if isinstance(source, str) and source.strip()[:1] not in "[({":
        source = names_of(source, what)
    found = structure(source, f"{what} is a list of names, or a dict with the key secrets", (Mapping, list, tuple))
    asked = dict(found) if isinstance(found, Mapping) else {"secrets": list(found)}
    if strange := sorted(set(map(str, asked)) - known):
        raise InvalidRequest(f"{what} knows no {strange[0]!r}: use {', '.join(sorted(known))}", field="source")
    asked["secrets"] = names_of(asked.get("secrets") or [], what)
    return asked


def chosen(values: Mapping[str, Any], names: Sequence[str], where: str) -> Values:
    """The values of these names, or all when none is named. Raises NotFound for a name that is not there."""
    if absent := [name for name in names if name not in values]:
        raise NotFound(f"{where} has no secret {absent[0]!r}", field="source")
    return {name: values[name] for name in names or values}


def needed(library: str, extra: str) -> InvalidRequest:
    """The error when a library is not installed."""
    return InvalidRequest(f"this source of secrets needs {library}: pip install 'run-tracker[{extra}]'", field="kind")
