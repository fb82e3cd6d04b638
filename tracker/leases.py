"""Which running runs have shown a sign of life, and since when one has not.

Signs are events of the run and heartbeats. They are kept in memory only: a heartbeat is not history. After a start every running run gets
a whole lease to show itself. When a lease runs out, the run is recorded as lost, with the time of its last sign; any later event of its
producers undoes that in the view. The watcher sleeps until the oldest lease ends, so an idle server does nothing.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic, time_ns

import anyio

from events.record import New
from events.types import RunDeleted, StateChanged
from projections.runs import TERMINAL

Subject = tuple[str, str]  # project, uid


class Leases:
    """The leases of running runs, the oldest first."""

    def __init__(self, duration: float) -> None:
        self._duration = duration
        self._signs: OrderedDict[Subject, tuple[float, int]] = OrderedDict()
        self._first = anyio.Event()

    def sign(self, project: str, uid: str) -> None:
        """The run is alive."""
        subject = (project, uid)
        self._signs[subject] = (monotonic(), time_ns())
        self._signs.move_to_end(subject)
        self._first.set()

    def end(self, project: str, uid: str) -> None:
        """The run needs to show no sign of life any more."""
        self._signs.pop((project, uid), None)

    def observe(self, new: New) -> None:
        """Take the events of a run as a sign of life, or of its end."""
        kind, _, rest = new.stream.partition("/")
        if kind != "run":
            return None
        project, _, uid = rest.partition("/")
        for event in reversed(new.events):
            if isinstance(event, StateChanged) and event.iteration == 0:
                if event.state in TERMINAL:
                    return self.end(project, uid)
                break
            if isinstance(event, RunDeleted):
                return self.end(project, uid)
        return self.sign(project, uid)

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
                del self._signs[subject]
                await lost(*subject, last)
