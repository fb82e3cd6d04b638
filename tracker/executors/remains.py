"""What processes that died left behind: journals with events that nobody has delivered yet.

Their last words have to come before the word of their death, as a run goes through its states in the log's order. Somebody else may be
delivering them already, so it is not enough to try: they are waited for, within a bound.
"""

import os
import socket
import time

import anyio
import anyio.to_thread

from tracker.connection import Connection
from tracker.journal_reader import read_header, scan

AGAIN = 0.02  # seconds between looks


async def deliver_remains(connection: Connection) -> None:
    """Bring what dead processes recorded here to the target, unless that does not answer in time."""
    until = time.monotonic() + connection.settings.patience
    while True:
        settled = await anyio.to_thread.run_sync(connection.settle, max(0.0, until - time.monotonic()))
        if not settled or time.monotonic() > until or not await anyio.to_thread.run_sync(_left, connection):
            return
        await anyio.sleep(AGAIN)


def _left(connection: Connection) -> bool:
    """Whether a journal of a dead process of this machine is still there."""
    host, uri = socket.gethostname(), connection.recorder.uri
    for segments in scan(connection.recorder.directory).values():
        try:
            header = read_header(segments[0])[0]
        except (OSError, ValueError):  # delivered meanwhile, or not readable for anybody
            continue
        if header.uri == uri and header.host == host and not _lives(header.pid):
            return True
    return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
