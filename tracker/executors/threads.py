"""A plain function in a thread of its own, which can be interrupted.

Cancelling the wait raises `Interrupted` in the function's thread. A function that sits in foreign code
(a sleep, a call into C) hears it when it comes back to Python; one that does not within `GRACE` seconds is left behind: its thread is a
daemon and keeps nobody from ending.
"""

import asyncio
import contextlib
import contextvars
import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

GRACE = 5.0  # seconds that an interrupted function may take to end
AGAIN = 2.5  # seconds after which one that swallowed the first interruption, or clears up for long, gets another


class Interrupted(BaseException):
    """Raised in the thread of a handler whose run was aborted or ran out of time."""


class _Call:
    """One function in one thread."""

    def __init__(self, function: Callable[[], Any], done: Callable[[], None]) -> None:
        self._function, self._done = function, done
        self._lock = threading.Lock()
        self._running = True
        self.value: Any = None
        self.error: BaseException | None = None
        context = contextvars.copy_context()
        self.thread = threading.Thread(target=context.run, args=(self._run,), name="tracker-handler", daemon=True)

    def _run(self) -> None:
        try:
            try:
                self.value = self._function()
            finally:
                with self._lock:
                    self._running = False
        except BaseException as error:  # noqa: BLE001 - it is raised where the function was called
            self.error = error
        self._done()

    def interrupt(self) -> None:
        """Raise Interrupted in the thread, if the function still runs there."""
        with self._lock:
            if self._running and self.thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread.ident), ctypes.py_object(Interrupted))


async def interruptible(function: Callable[[], T]) -> T:
    """The result of a plain function, run in a thread of its own with the caller's context variables. Cancelled, it interrupts it."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    call = _Call(function, lambda: _tell(loop, ended))
    call.thread.start()
    try:
        await ended.wait()
    except BaseException:
        with anyio.CancelScope(shield=True):
            await _end(call, ended)
        raise
    if call.error is not None:
        raise call.error
    result: T = call.value
    return result


async def _end(call: _Call, ended: asyncio.Event) -> None:
    until = time.monotonic() + GRACE
    while not ended.is_set() and time.monotonic() < until:
        call.interrupt()
        with anyio.move_on_after(min(AGAIN, GRACE)):
            await ended.wait()


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
        loop.call_soon_threadsafe(ended.set)
