"""The parameters of a channel, read strictly: what is missing or means nothing is an error that names it, and never its value."""

from typing import Any

from tracker.errors import InvalidRequest

Params = dict[str, Any]


def needed(params: Params, key: str, *, optional: tuple[str, ...] = ()) -> Any:
    """A parameter that must be there, under this key or another one that is as good."""
    for known in (key, *optional):
        if params.get(known) not in (None, ""):
            return params[known]
    raise InvalidRequest(f"it needs the parameter {key!r}", field="params")


def only(params: Params, *known: str) -> None:
    """Refuse parameters that would mean nothing."""
    if strange := sorted(set(params) - set(known)):
        raise InvalidRequest(f"it knows no parameter {strange[0]!r}: use {', '.join(known) or 'none'}", field="params")


def truth(value: Any, *, default: bool) -> bool:
    """A parameter that is true or false, also as text."""
    if value is None:
        return default
    return value.strip().lower() in ("1", "true", "yes") if isinstance(value, str) else bool(value)
