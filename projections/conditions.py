"""What a search asks for, as a tree: made from text by filters.py, and by dialects that have words of their own; made to SQL by query.py.

A condition is true or false: on a value that is not there it is false, `Missing` aside, and `Not` turns it round. Numbers compare
with numbers, texts with texts; != and NOT IN also find values of the other type. NaN is the text "NaN" (see runs.py) and has no order.
An attribute that is an empty text, or a time of 0, is missing; to comparisons an empty text is a text like any other.
"""

from typing import TypeAlias

import msgspec

from projections.runs import ANNOTATION, LABEL, METRIC, PARAMETER, RESULT

ATTRIBUTE = -1

Value: TypeAlias = int | float | str


class Field(msgspec.Struct, frozen=True):
    """What a condition or an order looks at: the kind of a value and its key, or ATTRIBUTE and a column of a run."""

    kind: int
    key: str


class Comparison(msgspec.Struct, frozen=True, tag=True):
    """`operator` is one of = != < <= > >= LIKE ILIKE."""

    field: Field
    operator: str
    value: Value


class OneOf(msgspec.Struct, frozen=True, tag=True):
    """IN; negated: NOT IN."""

    field: Field
    values: tuple[Value, ...]
    negated: bool


class Missing(msgspec.Struct, frozen=True, tag=True):
    """IS NULL; negated: IS NOT NULL."""

    field: Field
    negated: bool


class AllOf(msgspec.Struct, frozen=True, tag=True):
    """AND."""

    terms: tuple["Condition", ...]


class AnyOf(msgspec.Struct, frozen=True, tag=True):
    """OR."""

    terms: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True, tag=True):
    """NOT."""

    term: "Condition"


Condition: TypeAlias = Comparison | OneOf | Missing | AllOf | AnyOf | Not


class Order(msgspec.Struct, frozen=True):
    """One key of an order."""

    field: Field
    descending: bool


KINDS = {
    **dict.fromkeys(("params", "param", "parameters", "parameter"), PARAMETER),
    **dict.fromkeys(("metrics", "metric"), METRIC),
    **dict.fromkeys(("results", "result"), RESULT),
    **dict.fromkeys(("labels", "label", "tags", "tag"), LABEL),
    **dict.fromkeys(("annotations", "annotation"), ANNOTATION),
    **dict.fromkeys(("attributes", "attribute", "attr", "run"), ATTRIBUTE),
}
# Columns of RunRow that can be searched, by what they hold. An empty text and a time of 0 count as missing.
TEXTS = frozenset({"name", "state", "user", "uid", "project", "parent", "error", "message"})
NUMBERS = frozenset({"iteration", "best_iteration", "children", "late", "unknown"})
TIMES = frozenset({"created_at", "started_at", "ended_at", "updated_at"})
ALIASES = {
    "status": "state",
    "start_time": "started_at",
    "end_time": "ended_at",
    "created": "created_at",
    "creation_time": "created_at",
    "last_update": "updated_at",
    "run_id": "uid",
    "run_name": "name",
    "user_id": "user",
    "iter": "iteration",
}
