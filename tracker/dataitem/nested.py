"""Inputs that are several places: a list or a dict of URLs, also of lists and dicts, under one name.

Each place is recorded as an input of its own, named by where it is: `data[0]`, `data[train]`. From these names the list or dict is made
again; numbers from 0 on make a list.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tracker.errors import InvalidRequest
from tracker.values import key_of

T = TypeVar("T")
_LEAF = re.compile(r"(.+?)((?:\[[^\[\]]+\])+)", re.DOTALL)
_PART = re.compile(r"\[([^\[\]]+)\]")


def each(key: str, places: Any, make: Callable[[str, Any], T]) -> Any:
    """`make(name, place)` for a place, or in its stead for each in a list or dict of them. Raises InvalidRequest."""
    if isinstance(places, dict):
        return {key_of(name): each(f"{key}[{_part(key, name)}]", place, make) for name, place in places.items()}
    if isinstance(places, (list, tuple)):
        return [each(f"{key}[{i}]", place, make) for i, place in enumerate(places)]
    return make(key, places)


def leaves(key: str, places: Any, text: Callable[[Any], str]) -> dict[str, str]:
    """The inputs that a place, or a list or dict of places, is recorded as."""
    found: dict[str, str] = {}
    each(key, places, lambda name, place: found.__setitem__(name, text(place)))
    return found


def top_of(name: str) -> str:
    """The input that a recorded one belongs to; most are their own."""
    match = _LEAF.fullmatch(name)
    return match[1] if match else name


def shape_of(names: Iterable[str], key: str) -> Any:
    """The list or dict that an input was, with "" in place of its places; None when none of the names belongs to it."""
    tree: dict[str, Any] = {}
    for name in names:
        if (match := _LEAF.fullmatch(name)) and match[1] == key:
            *way, last = _PART.findall(match[2])
            branch = tree
            for part in way:
                branch = branch.setdefault(part, {})
            branch[last] = ""
    return _listed(tree) if tree else None


def _listed(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    branches = {part: _listed(branch) for part, branch in tree.items()}
    return [branches[str(i)] for i in range(len(branches))] if set(branches) == {str(i) for i in range(len(branches))} else branches


def _part(key: str, name: Any) -> str:
    text = key_of(name)
    if "[" in text or "]" in text:
        raise InvalidRequest(f"the name {text!r} in input {key!r} must not hold brackets", field="url")
    return text
