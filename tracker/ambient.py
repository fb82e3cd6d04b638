"""The run that code is working on without having been handed it: a ContextVar, so two tasks on one thread have two runs."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.context import Context

_current: ContextVar["Context | None"] = ContextVar("tracker-run", default=None)


def enter(context: "Context") -> None:
    """Make this the run of the calling task or thread, and of tasks it starts."""
    _current.set(context)


def leave(context: "Context") -> None:
    """Forget the run, if it is the ambient one here."""
    if _current.get() is context:
        _current.set(None)


def current() -> "Context | None":
    """The ambient run, if there is one that has not ended."""
    context = _current.get()
    return context if context is not None and context.alive else None
