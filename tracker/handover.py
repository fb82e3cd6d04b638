"""Items made in one event loop and consumed in another, one at a time.

The consumer asks, and the maker, who waits for that, answers: nothing is buffered between them, so a slow consumer holds the maker, and
through it the server, back. A consumer that stops cancels the maker; an error of the maker's is raised in the consumer.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import aclosing, suppress
from typing import Any

from tracker.errors import Unavailable
from tracker.portal import Portal

_END = object()
Make = Callable[[], AsyncGenerator[Any, None]]


async def pass_on(portal: Portal, make: Make) -> AsyncGenerator[Any, None]:
    """The items of a generator that runs in the portal's loop, for a consumer in any loop."""
    asked: asyncio.Queue[Future[Any]] = asyncio.Queue()  # holds one at most

    async def work() -> None:
        async with aclosing(make()) as items:
            async for item in items:
                _answer(await asked.get(), item)
        _answer(await asked.get(), _END)

    waiting: Future[Any] = Future()

    def ended(maker: "Future[None]") -> None:
        _fail(waiting, maker)

    maker = portal.submit(work())
    maker.add_done_callback(ended)
    try:
        while True:
            waiting = Future()
            portal.call(asked.put_nowait, waiting)
            if maker.done():
                ended(maker)
            item = await asyncio.wrap_future(waiting)
            if item is _END:
                return
            yield item
    finally:
        maker.cancel()


def _answer(wanted: "Future[Any]", item: Any) -> None:
    with suppress(InvalidStateError):  # the consumer has gone
        wanted.set_result(item)


def _fail(wanted: "Future[Any]", maker: "Future[None]") -> None:
    """The maker has ended: whoever still waits gets its error."""
    error = Unavailable("the connection was closed") if maker.cancelled() else maker.exception()
    with suppress(InvalidStateError):  # it was answered before
        wanted.set_exception(error or Unavailable("the stream has ended"))
