"""The consoles of the runs of this process: each records what is printed for it, as it is printed, and it still reaches the terminal.

Text that Python code prints is the run's that is ambient where it is printed; so two tasks on one thread, or two threads, have each their
own lines. What is written to the file descriptors 1 and 2 - by C libraries, child processes, the interpreter - cannot be told apart: it
is the run's that captured first, and so is text that is printed where no run is ambient. When that run ends, it is the next one's.
`sys.stdout` and `sys.stderr` are led here meanwhile, and the handlers of `logging`, which hold on to the stream they were made with. Text
that does not go through a descriptor (a notebook's) is recorded by lines, or when it is flushed.
Values of secrets are masked in what is recorded, even when they come in pieces; what may be the beginning of one waits for what follows.
What is passed on is the job's own, and stays as it is; a console without `echo` passes nothing on.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TextIO

from tracker import ambient
from tracker.descriptors import CHUNK, SOURCES, Descriptors, descriptor_of
from tracker.secrets.store import SecretsStore, StreamMasker

Write = Callable[[bytes, str], None]
Show = Callable[[bytes], None]


class Capture:
    """The console of a run, from its making until `stop`."""

    def __init__(self, write: Write, *, secrets: SecretsStore | None = None, echo: bool = True) -> None:
        self.echo = echo
        secrets = SecretsStore() if secrets is None else secrets
        self._written = {source: _Record(write, source, secrets) for source in SOURCES.values()}  # to descriptors
        self._printed = {source: _Record(write, source, secrets) for source in SOURCES.values()}
        _PROCESS.begin(self)

    def stop(self) -> None:
        """Record what is still on its way, and nothing more. Does nothing in a forked child, whose console is its parent's."""
        _PROCESS.end(self)

    def take(self, data: bytes, source: str, *, last: bool = False) -> None:
        """Record bytes that were written to a descriptor."""
        self._written[source].add(data, last=last)

    def say(self, text: bytes, source: str, show: Show | None = None) -> None:
        """Show and record printed text, line by line."""
        self._printed[source].say(text, show if self.echo else None)

    def flush(self, source: str, *, last: bool = False) -> None:
        """Show and record the line that was begun."""
        self._printed[source].flush(last=last)


class _Record:
    """What comes from one source for one run."""

    def __init__(self, write: Write, source: str, secrets: SecretsStore) -> None:
        self._write, self._source, self._secrets = write, source, secrets
        self._renew()

    def _renew(self) -> None:
        self._pid, self._lock = os.getpid(), threading.RLock()
        self._masker, self._line = StreamMasker(self._secrets), b""
        self._show: Show | None = None

    def say(self, text: bytes, show: Show | None) -> None:
        """Show and record text. What is no line yet waits for its end: `print` writes each in two pieces, and others print meanwhile."""
        if self._pid != os.getpid():  # what a forked child's parent holds is the parent's, and nobody here lets go of its lock
            self._renew()
        with self._lock:
            self._line += text
            self._show = show
            self._out(self._line.rfind(b"\n") + 1 if len(self._line) < CHUNK else len(self._line))

    def flush(self, *, last: bool = False) -> None:
        """Show and record the line that was begun."""
        if self._pid == os.getpid():
            with self._lock:
                self._out(len(self._line), last=last)

    def _out(self, size: int, *, last: bool = False) -> None:
        ready, self._line = self._line[:size], self._line[size:]
        if ready and self._show is not None:
            self._show(ready)
        if ready or last:
            self.add(ready, last=last)

    def add(self, data: bytes, *, last: bool = False) -> None:
        """Record bytes."""
        with suppress(Exception):  # neither the job's print nor the thread that empties the pipes may fail for our reasons
            masked = self._masker.feed(data, last=last)
            for start in range(0, len(masked), CHUNK):
                self._write(masked[start : start + CHUNK], self._source)


class _Routed:
    """In the place of a stream: its text goes to the console of the run that prints it. Some may hold on to it for ever: at last it only
    passes on."""

    def __init__(self, stream: TextIO, source: str) -> None:
        self.stream, self._source, self._fd = stream, source, descriptor_of(stream)
        self._of_nobody = _Record(lambda _data, _source: None, source, SecretsStore())  # of runs that do not capture
        self._ended = False
        setattr(sys, source, self)
        _lead_logging(stream, self)

    def back(self) -> None:
        """Let the stream take its place again."""
        self._of_nobody.flush()
        self._ended = True
        if getattr(sys, self._source) is self:
            setattr(sys, self._source, self.stream)
        _lead_logging(self, self.stream)

    def write(self, text: str) -> int:
        """Print, and record."""
        if self._ended or not isinstance(text, str):
            return self.stream.write(text)
        capture, run_there = _meant()
        held = _PROCESS.held
        if held is not None and held.holds(self._fd):
            if not held.inside and (not run_there or capture is _PROCESS.holder):
                return self.stream.write(text)  # and so into a pipe
            data = text.encode(self.stream.encoding, self.stream.errors or "strict")
            if held.inside:  # it is said by those who record, of their trouble
                held.beside(self._fd, data)
            elif capture is not None:
                capture.say(data, self._source, self._beside)
            else:
                self._of_nobody.say(data, self._beside)
        else:
            capture = capture if run_there else _PROCESS.holder
            if capture is None or capture.echo:
                self.stream.write(text)
            if capture is not None:
                capture.say(text.encode("utf-8", "replace"), self._source)
        return len(text)

    def _beside(self, data: bytes) -> None:
        if _PROCESS.held is not None:
            _PROCESS.held.beside(self._fd, data)

    def writelines(self, lines: Iterable[str]) -> None:
        """Print each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Have what was printed shown and recorded now."""
        self.stream.flush()
        if self._ended:
            return
        capture, run_there = _meant()
        if (capture := capture if run_there else _PROCESS.holder) is not None:
            capture.flush(self._source)
        else:
            self._of_nobody.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stream)


def _lead_logging(old: Any, new: Any) -> None:
    """Have the handlers of `logging` that write to one stream write to another."""
    for logger in [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]:
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler) and handler.stream is old:
                handler.setStream(new)


class _Process:
    """The consoles of this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._captures: list[Capture] = []  # the first begun is the first
        self._routed: list[_Routed] = []
        self._pid = os.getpid()
        self.holder: Capture | None = None  # whose the descriptors are
        self.held: Descriptors | None = None

    def begin(self, capture: Capture) -> None:
        """One more. Raises OSError when the process may open no more files."""
        with self._lock:
            if self._pid != os.getpid():  # those of the parent are the parent's
                self._pid, self._captures, self.holder = os.getpid(), [], None
            if self.holder is None:
                self._hold(capture)
            self._captures.append(capture)
            for source in SOURCES.values():
                stream = getattr(sys, source)
                if stream is not None and not isinstance(stream, _Routed):
                    self._routed.append(_Routed(stream, source))

    def end(self, capture: Capture) -> None:
        """One less; the next one gets the descriptors if they were its."""
        with self._lock:
            if self._pid != os.getpid() or capture not in self._captures:
                return
            self._captures.remove(capture)
            for source in SOURCES.values():
                capture.flush(source, last=True)
            if not self._captures:
                for routed in reversed(self._routed):
                    routed.back()
                self._routed = []
            if capture is self.holder and self.held is not None:
                self.held.release()
                self.held = self.holder = None
            if self._captures and self.holder is None:
                with suppress(OSError):  # then only what Python prints is recorded
                    self._hold(self._captures[0])

    def forked(self) -> None:
        """In the child: whoever held the lock is not here."""
        self._lock = threading.RLock()

    def _hold(self, capture: Capture) -> None:
        streams = [stream.stream if isinstance(stream, _Routed) else stream for stream in (sys.stdout, sys.stderr)]
        self.held = Descriptors(capture.take, streams, echo=capture.echo)
        self.holder = capture


_PROCESS = _Process()


def _meant() -> tuple[Capture | None, bool]:
    """The console of the run that is ambient here, or of the nearest around it that has one; and whether any run is."""
    there = False
    for run in ambient.meant():
        if run.console is not None:
            return run.console, True
        there = True
    return None, there


def leads_to(fd: int) -> int:
    """The descriptor that leads to where 1 or 2 leads beside what is recorded."""
    return fd if _PROCESS.held is None else _PROCESS.held.where(fd)


os.register_at_fork(after_in_child=_PROCESS.forked)
