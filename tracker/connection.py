"""What a process has of each target it records to: one recorder, and one sender in the background thread.

`PROCESS` is the only state of this package that belongs to the process as such, because processes are what fork and end: it gives forked
children connections of their own, and at the end of the process it waits, within a bound, until everything recorded is stored, and says
what is still only on this machine.
"""

import atexit
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Future
from contextlib import aclosing, suppress
from typing import Any

from tracker.errors import Unavailable
from tracker.handover import pass_on
from tracker.portal import Portal
from tracker.recorder import Recorder
from tracker.sender import LAST_TRY, Sender
from tracker.settings import Settings, Target, parse_target

CLOSING = 5.0  # seconds that closing a transport may take


class Connection:
    """A recorder with its sender. The sender is started by the first thing recorded, in this process or in a forked child."""

    def __init__(self, portal: Portal, target: Target, settings: Settings) -> None:
        directory = target.path / "journals" if target.kind == "directory" else settings.journals
        self.target, self.settings = target, settings
        self.recorder = Recorder(target.uri, directory)
        self.waits: set[Callable[[], None]] = set()  # for what is still to be recorded when the process ends; each is bounded
        self._portal = portal
        self._lock = threading.RLock()  # a signal handler may record, too
        self._sender: Sender | None = None
        self.recorder.wake = self._start

    @property
    def local(self) -> bool:
        """Whether the target is a directory of this machine."""
        return self.target.kind == "directory"

    @property
    def sender(self) -> Sender:
        """The running sender. Raises Unavailable when this process can run none."""
        self._start()
        if self._sender is None:
            raise Unavailable("this process cannot send: its events are kept in the journal")
        return self._sender

    def flush(self, timeout: float | None = None) -> "Future[bool]":
        """Whether all that is recorded now gets stored within `timeout` seconds; not waited for when the target is known to be away."""
        try:
            sender = self.sender
        except Unavailable:
            away: Future[bool] = Future()
            away.set_result(False)
            return away
        if timeout is None:
            timeout = 0.0 if sender.reachable is False else self.settings.patience
        return self._portal.submit(sender.flush(timeout))

    def ask(self, method: str, path: str, params: Mapping[str, str] | None = None, body: Any = None) -> "Future[Any]":
        """The target's answer, which knows all that was recorded here before."""
        timeout = self.settings.patience

        async def work() -> Any:
            await self.sender.flush(timeout)
            transport = await self.sender.ready(timeout)
            asked = dict(params or {})
            if method == "GET" and self.sender.offset and ("/runs" in path or "/artifacts" in path):
                asked.setdefault("min_offset", str(self.sender.offset))
            return await transport.ask(method, path, asked, body)

        return self._portal.submit(work())

    def stream(self, path: str, params: Mapping[str, str] | None = None) -> AsyncGenerator[Any, None]:
        """The items of a streaming route, which knows all that was recorded here before: plain values, or chunks of bytes. For any loop;
        to be closed by whoever leaves it early (`aclosing`). Raises what the target raises."""
        timeout = self.settings.patience

        async def make() -> AsyncGenerator[Any, None]:
            await self.sender.flush(timeout)
            transport = await self.sender.ready(timeout)
            asked = dict(params or {})
            if self.sender.offset and "/runs/" in path and "/events" not in path:
                asked.setdefault("min_offset", str(self.sender.offset))
            async with aclosing(transport.stream(path, asked)) as items:
                async for item in items:
                    yield item

        return pass_on(self._portal, make)

    def settle(self, bound: float) -> bool:
        """At the end of the process: True when everything recorded is stored."""
        if self._sender is None:
            return self.recorder.written == 0
        future = self._portal.submit(self._sender.settle(bound))
        with suppress(TimeoutError):
            return future.result(bound + 1)
        return False

    def close(self) -> None:
        """Close the sender and the journal, and tell a person what of it is only here."""
        if self._sender is not None:
            with suppress(TimeoutError):
                self._portal.submit(self._sender.close()).result(CLOSING)
        acknowledged = self._sender.acknowledged if self._sender else 0
        self.recorder.close(acknowledged)
        left, missing = self.recorder.written - acknowledged, self.recorder.missing
        if missing:
            print(
                f"tracker: {missing} events for {self.target.uri} are lost: no journal could be written in {self.recorder.directory}",
                file=sys.stderr,
            )
        if left > 0:
            command = f"tracker sync --uri {self.target.uri}"
            print(
                f"tracker: {left} events for {self.target.uri} are not delivered yet; they are safe in {self.recorder.directory}\n"
                f"tracker: the next job delivers them, or: {command}",
                file=sys.stderr,
            )

    def forked(self) -> None:
        """Become the connection of a forked child."""
        self._lock, self._sender = threading.RLock(), None
        self.waits.clear()
        self.recorder.forked()
        self.recorder.wake = self._start

    def _start(self) -> None:
        with self._lock:
            if self._sender is not None:
                return
            self.recorder.wake = _nobody
            try:
                PROCESS.arrange_end()
                self._sender = Sender(self.recorder, self.target, self.settings, self._arm)
                self._portal.spawn(self._sender.run, f"sender to {self.target.uri}")
            except Exception as error:  # noqa: BLE001 - no thread to be had, the interpreter ending ...: the journal has it all the same
                self.recorder.complaints.say("sending", f"nothing can be sent ({error}); events are kept in {self.recorder.directory}")

    def _arm(self, woken: Callable[[], None]) -> None:
        """Have the recorder call `woken` in the loop, once, when there is something new."""

        def ring() -> None:
            self.recorder.wake = _nobody
            with suppress(RuntimeError):  # the loop has ended with the process
                self._portal.call(woken)

        self.recorder.wake = ring


class Process:
    """The connections of this process, by target."""

    def __init__(self) -> None:
        self.portal = Portal()
        self._connections: dict[str, Connection] = {}
        self._lock = threading.Lock()
        self._arranged = False
        self._until = 0.0  # when the end of the process has waited long enough
        os.register_at_fork(before=self.portal.before_fork, after_in_child=self._forked)

    def connection(self, uri: str = "") -> Connection:
        """The connection to a target; TRACKER_URI's, or ./tracker-data, when none is named."""
        settings = Settings.from_env()
        target = parse_target(uri or settings.uri)
        with self._lock:
            if target.uri not in self._connections:
                self._connections[target.uri] = Connection(self.portal, target, settings)
            return self._connections[target.uri]

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was recorded is stored, within `timeout` seconds in all; False when it is not."""
        until = time.monotonic() + timeout
        stored = [connection.settle(max(0.0, until - time.monotonic())) for connection in list(self._connections.values())]
        return all(stored)

    def arrange_end(self) -> None:
        """Have the end of this process flush and close, once."""
        if self._arranged:
            return
        self._arranged = True
        pool = sys.modules.get("multiprocessing.util")
        if pool is not None and multiprocessing.process.parent_process() is not None:  # such children end with os._exit
            pool.Finalize(None, self.end, exitpriority=10)
        # Before the interpreter stops its worker threads, which connecting and file reading need; `atexit` comes after that.
        # The last registered goes first, so the module of the worker threads has to be there already.
        import concurrent.futures.thread  # noqa: F401

        early = getattr(threading, "_register_atexit", None)
        if early is not None:
            with suppress(RuntimeError):
                early(self.wind_up)
        atexit.register(self.end)

    def wind_up(self) -> None:
        """End the runs that nobody ended, and flush."""
        for connection in list(self._connections.values()):
            for end in list(connection.recorder.runs.values()):
                end()
            for wait in list(connection.waits):
                wait()
        self._until = self._until or time.monotonic() + max((c.settings.patience for c in self._connections.values()), default=0.0)
        self.flush(max(LAST_TRY, self._until - time.monotonic()))  # this may be the second time, after the last threads

    def end(self) -> None:
        """Wind up, close the journals, end the background thread."""
        self.wind_up()
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._until = 0.0
        self.portal.stop(CLOSING)

    def _forked(self) -> None:
        self._lock, self._arranged, self._until = threading.Lock(), False, 0.0
        self.portal.forked()
        for connection in self._connections.values():
            connection.forked()


def _nobody() -> None:
    pass


PROCESS = Process()
