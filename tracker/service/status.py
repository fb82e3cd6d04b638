"""How the tracker itself is: alive, ready, how far its views are, how much it holds."""

import msgspec

from tracker.directory import App
from tracker.errors import Unavailable
from tracker.version import version


class Health(msgspec.Struct, kw_only=True):
    """Whether requests can be served. `status` is ok; rebuilding while new views are built beside those that answer; behind when a
    projection or the disk of the views stopped, so that they stand still."""

    status: str
    version: str
    offset: int  # of the log
    views: int  # how far they are


class ProjectionHealth(msgspec.Struct, kw_only=True):
    """How far a projection is, and what stopped it."""

    offset: int
    error: str


class Info(msgspec.Struct, kw_only=True):
    """What this server is and holds. Times are nanoseconds."""

    version: str
    started_at: int
    offset: int
    recorded_at: int
    digest: str
    epoch: int
    views: int
    projections: dict[str, ProjectionHealth]
    writable: bool
    max_body: int
    max_events: int


async def health(app: App, _request: object) -> Health:
    """Ready: the log takes events and the views follow it. Raises Unavailable when not."""
    failure = app.log.failure
    if failure is not None:
        raise Unavailable("the log has stopped recording; start the server again", retry_after=5.0)
    stopped = app.views.trouble or any(health.error for health in app.views.health.values())
    status = "behind" if stopped else "rebuilding" if app.views.rebuilding else "ok"
    return Health(status=status, version=version(), offset=app.log.head.offset, views=app.views.offset)


async def live(_app: App, _request: object) -> str:
    """The process answers."""
    return "ok\n"


async def info(app: App, _request: object) -> Info:
    """What this server is and holds."""
    head = app.log.head
    return Info(
        version=version(),
        started_at=app.started_at,
        offset=head.offset,
        recorded_at=head.recorded_at,
        digest=head.digest.hex(),
        epoch=head.epoch,
        views=app.views.offset,
        projections={name: ProjectionHealth(offset=one.offset, error=one.error) for name, one in app.views.health.items()},
        writable=app.writable,
        max_body=app.settings.max_body,
        max_events=app.settings.max_events,
    )


async def metrics(app: App, _request: object) -> str:
    """The tracker as numbers, in the text format of Prometheus."""
    lines = [
        *app.counters.lines(),
        "# TYPE tracker_log_offset counter",
        f"tracker_log_offset {app.log.head.offset}",
        "# TYPE tracker_views_offset gauge",
        f"tracker_views_offset {app.views.offset}",
        "# TYPE tracker_log_stopped gauge",
        f"tracker_log_stopped {int(app.log.failure is not None)}",
    ]
    return "\n".join(lines) + "\n"
