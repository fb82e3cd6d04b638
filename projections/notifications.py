"""Notifications: whom a run has told what became of it.

A row for each notification (`name`) and each state it was sent for, of a run or iteration: the last time counts, `count` says how often.
It is a record of what was sent, folded from events like all else: a fold sends nothing, so a rebuild never sends again.
"""

import msgspec

from events.record import Batch
from events.types import NotificationSent
from projections.base import Rows, Table
from projections.lifecycle import subject_of
from projections.values import fit


class NotificationRow(msgspec.Struct, kw_only=True):
    """The last word of a notification on a state. `id` is the offset of its event; `status` is sent, or error with its `reason`."""

    id: int
    project: str
    uid: str
    iteration: int
    name: str
    state: str
    kind: str
    status: str
    severity: str
    time: int
    reason: str
    count: int


NOTIFICATIONS = Table("notifications", NotificationRow, key=("project", "uid", "iteration", "name", "state"))


class Notifications:
    """The projection of notifications."""

    name = "notifications"
    version = 1
    tables = (NOTIFICATIONS,)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """See Projection."""
        subject = subject_of(batch.stream)
        if subject is None or NotificationSent not in batch.kinds:
            return
        for offset, event in enumerate(batch.events, batch.offset):
            if isinstance(event, NotificationSent):
                _sent(rows, *subject, offset, event)


def _sent(rows: Rows, project: str, uid: str, offset: int, event: NotificationSent) -> None:
    iteration = fit(event.iteration)
    before = rows.get(NOTIFICATIONS, project, uid, iteration, event.name, event.state)
    row = NotificationRow(
        id=offset,
        project=project,
        uid=uid,
        iteration=iteration,
        name=event.name,
        state=event.state,
        kind=event.kind,
        status=event.status,
        severity=event.severity,
        time=fit(event.time),
        reason=event.reason,
        count=(before.count if before is not None else 0) + 1,
    )
    rows.put(NOTIFICATIONS, row)
