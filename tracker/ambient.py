"""The run that code is working on without having been handed it: a ContextVar, so two tasks on one thread have two runs.

Runs nest: when the inner one ends, the outer one is meant again. A session at a prompt (a notebook's cells may be tasks of their own) has
one more place to look, the run entered last. A run that was prepared elsewhere for this process is meant in all its threads and tasks.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tracker.context import Context
    from tracker.lifetime import Lifetime

_runs: ContextVar[tuple["Context", ...]] = ContextVar("tracker-runs", default=())  # the outermost first


class OfProcess:
    """The runs that are not one task's or thread's."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.prepared: Context | None = None
        self.configuration = ""  # of the prepared run
        self.last: Context | None = None  # entered at a prompt


PROCESS_RUNS = OfProcess()


def enter(run: "Lifetime") -> None:
    """Make this the run of the calling task or thread, and of tasks it starts."""
    context = cast("Context", run)  # there are no others
    _runs.set((*(other for other in _runs.get() if other is not run and other.alive), context))
    if hasattr(sys, "ps1"):
        PROCESS_RUNS.last = context


def leave(context: "Lifetime") -> None:
    """Forget the run, if it is an ambient one here."""
    runs = _runs.get()
    if any(run is context for run in runs):
        _runs.set(tuple(run for run in runs if run is not context))
    if PROCESS_RUNS.last is context:
        PROCESS_RUNS.last = None
    if PROCESS_RUNS.prepared is context:
        PROCESS_RUNS.prepared = None


def meant() -> Iterator["Context"]:
    """The ambient runs that have not ended, the innermost first."""
    for context in (*reversed(_runs.get()), PROCESS_RUNS.prepared, PROCESS_RUNS.last):
        if context is not None and context.alive:
            yield context


def current() -> "Context | None":
    """The ambient run, if there is one that has not ended."""
    return next(meant(), None)


@contextmanager
def within(run: "Lifetime") -> Iterator[None]:
    """Have this run meant in a block, whichever is otherwise."""
    before = _runs.set((*_runs.get(), cast("Context", run)))
    try:
        yield
    finally:
        _runs.reset(before)


def prepare(configuration: str, make: Callable[[], "Context"]) -> "Context | None":
    """The run that was prepared for this process with this configuration; None when it has ended here."""
    with PROCESS_RUNS.lock:
        if PROCESS_RUNS.configuration != configuration:
            context = make()
            context.prepared = True
            PROCESS_RUNS.prepared, PROCESS_RUNS.configuration = context, configuration
        known = PROCESS_RUNS.prepared
    return known if known is not None and known.alive else None
