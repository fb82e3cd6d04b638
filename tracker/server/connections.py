"""Connections under limits: aiohttp itself waits for ever for half a header, and has no bound on how many wait.

One sweep a second over the open connections, and none while there are none, ends those that took too long: to send a header, to say
anything at all, or to read what they were sent. Bodies are timed where they are read. Beyond the cap the connection that has idled
longest makes room.
"""

import socket
import struct
from collections import Counter
from time import monotonic
from typing import Any

import anyio
import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from tracker.settings import Settings
from tracker.wire import encode_json

logger = structlog.get_logger("tracker.connections")
SWEEP = 1.0
SEND_BUFFER = 64 * 1024  # of the kernel, for one who follows; the transport keeps half of that


class Connection(RequestHandler):
    """aiohttp's protocol, which also notes when it last began to wait for its peer."""

    __slots__ = ("following", "guard", "header_since", "idle_since", "peer", "stalled_at", "stalled_since", "taken")

    def __init__(self, guard: "Connections", **options: Any) -> None:
        super().__init__(guard.server, loop=guard.server._loop, **options)
        self.guard = guard
        self.idle_since = monotonic()
        self.header_since = 0.0
        self.stalled_since = 0.0
        self.stalled_at = 0
        self.peer = ""
        self.following = False
        self.taken = False  # by a body that the parser has not seen

    def connection_made(self, transport: Any) -> None:
        """Take a place, or end at once."""
        if self.guard.opened(self, transport):
            super().connection_made(transport)
        else:
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the place."""
        self.guard.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Time a header from its first byte."""
        waiting = self.waiting
        super().data_received(data)
        if waiting:
            self.idle_since = monotonic()
            if self._messages:
                self.header_since = 0.0
            elif not self.header_since:
                self.header_since = self.idle_since

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer what is not even HTTP, or what the edge could not answer, in the form of all errors; the parser's words stay in our
        log."""
        if status < 500:
            logger.info("malformed", status=status, peer=self.peer, error=repr(exc)[:256])
            code, says = "malformed", "this is not a well-formed HTTP/1.1 request"
        else:
            if not isinstance(exc, ConnectionError):  # else the client has left
                logger.error("fault", peer=self.peer, exc_info=exc)
            code, says = "failed", "the server failed to do this; its log says why"
        body = {"error": {"code": code, "message": says, "detail": {}}}
        response = web.Response(
            status=status, body=encode_json(body), headers={"Server": "run-tracker", "Content-Type": "application/json"}
        )
        response.force_close()
        return response

    @property
    def waiting(self) -> bool:
        """Whether no request is being served."""
        return self._current_request is None and not self._messages


class Connections:
    """The open connections of one server."""

    def __init__(self, settings: Settings, handler: Any) -> None:
        self.server = Server(handler, handler_cancellation=True)  # a follower ends when its reader is gone
        self._settings = settings
        self._options = {
            "keepalive_timeout": settings.idle_timeout,
            "access_log": None,
            "auto_decompress": False,
            "lingering_time": 2.0,
            "max_line_size": 8190,
            "max_field_size": 8190,
        }
        self._open: dict[Connection, None] = {}
        self._peers: Counter[str] = Counter()
        self._some = anyio.Event()
        self._gone = anyio.Event()
        self.refused = 0
        self.intakes = 0  # bodies that are received past the parser

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self) -> Connection:
        """A protocol for a connection that was accepted."""
        return Connection(self, **self._options)

    def opened(self, connection: Connection, transport: Any) -> bool:
        """Whether a connection may stay; when all places are taken, the one that idles longest goes."""
        peer = transport.get_extra_info("peername")
        connection.peer = str(peer[0]) if isinstance(peer, tuple) and peer else "local"
        if self._peers[connection.peer] >= self._settings.connections_per_peer or len(self._open) >= self._settings.connections:
            idle = next((known for known in self._open if known.waiting and known.peer == connection.peer), None)
            idle = idle or next((known for known in self._open if known.waiting), None)
            self.refused += 1
            if idle is None:
                return False
            idle.force_close()
            self.closed(idle)
        self._open[connection] = None
        self._peers[connection.peer] += 1
        self._some.set()
        return True

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        if connection in self._open:
            del self._open[connection]
            self._peers[connection.peer] -= 1
            if not self._peers[connection.peer]:
                del self._peers[connection.peer]
            self._gone.set()

    async def sweep(self) -> None:
        """End connections that keep us waiting, for ever."""
        while True:
            if not self._open:
                self._some = anyio.Event()
                await self._some.wait()
            await anyio.sleep(SWEEP)
            now = monotonic()
            for connection in list(self._open):
                if self._overdue(connection, now):
                    _reset(connection)

    async def drain(self, seconds: float) -> None:
        """Let requests end that were begun, and cut followers off: they resume where they were."""
        self.server.pre_shutdown()
        for connection in list(self._open):
            if connection.following or connection.waiting:
                connection.force_close()
        with anyio.move_on_after(seconds):
            while self._open:
                self._gone = anyio.Event()
                await self._gone.wait()
        for connection in list(self._open):
            _reset(connection)

    def _overdue(self, connection: Connection, now: float) -> bool:
        transport = connection.transport
        if transport is None:
            return False
        unsent = transport.get_write_buffer_size()
        if unsent and unsent == connection.stalled_at:
            return now - connection.stalled_since > self._settings.stall_timeout
        connection.stalled_at, connection.stalled_since = unsent, now
        if not connection.waiting:
            connection.idle_since = now
            return False
        if connection.header_since:
            return now - connection.header_since > self._settings.header_timeout
        return now - connection.idle_since > self._settings.idle_timeout


def _reset(connection: Connection) -> None:
    """End a connection at once: what it has not read is thrown away in the kernel, too."""
    transport = connection.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def follow(request: web.BaseRequest) -> None:
    """Mark a connection as one that follows: it may be cut when we stop, and the kernel keeps little for it."""
    request.protocol.following = True  # type: ignore[attr-defined]
    transport = request.transport
    if transport is not None:
        transport.set_write_buffer_limits(high=SEND_BUFFER // 2)
    sock = transport.get_extra_info("socket") if transport else None
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
