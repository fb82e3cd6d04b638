"""Which running runs have shown a sign of life, and since when one has not.

Signs are events of the run and heartbeats. They are kept in memory only: a heartbeat is not history. After a start every running run gets
a whole lease to show itself. When a lease runs out, the run is recorded as lost, with the time of its last sign; any later event of its
producers undoes that in the view. The watcher sleeps until the oldest lease ends, so an idle server does nothing.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic, time_ns

import anyio

from events.codec import AnyEvent
from events.record import New
from events.types import RunDeleted, StateChanged
from projections.runs import TERMINAL

Subject = tuple[str, str]  # project, uid
_ENDS: frozenset[type] = frozenset({StateChanged, RunDeleted})


class Leases:
    """The leases of running runs, the oldest first."""

    def __init__(self, duration: float) -> None:
        self._duration = duration
        self._signs: OrderedDict[Subject, tuple[float, int]] = OrderedDict()
        self._runs: dict[str, set[Subject]] = {}  # by producer
        self._producers: dict[Subject, set[str]] = {}
        self._first = anyio.Event()

    def sign(self, project: str, uid: str, producer: str = "") -> None:
        """The run is alive, by this producer's word."""
        subject = (project, uid)
        self._signs[subject] = (monotonic(), time_ns())
        self._signs.move_to_end(subject)
        if producer:
            self._runs.setdefault(producer, set()).add(subject)
            self._producers.setdefault(subject, set()).add(producer)
        if not self._first.is_set():
            self._first.set()

    def sign_all(self, producer: str) -> None:
        """The producer is alive, and with it the runs it has spoken of that have not ended."""
        for project, uid in self._runs.get(producer, ()):
            self.sign(project, uid)

    def end(self, project: str, uid: str) -> None:
        """The run needs to show no sign of life any more."""
        subject = (project, uid)
        self._signs.pop(subject, None)
        for producer in self._producers.pop(subject, ()):
            runs = self._runs[producer]
            runs.discard(subject)
            if not runs:
                del self._runs[producer]

    def observe(self, new: New) -> None:
        """Take the events of a run as a sign of life, or of its end."""
        kind, _, rest = new.stream.partition("/")
        if kind != "run":
            return
        project, _, uid = rest.partition("/")
        if _ended(new.events):
            self.end(project, uid)
        else:
            self.sign(project, uid, new.producer)

    async def watch(self, lost: Callable[[str, str, int], Awaitable[None]]) -> None:
        """Call `lost(project, uid, last sign in ns)` for every lease that runs out, for ever."""
        while True:
            if not self._signs:
                self._first = anyio.Event()
                await self._first.wait()
                continue
            subject, (since, last) = next(iter(self._signs.items()))
            remaining = since + self._duration - monotonic()
            if remaining > 0:
                await anyio.sleep(remaining)
            elif self._signs.get(subject) == (since, last):
                self.end(*subject)
                await lost(*subject, last)


def _ended(events: list[AnyEvent]) -> bool:
    if _ENDS.isdisjoint(set(map(type, events))):  # thousands of metrics are looked through at once
        return False
    for event in reversed(events):
        if isinstance(event, StateChanged) and event.iteration == 0:
            return event.state in TERMINAL
        if isinstance(event, RunDeleted):
            return True
    return False
