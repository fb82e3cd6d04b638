"""What a task says of a notification, read strictly: when, on which condition, through which channel, with which text.

All that can be wrong is found here, before the run begins: an unknown kind, a missing parameter, a condition or template that does not
parse. The values of `secret_params` are hidden in the run's secrets, so that they are masked wherever they turn up.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from tracker.errors import InvalidRequest, NotFound
from tracker.expressions import Expression, Template, compile_expression, compile_template
from tracker.notifications.channels import check
from tracker.notifications.message import SEVERITIES, Channel
from tracker.secrets.store import SecretsStore
from tracker.values import plain

FIELDS = ("name", "kind", "message", "severity", "when", "condition", "params", "secret_params")
PART = 8  # characters; a shorter part of a secret URL is no secret of its own


class Plan:
    """One notification, ready to be sent."""

    def __init__(self, wanted: Mapping[str, Any], secrets: SecretsStore) -> None:
        self.name = str(wanted.get("name") or wanted.get("kind") or "slack")
        self.kind = str(getattr(wanted.get("kind"), "value", wanted.get("kind")) or "slack").lower()
        self.severity = str(getattr(wanted.get("severity"), "value", wanted.get("severity")) or "info").lower()
        if self.severity not in SEVERITIES:
            known = ", ".join(SEVERITIES)
            raise InvalidRequest(f"notification {self.name!r}: severity is one of {known}, not {self.severity!r}", field="severity")
        self.when = _when(wanted.get("when"), self.name)
        self.condition: Expression | None = None
        if wanted.get("condition"):
            self.condition = compile_expression(wanted["condition"], "condition")
        self.message: Template | None = None
        if wanted.get("message"):
            self.message = compile_template(str(wanted["message"]), "message")
        params = {**_params(wanted, "params", self.name), **_secret_params(wanted, self.name, secrets)}
        self.channel: Channel = check(self.kind, params, self.name)

    def __repr__(self) -> str:
        return f"Plan({self.name!r}, {self.kind!r})"


def read_plans(notifications: Iterable[Any], secrets: SecretsStore) -> list[Plan]:
    """The plans of notifications, given as dicts or as objects. Raises InvalidRequest, InvalidExpression and NotFound."""
    plans = [Plan(_fields(notification), secrets) for notification in notifications]
    names = [plan.name for plan in plans]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"two notifications are named {name!r}: give each a name of its own", field="notifications")
    return plans


def _fields(notification: Any) -> Mapping[str, Any]:
    if isinstance(notification, Mapping):
        if strange := sorted(set(map(str, notification)) - {*FIELDS, "status", "sent_time", "reason"}):
            raise InvalidRequest(f"a notification has no {strange[0]!r}: use {', '.join(FIELDS)}", field="notifications")
        return notification
    if not hasattr(notification, "kind") or not hasattr(notification, "when"):
        raise InvalidRequest(f"a notification is a Notification or a dict, not {type(notification).__name__}", field="notifications")
    return {name: getattr(notification, name, None) for name in FIELDS}


def _when(when: Any, name: str) -> frozenset[str]:
    if isinstance(when, str):
        when = [state.strip() for state in when.split(",") if state.strip()]
    states = [getattr(state, "value", state) for state in (when or ["completed"])] if isinstance(when or [], Iterable) else [when]
    if not all(isinstance(state, str) and state for state in states):
        raise InvalidRequest(f"notification {name!r}: when is a list of states, such as completed and error", field="when")
    return frozenset(states)


def _params(wanted: Mapping[str, Any], field: str, name: str) -> dict[str, Any]:
    params = wanted.get(field) or {}
    if not isinstance(params, Mapping):
        raise InvalidRequest(f"notification {name!r}: {field} is a dict, not {type(params).__name__}", field=field)
    return {str(key): plain(value) for key, value in params.items()}


def _secret_params(wanted: Mapping[str, Any], name: str, secrets: SecretsStore) -> dict[str, Any]:
    """The secret parameters; `{"secret": <name>}` stands for those that a secret of the run holds as JSON."""
    params = _params(wanted, "secret_params", name)
    if "secret" in params:
        if len(params) > 1:
            raise InvalidRequest(f"notification {name!r}: in secret_params, secret stands alone", field="secret_params")
        text = secrets.get(str(params["secret"]))
        if text is None:
            raise NotFound(f"notification {name!r}: the run has no secret {params['secret']!r}", field="secret_params")
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise InvalidRequest(f"notification {name!r}: its secret is not the JSON of a dict", field="secret_params")
        params = found
    for value in _texts(params):
        secrets.hide(value)
        if "://" in value:
            secrets.hide(_parts(value))
    return params


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _parts(url: str) -> list[str]:
    """The parts of a secret URL that give it away: the password, and what is long in its path and query."""
    try:
        parts = urlsplit(url)
        found = [parts.username or "", parts.password or "", *parts.path.split("/"), *parts.query.replace("&", "=").split("=")]
    except ValueError:
        return []
    return [text for part in found for text in {part, unquote(part)} if len(text) >= PART]
