"""How a draft is filled with what comes: hashed by one thread and written by another, while more is received.

Hashing takes about as long as the disk does, so neither waits for the other; each may be `HELD` chunks behind. A thread is held only while
there is something to do: many slow senders need none. Between two chunks it does not wait for the event loop, which is busy receiving.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Protocol

import anyio
import anyio.to_thread

from tracker.errors import TooLarge

Chunk = bytes | memoryview
HELD = 2  # chunks that may wait for their hashing, or writing
SMALL = 1 << 20  # bytes; smaller chunks go together, for a thread costs more than they do


class Filled(Protocol):
    """What takes bytes, in worker threads."""

    def hash(self, chunk: Chunk) -> None:
        """Count the next bytes into the digest."""

    def append(self, chunk: Chunk) -> None:
        """Write the next bytes."""


async def fill(draft: Filled, chunks: AsyncIterable[Chunk], limit: int) -> None:
    """Hash and write all chunks. One that is not `SMALL` is done with when `HELD` later ones were taken and the next is asked for, or when
    this returns or raises: then its memory may be used again. Raises TooLarge, and what the chunks or the threads raise."""
    try:
        async with anyio.create_task_group() as tasks:
            lanes = (_Lane(draft.hash), _Lane(draft.append))
            for lane in lanes:
                tasks.start_soon(lane.run)
            async for chunk in _gathered(chunks, limit):
                for lane in lanes:
                    await lane.put(chunk)
            for lane in lanes:
                lane.end()
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None  # the first: it ended the others


async def _gathered(chunks: AsyncIterable[Chunk], limit: int) -> AsyncGenerator[Chunk, None]:
    size, waiting, small = 0, 0, list[Chunk]()
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the artifact has more than {limit} bytes", limit=limit)
        if not small and len(chunk) >= SMALL:
            yield chunk
            continue
        small.append(bytes(chunk))
        waiting += len(chunk)
        if waiting >= SMALL:
            yield b"".join(small)
            small, waiting = [], 0
    if small:
        yield b"".join(small)


class _Lane:
    """One kind of work on all chunks in their order."""

    def __init__(self, work: Callable[[Chunk], None]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[Chunk] = deque()  # the first is worked on
        self._some, self._room = asyncio.Event(), asyncio.Event()
        self._ended = False

    async def put(self, chunk: Chunk) -> None:
        """Have a chunk worked on, once fewer than `HELD` are."""
        while len(self._chunks) >= HELD:
            self._room.clear()  # a thread that makes room from here on sets it in this loop, which comes after
            await self._room.wait()
        self._chunks.append(chunk)
        self._some.set()

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._some.set()

    async def run(self) -> None:
        """Work until the end."""
        while self._chunks or not self._ended:
            self._some.clear()
            if self._chunks:
                await anyio.to_thread.run_sync(self._work_on)
            else:
                await self._some.wait()

    def _work_on(self) -> None:
        while self._chunks:
            self._work(self._chunks[0])
            self._chunks.popleft()
            self._loop.call_soon_threadsafe(self._room.set)
