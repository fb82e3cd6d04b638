"""File descriptors 1 and 2 of this process, led into pipes: what C libraries and child processes print goes there, too.

A thread reads the pipes, passes each byte on to where it was going, and hands it over to be recorded; bytes that come within a moment come
in one piece. `release` leads the descriptors back; children that still hold a pipe go on being read and passed on. `beside` writes to
where a descriptor led without its being recorded, after what is on its way there already.
"""

import io
import os
import selectors
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol, TextIO

LINGER = 0.02  # seconds in which output gathers into one piece
CHUNK = 64 * 1024
SOURCES = {1: "stdout", 2: "stderr"}


class Take(Protocol):
    """Who records what was printed; `last` says that nothing follows."""

    def __call__(self, data: bytes, source: str, *, last: bool = False) -> None:
        """Record it; raises nothing."""


class Descriptors:
    """Both of them, from the making until `release`. Those of `streams` that write to them pass on each line meanwhile."""

    def __init__(self, take: Take, streams: Iterable[TextIO | None], *, echo: bool) -> None:
        self._take_over, self._echo = take, echo
        self.pid = os.getpid()
        self._turn = threading.RLock()  # of those who write to where the descriptors led
        self._busy = 0  # the thread whose turn it is
        self._saved: dict[int, int] = {}  # descriptor -> duplicate of where it led
        self._pipes: dict[int, int] = {}  # reading end -> descriptor
        self._buffering: list[tuple[io.TextIOWrapper, bool]] = []
        self._stop_reading, self._stop = os.pipe()
        flush_streams()
        for fd in SOURCES:
            self._lead_away(fd)
        self._make_live(streams)
        self._thread = threading.Thread(target=self._read, name="tracker-console", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Lead the descriptors back, and hand over what is still on its way."""
        flush_streams()
        with self._turn:
            for fd, saved in self._saved.items():
                os.dup2(saved, fd)
        for stream, before in self._buffering:
            with suppress(OSError, ValueError, AttributeError):
                stream.reconfigure(line_buffering=before)
        os.close(self._stop)
        self._thread.join(5.0)

    def holds(self, fd: int) -> bool:
        """Whether what is written to it goes through a pipe."""
        return fd in self._saved

    def where(self, fd: int) -> int:
        """The descriptor that leads to where this one led."""
        return self._saved.get(fd, fd)

    def beside(self, fd: int, data: bytes) -> None:
        """Write to where a descriptor led, after what was written to it before. In a forked process that is for its parent to read."""
        if self.pid != os.getpid():
            _tee(self.where(fd), data)
            return
        with self._turn:
            if not self.inside:
                for reading in [reading for reading, of in self._pipes.items() if of == fd]:
                    self._take(reading)
            _tee(self.where(fd), data)

    @property
    def inside(self) -> bool:
        """Whether this is said by somebody who is just handed what comes by a pipe: it cannot go there, too."""
        return self._busy == threading.get_ident()

    def _lead_away(self, fd: int) -> None:
        try:
            self._saved[fd] = os.dup(fd)
        except OSError:  # a job without this descriptor
            return
        reading, writing = os.pipe()
        os.dup2(writing, fd)
        os.close(writing)
        os.set_blocking(reading, False)
        self._pipes[reading] = fd

    def _make_live(self, streams: Iterable[TextIO | None]) -> None:
        """Have Python's own streams pass on each line, as they would to a terminal."""
        for stream in streams:
            if isinstance(stream, io.TextIOWrapper) and descriptor_of(stream) in self._saved:
                self._buffering.append((stream, stream.line_buffering))
                stream.reconfigure(line_buffering=True)

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stop_reading, selectors.EVENT_READ)
            for reading in self._pipes:
                selector.register(reading, selectors.EVENT_READ)
            stopping = False
            while self._pipes:
                ready = {key.fd for key, _ in selector.select(0.0 if stopping else None)}
                if stopping and not ready:
                    break
                if self._stop_reading in ready:
                    selector.unregister(self._stop_reading)
                    stopping = True
                elif not stopping:
                    time.sleep(LINGER)
                for reading in sorted(ready - {self._stop_reading}):
                    self._serve(selector, reading)
        os.close(self._stop_reading)
        for source in SOURCES.values():
            self._take_over(b"", source, last=True)
        if self._pipes:  # a child process still prints into them
            threading.Thread(target=self._pass_on, name="tracker-console-rest", daemon=True).start()
        else:
            self._close()

    def _serve(self, selector: selectors.BaseSelector, reading: int) -> None:
        with self._turn:
            if not self._take(reading):
                selector.unregister(reading)
                os.close(reading)
                del self._pipes[reading]

    def _take(self, reading: int) -> bool:
        """Pass on and hand over what is in a pipe; False at its end."""
        fd = self._pipes[reading]
        while True:
            try:
                data = os.read(reading, CHUNK)
            except BlockingIOError:
                return True
            if self._echo:
                _tee(self._saved[fd], data)
            self._busy = threading.get_ident()
            self._take_over(data, SOURCES[fd], last=not data)
            self._busy = 0
            if not data:
                return False
            if len(data) < CHUNK:
                return True

    def _pass_on(self) -> None:
        with selectors.DefaultSelector() as selector:
            for reading in self._pipes:
                selector.register(reading, selectors.EVENT_READ)
            while self._pipes:
                for key, _ in selector.select():
                    self._serve(selector, key.fd)
        self._close()

    def _close(self) -> None:
        with self._turn:
            saved, self._saved = self._saved, {}
        for fd in saved.values():
            os.close(fd)


def descriptor_of(stream: TextIO) -> int:
    """The descriptor a stream writes to, -1 when there is none."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return -1


def flush_streams() -> None:
    """Have Python's own streams write what they hold."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _tee(fd: int, data: bytes) -> None:
    view = memoryview(data)
    with suppress(OSError):  # whoever was reading has gone; the record goes on
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                time.sleep(LINGER)
