"""The console of a job, recorded as it is printed: by every library, every child process and the interpreter itself.

File descriptors 1 and 2 are led into pipes; a thread reads these, passes each byte on to where it was going, and records it. Bytes that
come within a moment make one event. `stop` leads the descriptors back. Children that still hold a pipe go on being read and passed on.
A `sys.stdout` or `sys.stderr` that leads to neither (a notebook's, or one that was replaced) has its text recorded as it is written.
"""

import io
import os
import selectors
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TextIO

LINGER = 0.02  # seconds in which output gathers into one event
CHUNK = 64 * 1024
SOURCES = {1: "stdout", 2: "stderr"}

Write = Callable[[bytes, str], None]


class Capture:
    """Records what goes to stdout and stderr from its making until `stop`. One at a time per process."""

    active: "Capture | None" = None

    def __init__(self, write: Write) -> None:
        self._pid = os.getpid()
        if Capture.active is not None and Capture.active._pid == self._pid:
            raise RuntimeError("the console is captured by another run of this process already")
        self._write = write
        self._saved: dict[int, int] = {}  # descriptor -> duplicate of where it led
        self._pipes: dict[int, int] = {}  # reading end -> descriptor
        self._buffering: list[tuple[io.TextIOWrapper, bool]] = []
        self._echoes: list[_Echo] = []
        self._stop_reading, self._stop = os.pipe()
        _flush()
        for fd in SOURCES:
            self._lead_away(fd)
        self._make_live()
        self._thread = threading.Thread(target=self._read, name="tracker-console", daemon=True)
        self._thread.start()
        Capture.active = self

    def stop(self) -> None:
        """Lead the descriptors back, and record what is still on its way. Does nothing in a forked child, whose console is its parent's."""
        if Capture.active is not self:
            return
        Capture.active = None
        if self._pid != os.getpid():
            return
        _flush()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
        for echo in self._echoes:
            if getattr(sys, echo.source) is echo:
                setattr(sys, echo.source, echo.stream)
        for stream, before in self._buffering:
            with suppress(OSError, ValueError, AttributeError):
                stream.reconfigure(line_buffering=before)
        os.close(self._stop)
        self._thread.join(5.0)

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

    def _make_live(self) -> None:
        """Have Python's own streams pass on each line, as they would to a terminal; and listen to those that are none of ours."""
        for source in SOURCES.values():
            stream = getattr(sys, source)
            if isinstance(stream, io.TextIOWrapper) and _descriptor(stream) in self._saved:
                self._buffering.append((stream, stream.line_buffering))
                stream.reconfigure(line_buffering=True)
            elif stream is not None and _descriptor(stream) not in self._saved:
                self._echoes.append(_Echo(stream, source, self._write))
                setattr(sys, source, self._echoes[-1])

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
                    if not self._take(reading):
                        selector.unregister(reading)
                        os.close(reading)
                        del self._pipes[reading]
        os.close(self._stop_reading)
        if self._pipes:  # a child process still prints into them
            threading.Thread(target=self._pass_on, name="tracker-console-rest", daemon=True).start()

    def _take(self, reading: int) -> bool:
        """Pass on and record what is in a pipe; False at its end."""
        fd = self._pipes[reading]
        while True:
            try:
                data = os.read(reading, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            _tee(self._saved[fd], data)
            with suppress(Exception):  # the reader must live on: the job blocks when nobody empties the pipe
                self._write(data, SOURCES[fd])
            if len(data) < CHUNK:
                return True

    def _pass_on(self) -> None:
        with selectors.DefaultSelector() as selector:
            for reading in self._pipes:
                selector.register(reading, selectors.EVENT_READ)
            while self._pipes:
                for key, _ in selector.select():
                    if not self._take(key.fd):
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        del self._pipes[key.fd]


class _Echo:
    """A text stream whose text is recorded, too."""

    def __init__(self, stream: TextIO, source: str, write: Write) -> None:
        self.stream, self.source, self._record = stream, source, write

    def write(self, text: str) -> int:
        """Write to the stream, then record."""
        written = self.stream.write(text)
        if text:
            with suppress(Exception):  # the job's print must not fail for our reasons
                data = text.encode("utf-8", "replace")
                for start in range(0, len(data), CHUNK):
                    self._record(data[start : start + CHUNK], self.source)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _descriptor(stream: TextIO) -> int:
    """The descriptor a stream writes to, -1 when there is none."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return -1


def _tee(fd: int, data: bytes) -> None:
    view = memoryview(data)
    with suppress(OSError):  # whoever was reading has gone; the record goes on
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                time.sleep(LINGER)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
