"""The one background thread of a process, with an event loop of its own: senders live in it, and sync code waits through it.

It is a daemon: it never keeps a finished job alive. It is started when first needed, again in a forked child, whose copy of the
parent's loop is set aside untouched: closing it would reach through shared descriptors into the parent's.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import FrameType
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")

_inherited: list[Any] = []  # loops of parents, kept so that nothing ever finalizes them


class Portal:
    """Starts the thread on demand, and passes work into its loop."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: TaskGroup | None = None
        self._stop: asyncio.Event | None = None

    @property
    def here(self) -> bool:
        """Whether the caller is in the background thread."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Run a function in the loop, soon; for the thread that must not wait."""
        self.loop().call_soon_threadsafe(function, *args)

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Run a task for as long as the thread lives."""
        loop = self.loop()
        assert self._tasks is not None
        loop.call_soon_threadsafe(lambda: self._tasks and self._tasks.start_soon(function, name=name))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the loop; its result comes as a future of threads."""
        return asyncio.run_coroutine_threadsafe(work, self.loop())

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; starts the thread."""
        if self._loop is not None:
            return self._loop
        with self._lock:
            if self._loop is None:
                ready: Future[asyncio.AbstractEventLoop] = Future()
                thread = threading.Thread(target=self._run, args=(ready,), name="tracker", daemon=True)
                thread.start()
                self._thread, self._loop = thread, ready.result()
            return self._loop

    def stop(self, timeout: float) -> None:
        """Cancel what runs in the loop, and end the thread, within `timeout` seconds."""
        loop, thread, stop = self._loop, self._thread, self._stop
        if loop is None or thread is None or stop is None:
            return
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout)
        self._loop = self._thread = None

    def before_fork(self) -> None:
        """Let the thread finish what it is importing: a child would have half a module for ever. Bounded, and only when a fork is near."""
        if self._thread is None or self.here or _imports_here():
            return
        end = time.monotonic() + 5.0
        while time.monotonic() < end and any(_half(module) for module in list(sys.modules.values())):
            time.sleep(0.001)

    def forked(self) -> None:
        """Become the portal of a forked child, in which the thread does not run."""
        _inherited.append((self._loop, self._tasks, self._stop, self._thread))
        self.__init__()  # type: ignore[misc]

    def _run(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        asyncio.run(self._main(ready))

    async def _main(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        self._stop = asyncio.Event()
        async with anyio.create_task_group() as self._tasks:
            ready.set_result(asyncio.get_running_loop())
            await self._stop.wait()
            self._tasks.cancel_scope.cancel()


def _half(module: object) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _imports_here() -> bool:
    """Whether the calling thread itself is in the middle of an import, so that waiting for its end would be for ever."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
