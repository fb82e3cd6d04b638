"""How waiting readers learn that something happened, without a list of them and without anything kept per reader.

A reader takes the next signal before it looks, looks, and then waits for the signal: whatever happens after the look has set it.
Signals of one stream are held weakly: they live as long as somebody waits for them.
"""

from collections.abc import Iterable
from weakref import WeakValueDictionary

from anyio import Event


class Pulse:
    """Beats when something was committed."""

    def __init__(self) -> None:
        self._any = Event()
        self._streams: WeakValueDictionary[str, Event] = WeakValueDictionary()

    def next(self, stream: str | None = None) -> Event:
        """The signal of the next beat, or of the next one that concerns `stream`."""
        if stream is None:
            return self._any
        signal = self._streams.get(stream)
        if signal is None:
            signal = self._streams[stream] = Event()
        return signal

    def beat(self, streams: Iterable[str] = ()) -> None:
        """Wake all who wait for anything, and those who wait for one of `streams`."""
        signal, self._any = self._any, Event()
        signal.set()
        if self._streams:
            for stream in set(streams):
                if waiting := self._streams.pop(stream, None):
                    waiting.set()

    def beat_all(self) -> None:
        """Wake everybody."""
        self.beat(list(self._streams))
