"""Hearing of an abort, and asking for one.

An abort is a change of state that somebody else wrote into the run's stream. Whoever works on the run follows that stream live and stops
when it comes: `watching` cancels what runs in a `Stop`, be it the whole run or one iteration. The same scope ends work that takes too long.
A target that is away is asked again later; the work goes on meanwhile. Who follows the stream also hears that the server found the run
lost, which the process that is lost cannot tell anybody: those who want to know of the run's states are told here.
"""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio

from projections.runs import ABORTED, LOST
from tracker.beside import beside
from tracker.connection import Connection
from tracker.context import Context
from tracker.errors import TrackerError
from tracker.executors.durations import spelled
from tracker.names import run_stream

AGAIN = 0.5  # seconds before the stream is asked for again, doubled up to:
SELDOM = 15.0


class Stop:
    """A block of work on a run or an iteration that can be stopped: `with watch.over(0) as stop`. `reason` says afterwards why it
    was; `heard`, whether that came from somebody else, who recorded it."""

    def __init__(self, watch: "Watch", iteration: int) -> None:
        self._watch, self._iteration = watch, iteration
        self._limit: float | None = None
        self._scope = anyio.CancelScope()
        self.reason = ""
        self.heard = False

    def within(self, limit: float | None) -> None:
        """The work has so many seconds from now on."""
        self._limit = limit
        if limit is not None:
            self._scope.deadline = anyio.current_time() + limit

    def __enter__(self) -> Self:
        self._watch.stops.setdefault(self._iteration, []).append(self)
        self._scope.__enter__()
        if self._iteration in self._watch.reasons:
            self._scope.cancel()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> bool | None:
        swallowed = self._scope.__exit__(kind, error, traceback)
        self._watch.stops[self._iteration].remove(self)
        if self._scope.cancelled_caught:
            self.heard = self._iteration in self._watch.reasons
            late = f"exceeded its threshold: it was executing for more than {spelled(self._limit or 0.0)}"
            self.reason = self._watch.reasons.get(self._iteration, late)
        return swallowed

    def cancel(self) -> None:
        """Stop the work."""
        self._scope.cancel()


class Watch:
    """What is known of aborts of a run: the reasons, by iteration, and what they stop."""

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}
        self.stops: dict[int, list[Stop]] = {}

    def over(self, iteration: int = 0) -> Stop:
        """Work that an abort of this iteration stops."""
        return Stop(self, iteration)

    def hear(self, iteration: int, reason: str) -> None:
        """Somebody aborted the run or an iteration of it."""
        self.reasons.setdefault(iteration, reason or "aborted")
        for stop in self.stops.get(iteration, ()):
            stop.cancel()


@asynccontextmanager
async def watching(context: Context) -> AsyncIterator[Watch]:
    """Follow the run's stream within the block."""
    watch = Watch()
    run = run_stream(context.project, context.uid)

    async def follow() -> None:
        await _follow(context, run, watch)

    async with beside(follow):
        yield watch


async def _follow(context: Context, stream: str, watch: Watch) -> None:
    connection, begun = context.connection, time.time_ns()
    after, pause = 0, AGAIN
    while True:
        asked = {"stream": stream, "types": "state.changed,run.lost", "follow": "true", "after": str(after)}
        try:
            async with aclosing(connection.stream("/v1/events", asked)) as items:
                async for item in items:
                    after, pause = int(item["offset"]), AGAIN
                    _hear(connection, item, watch)
                    if item["event"]["time"] > begun:
                        _lose(context, item["event"])
        except (TrackerError, OSError, TimeoutError, KeyError, TypeError, ValueError):
            pass
        await anyio.sleep(pause)
        pause = min(2 * pause, SELDOM)


def _hear(connection: Connection, item: dict[str, Any], watch: Watch) -> None:
    event = item["event"]
    if event.get("state") == ABORTED and item.get("producer") != connection.recorder.producer:
        watch.hear(int(event.get("iteration") or 0), str(event.get("error") or ""))


def _lose(context: Context, event: dict[str, Any]) -> None:
    """Tell that the run was found lost."""
    if event["type"] == "run.lost" and not event.get("iteration"):
        context.tell(LOST, str(event.get("reason") or ""))
