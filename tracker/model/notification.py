"""Notifications: whom to tell when a run changes its state, and what became of it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tracker.errors import InvalidRequest
from tracker.model.fields import ModelObj, mapping, sequence, text

SEVERITIES = ("info", "debug", "verbose", "warning", "error")
STATUSES = ("pending", "sent", "error")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9+._-]{0,63}")


class Notification(ModelObj):
    """Who is told (`kind`: console, webhook, slack, mail ... with `params`), `when` (states), on what `condition`, with which `message`.

    `secret_params` are parameters that are secret (a URL with a token, a password): they are given to the channel, and written nowhere.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("secret_params",)
    strip_fields: ClassVar[tuple[str, ...]] = ("status", "sent_time", "reason")

    def __init__(
        self,
        kind: str | None = None,
        name: str | None = None,
        message: str | None = None,
        severity: str | None = None,
        when: list[str] | str | None = None,
        condition: str | None = None,
        secret_params: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        status: str | None = None,
        sent_time: str | None = None,
        reason: str | None = None,
    ) -> None:
        self.kind = text(kind, "kind") or "slack"
        self.name = text(name, "name")
        self.message = text(message, "message")
        self.severity = text(severity, "severity") or "info"
        states = [state.strip() for state in when.split(",")] if isinstance(when, str) else sequence(when, "when")
        self.when = [text(state, "when") for state in states] or ["completed"]
        self.condition = text(condition, "condition")
        self.secret_params = mapping(secret_params, "secret_params")
        self.params = mapping(params, "params")
        self.status = text(status, "status")
        self.sent_time = sent_time
        self.reason = text(reason, "reason")
        self.validate_notification()

    def validate_notification(self) -> None:
        """Raises InvalidRequest for a field that no notification can have; whether the channel exists is known when it is attached."""
        if not _KIND.fullmatch(self.kind):
            raise InvalidRequest(f"notification {self.name!r}: {self.kind!r} is no kind, such as slack or webhook", field="kind")
        if self.severity not in SEVERITIES:
            known = ", ".join(SEVERITIES)
            raise InvalidRequest(f"notification {self.name!r}: severity must be one of {known}, not {self.severity!r}", field="severity")
        if self.status and self.status not in STATUSES:
            raise InvalidRequest(f"notification {self.name!r}: status must be one of {', '.join(STATUSES)}", field="status")
        if not all(self.when):
            raise InvalidRequest(f"notification {self.name!r}: when must be a list of states, such as completed, error", field="when")

    @staticmethod
    def validate_notification_uniqueness(notifications: list["Notification"]) -> None:
        """Raises InvalidRequest when two of these (or of dicts of their fields) have the same name."""
        seen: set[str] = set()
        for notification in notifications:
            described = Notification.from_dict(notification) if isinstance(notification, Mapping) else notification
            name = described.name or described.kind
            if name in seen:
                told = "a run's notifications are told apart by their names (by their kinds, when they have none)"
                raise InvalidRequest(f"two notifications have the name {name!r}: {told}", field="notifications")
            seen.add(name)


def notifications_of(given: Iterable[Any] | None) -> list[Notification]:
    """Notifications from notifications and dicts, checked for equal names. Raises InvalidRequest."""
    found = [item if isinstance(item, Notification) else Notification.from_dict(item) for item in sequence(given, "notifications")]
    Notification.validate_notification_uniqueness(found)
    return found
