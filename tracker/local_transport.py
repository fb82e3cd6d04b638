"""Recording to, and asking, a data directory from within this process.

The first process to come holds the directory's lease: it opens it as a server does, and its requests go through the same table of routes
without a wire. The others follow: their journals lie where the holder looks for them, they read the directory, and learn from the
log what of theirs has arrived. When the lease falls free, a follower asks to be opened again, and becomes the holder.
"""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec

from events.errors import DirectoryBusy
from events.lease import hold
from tracker.app import App, open_app
from tracker.delivery import Reopen
from tracker.drain import leave_signs
from tracker.errors import Unavailable
from tracker.journal_reader import Piece
from tracker.keys import OWNER
from tracker.server.native.routes import TABLE
from tracker.server.route import dispatch
from tracker.service.record import record_pieces
from tracker.service.replies import Content, Items
from tracker.settings import Settings, Target

LOOK = 0.05  # seconds between looks at what the holder has stored of ours; it cannot wake us
LOOK_FOR_LEASE = 20  # looks between tries of the lease


class Local:
    """What holder and follower share: asking an open directory."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def ask(self, method: str, path: str, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """The reply of the native API as plain values."""
        reply = await dispatch(self.app, TABLE, OWNER, method, path, params or {}, body)
        return msgspec.to_builtins(reply, builtin_types=(bytes,))

    async def stream(self, path: str, params: Mapping[str, str] | None = None) -> AsyncGenerator[Any, None]:
        """Plain values of a stream of items; chunks of a stream of bytes."""
        reply = await dispatch(self.app, TABLE, OWNER, "GET", path, params or {})
        if isinstance(reply, Content):
            async with aclosing(reply.read(reply.start, reply.end)) as pieces:
                async for piece in pieces:
                    yield piece.data
            return
        assert isinstance(reply, Items)
        async with aclosing(reply.source) as items:
            async for item in items:
                yield msgspec.to_builtins(item.data, builtin_types=(bytes,))

    async def put_blob(self, digest: str, path: Path) -> None:
        """Keep a file under its sha256."""
        await self.app.blobs.put_file(digest, path)

    async def get_blob(self, digest: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a blob from `start` up to but without `end`."""
        async for chunk in self.app.blobs.read(digest, start, end):
            yield chunk


class Holder(Local):
    """This process writes the directory."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._path = app.settings.data / "log.db"
        self._log = self._path.stat()

    async def send(self, pieces: Sequence[Piece]) -> int:
        """Record events in order, exactly once; returns the log's offset that holds all of them."""
        if self.app.ended.is_set():
            raise Reopen
        if not self._there():
            raise Reopen(f"{self.app.settings.data} was deleted under the job; it begins anew with what the journal still has")
        return await record_pieces(self.app, pieces, OWNER.name)

    def _there(self) -> bool:
        """Whether the log we write is still the one that others would open."""
        try:
            return os.path.samestat(self._path.stat(), self._log)
        except OSError:
            return False

    async def beat(self, producer: str, runs: Sequence[tuple[str, str]]) -> float:  # noqa: ARG002 - no lease is kept by producer
        """Say that these runs (project, uid) are alive."""
        for project, uid in runs:
            self.app.leases.sign(project, uid)
        return self.app.settings.lost_after


class Follower(Local):
    """Another process writes the directory, and takes over what is in our journal."""

    async def send(self, pieces: Sequence[Piece]) -> int:
        """Wait until the holder has stored these. Raises Reopen when there is no holder any more."""
        last, looks = pieces[-1], 0
        while await self.app.log.position(last.producer) < last.last:
            looks += 1
            if looks % LOOK_FOR_LEASE == 0 and _free(self.app.settings.data):
                raise Reopen
            await anyio.sleep(LOOK)
        return (await self.app.log.refresh()).offset

    async def beat(self, producer: str, runs: Sequence[tuple[str, str]]) -> float:
        """Leave word beside the journal that these runs are alive; the holder's drain reads it."""
        await anyio.to_thread.run_sync(leave_signs, self.app.settings.data / "journals", producer, runs)
        return self.app.settings.lost_after


def _free(data: Path) -> bool:
    try:
        with hold(data / "lease"):
            return True
    except DirectoryBusy:
        return False


@asynccontextmanager
async def open_local(target: Target, settings: Settings) -> AsyncIterator[Holder | Follower]:
    """A transport to a data directory: its holder, if the lease is free, or a follower."""
    settings = msgspec.structs.replace(settings, data=target.path)
    async with AsyncExitStack() as stack:
        try:
            local: Holder | Follower = Holder(await stack.enter_async_context(open_app(settings)))
        except DirectoryBusy:
            local = Follower(await _follow(stack, settings))
        yield local


async def _follow(stack: AsyncExitStack, settings: Settings) -> App:
    try:
        return await stack.enter_async_context(open_app(settings, write=False))
    except (OSError, ValueError, msgspec.MsgspecError) as error:  # its holder is still making it
        raise Unavailable(f"{settings.data} is not ready to be read: {error}") from error
