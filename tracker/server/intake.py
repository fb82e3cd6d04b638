"""A large body, received by the kernel straight into a few blocks of memory that are filled again and again.

The HTTP parser makes two copies of a body and an object of each packet, which costs more than receiving it. So the connection is taken from
it for the length of the body that its header told, and not for a byte more: this is the protocol that the transport calls meanwhile. While
all blocks are full nothing is received. A parser that has not seen a body cannot go on after it, so the connection ends with the reply. A
body that is not wanted any more goes back to the parser, which throws the rest away like that of any refused request.
"""

import asyncio
import mmap
from collections import deque
from collections.abc import AsyncGenerator
from time import monotonic

import anyio
from aiohttp import web

from tracker.filling import HELD
from tracker.server.connections import Connection

BLOCK = 4 << 20  # bytes: of whole pages, which can go to the disk as they are
BLOCKS = HELD + 1  # beside those in use one is filled
LEAST = 2 * BLOCK  # a shorter body is not worth the connection
SLOWEST = 1024  # bytes per second that a body must come with after its grace
AT_ONCE = 8  # bodies; more are received by the parser, which needs less memory for each


class Intake(asyncio.BufferedProtocol):
    """What is left of one body."""

    def __init__(self, connection: Connection, transport: asyncio.Transport, length: int) -> None:
        self._connection, self._transport, self._left = connection, transport, length
        self._free = [memoryview(mmap.mmap(-1, BLOCK)) for _ in range(BLOCKS)]
        self._full: deque[memoryview] = deque()
        self._block: memoryview | None = self._free.pop()
        self._filled = 0
        self._some = anyio.Event()
        self.size = 0

    @property
    def received(self) -> bool:
        """Whether all of it came."""
        return not self._left

    @property
    def over(self) -> bool:
        """Whether all of it came and was taken."""
        return not self._left and not self._full

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where the next bytes go: there is no room for one that is not of this body."""
        assert self._block is not None, "reading is paused while no block is free"
        return self._block[self._filled : self._filled + self._left]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        assert self._block is not None
        self._filled += nbytes
        self._left -= nbytes
        self.size += nbytes
        if self._filled == BLOCK or not self._left:
            self._full.append(self._block[: self._filled])
            self._some.set()
            self._block, self._filled = self._free.pop() if self._free else None, 0
            if self._block is None or not self._left:
                self._transport.pause_reading()

    def feed(self, data: bytes) -> None:
        """Bytes that had come before."""
        view = memoryview(data)
        while view:
            room = self.get_buffer(len(view))
            size = min(len(room), len(view))
            room[:size] = view[:size]
            self.buffer_updated(size)
            view = view[size:]

    async def take(self) -> memoryview:
        """The next part, when there is one: a whole block, or the end."""
        while not self._full:
            self._some = anyio.Event()
            await self._some.wait()
        return self._full.popleft()

    def give_back(self, part: memoryview) -> None:
        """Its block may be filled again."""
        block = memoryview(part.obj)
        if self._block is None and self._left:
            self._block = block
            self._transport.resume_reading()
        else:
            self._free.append(block)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ends whoever works for it."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self._connection.resume_writing()


def connection_for(request: web.BaseRequest) -> Connection | None:
    """The connection to take a body from; None for one that is short, of unknown length, or one too many."""
    connection = request.protocol
    large = (request.content_length or 0) >= LEAST and "Transfer-Encoding" not in request.headers
    return connection if large and isinstance(connection, Connection) and connection.guard.intakes < AT_ONCE else None


async def parts(connection: Connection, request: web.BaseRequest, grace: float) -> AsyncGenerator[memoryview, None]:
    """The body, in views of whole pages, each valid until `HELD` later ones were taken and one more is asked for. Raises TimeoutError when
    it is too slow. Must be closed."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has left")
    intake = Intake(connection, transport, request.content_length or 0)
    while early := request.content.read_nowait(-1):
        intake.feed(early)
    transport.pause_reading()
    transport.set_protocol(intake)
    transport.resume_reading()
    connection.guard.intakes += 1
    try:
        lent: deque[memoryview] = deque()
        waited = 0.0  # for the client; what we take to keep a part is not its fault
        while not intake.over:
            began, left = monotonic(), grace + intake.size / SLOWEST - waited
            if left <= 0:
                raise TimeoutError
            part = None
            with anyio.move_on_after(left):
                part = await intake.take()
            waited += monotonic() - began
            if part is not None:
                lent.append(part)
                yield part
                if len(lent) > HELD:
                    intake.give_back(lent.popleft())
    finally:
        connection.guard.intakes -= 1
        transport.pause_reading()
        transport.set_protocol(connection)
        if intake.received:
            request.content.feed_eof()
            connection.taken = True
        else:
            transport.resume_reading()
