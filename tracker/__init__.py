"""A run tracker: what a job says is kept in a local journal at once, stored at its target in the background, and never in the job's way.

    with tracker.get_or_create_ctx("train", project="demo") as run:
        run.log_metric("loss", 0.3)

`tracker.aio` has the same names for code in an event loop.
"""

from tracker.artifact import Artifact
from tracker.errors import TrackerError
from tracker.sync import Context, flush, get_or_create_ctx

__all__ = ["Artifact", "Context", "TrackerError", "flush", "get_or_create_ctx"]
