"""Heartbeats: a producer says that its runs are alive, when it has nothing else to say."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tracker.directory import App
from tracker.names import check_name


class RunName(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which run."""

    project: str
    uid: str


class Beat(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The runs of a producer that are alive."""

    producer: str
    runs: Annotated[list[RunName], Meta(max_length=10_000)]


class Lease(msgspec.Struct, kw_only=True):
    """How long silence may last, in seconds, before a run counts as lost."""

    lost_after: float


async def beat(app: App, request: Beat, _actor: str) -> Lease:
    """Renew the leases of these runs."""
    check_name(request.producer, "producer")
    for i, run in enumerate(request.runs):
        check_name(run.project, f"runs[{i}].project")
        check_name(run.uid, f"runs[{i}].uid")
    for run in request.runs:
        app.leases.sign(run.project, run.uid)
    return Lease(lost_after=app.settings.lost_after)
