"""Work in a worker thread that ends with the task that waits for it.

A thread cannot be stopped from outside: it is given a `check` to call between its pieces, in whichever thread they are made, which raises
as soon as its task is cancelled, by a scope of anyio as well as by `Task.cancel` or `asyncio.wait_for`. The task waits until the thread has
ended: nothing goes on behind its back, and what was begun is done or undone when the caller hears of it. Only work that leaves no trace
is left to end by itself.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")
Check = Callable[[], None]  # raises when the work is not wanted any more


def NOBODY() -> None:  # noqa: N802 - a constant of this type
    """Nobody cancels."""


async def in_thread(work: Callable[[Check], T], *, traceless: bool = False) -> T:
    """What the work returns, in a worker thread. A task that is cancelled does not wait for what is `traceless`."""
    done: Future[T] = Future()
    unwanted = threading.Event()

    def check() -> None:
        if unwanted.is_set():
            raise CancelledError

    def run() -> None:
        if done.set_running_or_notify_cancel():
            try:
                done.set_result(work(check))
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                done.set_exception(error)

    try:
        await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
    except asyncio.CancelledError:
        unwanted.set()
        if not done.cancel() and not traceless:
            over = asyncio.wrap_future(done)
            over.add_done_callback(lambda over: over.cancelled() or over.exception())  # nobody is left to hear of it
            with anyio.CancelScope(shield=True):
                await asyncio.wait([over])
        raise
    return done.result()
