"""Serving: a socket, the guards around it, and an orderly end.

On SIGTERM or SIGINT nothing new is accepted, what was begun is finished within `settings.drain` seconds, followers are cut off so that
they resume elsewhere, and what the log had accepted is committed before the process ends.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import structlog

from tracker.app import App, open_app
from tracker.beside import beside
from tracker.errors import InvalidRequest
from tracker.server.connections import Connections
from tracker.server.guards import is_loopback, names
from tracker.server.http import Edge
from tracker.server.native.routes import TABLE
from tracker.server.request_log import configure, request_log
from tracker.settings import Settings

logger = structlog.get_logger("tracker.serve")
BACKLOG = 1024


class Running:
    """A server that answers."""

    def __init__(self, app: App, connections: Connections, url: str, port: int) -> None:
        self.app, self.connections, self.url, self.port = app, connections, url, port


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A server on `settings.data`, answering within the block. Raises what open_app raises, InvalidRequest for an unsafe address, OSError
    for a taken one."""
    async with open_app(settings) as app:
        refuse_open_door(app)
        sock = _bind(settings.host, settings.port)
        port = int(sock.getsockname()[1])
        edge = Edge(app, TABLE, names(settings.host, port, settings.hosts))
        connections = Connections(settings, edge.handle)
        async with beside(connections.sweep):
            server = await asyncio.get_running_loop().create_server(connections.protocol, sock=sock, backlog=BACKLOG)
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            try:
                yield Running(app, connections, f"http://{host}:{port}", port)
            finally:
                with anyio.CancelScope(shield=True):
                    server.close()
                    await connections.drain(settings.drain)
                    await server.wait_closed()


def refuse_open_door(app: App) -> None:
    """Without tokens only this machine may reach the server, unless that was asked for in so many words. Raises InvalidRequest."""
    settings = app.settings
    if not is_loopback(settings.host) and not app.keys.required and not settings.open_access:
        raise InvalidRequest(
            f"{settings.host} can be reached from other machines and there are no tokens: make one with "
            "`tracker token create --role admin`, or say --open-access if everybody may read and write all of it",
            field="host",
        )


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def serve(settings: Settings, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready(url)` is called when requests are answered. Ends with exit code 74 when the log fails:
    what its disk holds now is known only to a fresh start."""

    async def main() -> bool:
        async with request_log():
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async with running(settings) as server:
                    logger.info("serving", url=server.url, data=str(settings.data), offset=server.app.log.head.offset)
                    if ready is not None:
                        ready(server.url)
                    await _until(signals, server.app)
                    logger.info("stopping", seconds=settings.drain)
                    return server.app.ended.is_set()

    configure()
    os.umask(0o077)  # what the tracker keeps is its owner's
    if anyio.run(main, backend_options={"use_uvloop": sys.platform != "win32"}):
        sys.exit(os.EX_IOERR)


async def _until(signals: AsyncIterator[signal.Signals], app: App) -> None:
    """Return on a signal, or when the log has failed: then nothing more can be recorded, and a fresh start is the cure."""
    async with anyio.create_task_group() as tasks:

        async def failed() -> None:
            await app.ended.wait()
            logger.error("the log stopped", error=str(app.log.failure))
            tasks.cancel_scope.cancel()

        tasks.start_soon(failed)
        async for _ in signals:
            break
        tasks.cancel_scope.cancel()
