"""What runs beside the requests as long as a directory is open: journals being drained, leases being watched."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio

from events.errors import EventsError, LogClosed
from events.logger import Logger
from tracker.beside import beside
from tracker.directory import App
from tracker.drain import Drain
from tracker.errors import TrackerError
from tracker.journal_reader import Piece, is_alive, scan
from tracker.keys import STREAM
from tracker.service.record import record_pieces

logger = Logger("tracker.upkeep")
LOOK_EVERY = 0.5  # seconds between looks for journals that other processes leave here,
LOOK_AGAIN = 0.05  # while there was something in them


@asynccontextmanager
async def keep_writing(app: App) -> AsyncIterator[None]:
    """The tasks of a directory's one writer."""
    async with beside(partial(app.leases.watch, app.lose), partial(_drain, app), partial(_mind, app)):
        yield


async def _mind(app: App) -> None:
    """Keep the tokens as the log has them, and notice its end."""
    try:
        async for batch in app.log.tail(stream=STREAM):
            for event in batch.events:
                app.keys.take(event)
    except LogClosed:
        app.ended.set()


async def _drain(app: App) -> None:
    """Deliver journals that other processes left in the directory. They cannot wake us, so the directory is looked at.
    A journal that is held open is a sign of life of its producer's runs."""
    journals = app.settings.data / "journals"
    drain = Drain(journals, _Door(app))
    while True:
        moved = 0
        try:
            moved = await drain.step()
            for producer, segments in scan(journals).items():
                if is_alive(segments[-1]):
                    app.leases.sign_all(producer)
        except LogClosed:
            return
        except (EventsError, TrackerError, OSError, ValueError) as error:
            logger.warning("journals not delivered", error=str(error))
        await anyio.sleep(LOOK_AGAIN if moved else LOOK_EVERY)


class _Door:
    """Delivery into this process's own log, through the same checks as any request."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def send(self, pieces: Sequence[Piece]) -> int:
        """Record the pieces; returns the offset that holds all of them."""
        return await record_pieces(self._app, pieces, "")

    def beat(self, runs: Sequence[tuple[str, str]]) -> None:
        """Take these runs to be alive."""
        for project, uid in runs:
            self._app.leases.sign(project, uid)

    async def put_blob(self, digest: str, path: Path) -> None:
        """Keep a file."""
        await self._app.blobs.put_file(digest, path)
