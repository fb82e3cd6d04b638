"""Old shapes of events to the present ones, as pure functions over plain dicts.

An event whose shape changed incompatibly carries a new tag. Here its old tag leads to a function that turns the old dict
into one of a newer tag; functions are applied until a tag is not in the table. The log itself is never rewritten.
"""

from collections.abc import Callable, Mapping
from typing import Any

Shape = dict[str, Any]

UPCASTS: Mapping[str, Callable[[Shape], Shape]] = {}


def upcast(shape: Shape, table: Mapping[str, Callable[[Shape], Shape]] = UPCASTS) -> Shape:
    """The present shape of an event of any age."""
    while isinstance(tag := shape.get("type"), str) and (step := table.get(tag)):
        shape = step(shape)
    return shape
