"""The tracker for code in an event loop. `tracker` has the same names for code that waits."""

from tracker.artifact import Artifact
from tracker.connection import PROCESS
from tracker.context import Context
from tracker.errors import TrackerError
from tracker.opening import get_or_create_ctx

__all__ = ["Artifact", "Context", "TrackerError", "flush", "get_or_create_ctx"]


async def flush(timeout: float = 10.0) -> bool:
    """Wait until all that this process recorded is stored at its targets; False when that takes longer than `timeout` seconds."""
    import anyio.to_thread

    return await anyio.to_thread.run_sync(PROCESS.flush, timeout)
