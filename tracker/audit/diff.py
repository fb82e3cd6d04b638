"""What differs between two states of a run, or between two runs.

A state is a plain document, as the API gives it for a run at any moment. It is flattened to fields named by their path
(`parameters.lr`, `results.acc`, `metrics.loss`), so that two states compare field by field; a list of values is one value.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tracker.audit.history import same

# Two runs differ in these by being two runs: to list them would hide what a person asks for.
IDENTITY = frozenset({"id", "uid", "project", "offset", "created_at", "started_at", "ended_at", "updated_at", "attempts"})
# Between two moments of one run these move with every event.
BOOKKEEPING = frozenset({"offset", "updated_at"})


class Difference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field with its two values; a side is absent when the field was not there."""

    field: str
    before: Any | UnsetType = UNSET
    after: Any | UnsetType = UNSET


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of a document by their path; items of a list of documents by their number, from 1. Empty groups vanish: a run without
    labels has no field `labels`."""
    fields: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            fields.update(flatten(value, f"{prefix}{key}."))
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, 1):
                fields.update(flatten(item, f"{prefix}{key}.{number}."))
        elif value != []:
            fields[f"{prefix}{key}"] = value
    return fields


def diff(before: Mapping[str, Any], after: Mapping[str, Any], *, ignore: Collection[str] = ()) -> list[Difference]:
    """The fields in which two documents differ, in the order of the documents. `ignore` names top-level fields to leave out."""
    one, other = flatten(before), flatten(after)
    return [
        Difference(field=field, before=one.get(field, UNSET), after=other.get(field, UNSET))
        for field in _order(one, other)
        if field.split(".", 1)[0] not in ignore and not same(one.get(field, UNSET), other.get(field, UNSET))
    ]


def _order(one: Iterable[str], other: Iterable[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for field in dict.fromkeys((*one, *other)):
        groups.setdefault(field.split(".", 1)[0], []).append(field)
    return [field for fields in groups.values() for field in fields]
