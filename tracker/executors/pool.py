"""Iterations in processes of this machine.

A pool of fresh processes (spawned, never forked: the tracker has threads) takes one iteration after the other. Each iteration has a place,
in which its process says who it is, and that it has begun: so it can be stopped, and its time counts from when its work begins. A process
that dies takes only its own iteration with it, which fails with how it died; one whose iteration is cancelled is told to end (TERM), and
killed when it does not. What it had said is in its journal, and gets delivered from there, before anybody says that the iteration ended.
"""

import asyncio
import multiprocessing
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from tracker.beside import beside
from tracker.connection import Connection
from tracker.context import Context
from tracker.errors import InvalidRequest
from tracker.executors.elsewhere import introduce, job_of, take_results
from tracker.executors.handler import Handler
from tracker.executors.places import NOBODY, Places, Terminal, enter, execute_here
from tracker.executors.plan import Plan
from tracker.executors.process import GRACE
from tracker.executors.remains import deliver_remains

LOOK = 0.05  # seconds between two looks whether an iteration has begun


class Processes:
    """Iterations in the processes of a pool."""

    def __init__(self, pool: Any, places: Places, handler: Handler, *, echo: bool) -> None:
        self.parallel = len(places)
        self._pool, self._places, self._handler, self._echo = pool, places, handler, echo
        self._free = list(range(self.parallel))

    async def run(self, child: Context, begun: Callable[[], None]) -> None:
        """Work on one iteration; it has failed, when its process dies."""
        from pebble import ProcessExpired

        await introduce(child)
        place = self._free.pop()
        self._places.clear(place)
        job = job_of(child, self._handler, echo=self._echo, wait=False)
        future = await anyio.to_thread.run_sync(lambda: self._pool.schedule(execute_here, args=(job, place)))
        try:
            async with beside(partial(self._begins, place, begun)):
                await self._ended(future, place)
            child.absorb(future.result())
        except ProcessExpired as error:
            await take_results(child)
            child.set_state(error=f"its process {died(error.exitcode)}", commit=False)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await take_results(child)
            raise
        finally:
            self._free.append(place)

    async def _begins(self, place: int, begun: Callable[[], None]) -> None:
        while True:
            if self._places.has_begun(place):
                begun()
                return
            await anyio.sleep(LOOK)

    async def _ended(self, future: Any, place: int) -> None:
        """Wait until nobody works on it any more; cancelled, end the process that does."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: Any) -> None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        future.add_done_callback(tell)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            if self._places.pid(place) == NOBODY:
                future.cancel()
            with anyio.CancelScope(shield=True):
                for number in (signal.SIGTERM, signal.SIGKILL):
                    self._places.signal(place, number)
                    with anyio.move_on_after(GRACE):
                        await ended.wait()
                        break
            raise


@asynccontextmanager
async def in_processes(plan: Plan, connection: Connection, handler: Handler, *, workdir: str, echo: bool) -> AsyncIterator[Processes]:
    """A pool for as long as the search goes on. Afterwards its processes are gone, come what may, and what they said is delivered."""
    check_importable()
    from pebble import ProcessPool

    spawned = multiprocessing.get_context("spawn")
    places = Places(spawned, max(1, min(plan.parallel, plan.total)))
    given = (places, workdir or str(Path.cwd()), Terminal() if echo else None)
    pool: Any = ProcessPool(max_workers=len(places), context=spawned, initializer=enter, initargs=given)
    ended = pool.stop
    try:
        yield Processes(pool, places, handler, echo=echo)
        ended = pool.close
    finally:
        ended()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(pool.join)
            await deliver_remains(connection)


def died(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def check_importable() -> None:
    """A new process imports the program it comes from, so that must not start the work again. Raises InvalidRequest, if it would."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None:
        return
    if not Path(path).is_file():
        raise InvalidRequest(
            f"iterations in other processes import the program they come from, and {path} is no file: write it into one",
            field="parallel_runs",
        )
    guarded = "__name__" in Path(path).read_text(errors="replace")
    if not guarded or getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InvalidRequest(
            f"iterations in other processes import {path}, which would start the run again: put what it does under "
            "if __name__ == '__main__':",
            field="parallel_runs",
        )
