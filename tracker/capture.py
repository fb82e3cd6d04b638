"""The console of a job, recorded as it is printed: by every library, every child process and the interpreter itself.

File descriptors 1 and 2 are led into pipes; a thread reads these, passes each byte on to where it was going, and records it. Bytes that
come within a moment make one event. `stop` leads the descriptors back. Children that still hold a pipe go on being read and passed on.
A `sys.stdout` or `sys.stderr` that leads to neither (a notebook's, or one that was replaced) has its text recorded as it is written.
Values of secrets are masked in what is recorded, even when they come in pieces; what may be the beginning of one waits for what follows.
What is passed on is the job's own, and stays as it is; without `echo` nothing is passed on.
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

from tracker.secrets.store import SecretsStore, StreamMasker

LINGER = 0.02  # seconds in which output gathers into one event
CHUNK = 64 * 1024
SOURCES = {1: "stdout", 2: "stderr"}

Write = Callable[[bytes, str], None]


class Capture:
    """Records what goes to stdout and stderr from its making until `stop`. One at a time per process."""

    active: "Capture | None" = None

    def __init__(self, write: Write, *, secrets: SecretsStore | None = None, echo: bool = True) -> None:
        self._pid = os.getpid()
        if Capture.active is not None and Capture.active._pid == self._pid:
            raise RuntimeError("the console is captured by another run of this process already")
        self._write, self._echo = write, echo
        self._secrets = SecretsStore() if secrets is None else secrets
        self._maskers = {fd: StreamMasker(self._secrets) for fd in SOURCES}
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
            echo.finish()
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
                self._echoes.append(_Echo(stream, source, self._write, StreamMasker(self._secrets), shown=self._echo))
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
        for fd in SOURCES:
            self._record(fd, b"", last=True)
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
                self._record(fd, b"", last=True)
                return False
            if self._echo:
                _tee(self._saved[fd], data)
            self._record(fd, data)
            if len(data) < CHUNK:
                return True

    def _record(self, fd: int, data: bytes, *, last: bool = False) -> None:
        with suppress(Exception):  # the reader must live on: the job blocks when nobody empties the pipe
            if masked := self._maskers[fd].feed(data, last=last):
                self._write(masked, SOURCES[fd])

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

    def __init__(self, stream: TextIO, source: str, write: Write, masker: StreamMasker, *, shown: bool) -> None:
        self.stream, self.source, self._write = stream, source, write
        self._masker, self._shown = masker, shown

    def write(self, text: str) -> int:
        """Write to the stream, then record."""
        written = self.stream.write(text) if self._shown else len(text)
        if text:
            self._record(text.encode("utf-8", "replace"), last=False)
        return written

    def finish(self) -> None:
        """Record what was held back."""
        self._record(b"", last=True)

    def _record(self, data: bytes, *, last: bool) -> None:
        with suppress(Exception):  # the job's print must not fail for our reasons
            masked = self._masker.feed(data, last=last)
            for start in range(0, len(masked), CHUNK):
                self._write(masked[start : start + CHUNK], self.source)

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
