"""The one background thread of a process, with an event loop of its own: senders live in it, and sync code waits through it.

It is a daemon: it never keeps a finished job alive. It is started when first needed, again in a forked child, whose copy of the
parent's loop is set aside untouched: closing it would reach through shared descriptors into the parent's.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
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
