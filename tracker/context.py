"""The execution context: what a job says about itself while it works.

Methods that record do it at once, in the caller's thread, and return an awaitable that is ready: `context.log_metric(...)` and `await
context.log_metric(...)` do the same, so a forgotten await loses nothing. Methods that have to wait for something (the target's
acknowledgement, the hashing of a file) are coroutines. What was recorded here is remembered here: properties never ask anybody.
The context of a child iteration shares the run's stream; its events carry its number.
"""

import os
import sys
import time
import traceback as tracebacks
from collections.abc import Callable, Coroutine, Generator
from copy import deepcopy
from types import TracebackType
from typing import Any, Self, TextIO

import anyio.to_thread

from events.codec import AnyEvent
from events.types import (
    AnnotationSet,
    AttemptEnded,
    AttemptStarted,
    BestIterationMarked,
    ConsoleWritten,
    IterationStarted,
    LabelSet,
    ParameterSet,
    RunCommitted,
    StateChanged,
)
from projections.runs import ABORTED, COMPLETED, ERROR, RUNNING, TERMINAL
from tracker import ambient
from tracker.capture import Capture
from tracker.connection import Connection
from tracker.errors import InvalidRequest
from tracker.facts import gather
from tracker.inputs import Inputs
from tracker.known import Memory
from tracker.recorded import DONE, Recorded
from tracker.recorder import new_id
from tracker.run_logger import RunLogger
from tracker.values import key_of, plain_dict, text_of

MAX_TRACEBACK = 64 * 1024  # characters


class Context(Inputs):
    """A run, or a child iteration of one. Made by `get_or_create_ctx` and `get_child_context`; an async context manager."""

    def __init__(
        self,
        connection: Connection,
        *,
        project: str,
        uid: str,
        name: str,
        attempt: str = "",
        memory: Memory | None = None,
        parent: "Context | None" = None,
        iteration: int = 0,
        prepare: Callable[["Context"], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        super().__init__(connection, project, uid, name, iteration, memory or Memory())
        if parent is not None:
            self.secrets = parent.secrets
        self._attempt, self._parent = attempt, parent
        self.children: list[Context] = []
        self._known_children = 0  # iterations of earlier attempts
        self._resumed = False
        self._prepare = prepare
        self._capture: Capture | None = None
        self._logger: RunLogger = parent._logger if parent else RunLogger(self)

    @property
    def logger(self) -> RunLogger:
        """Writes lines for people into the run's console: `logger.info("text", key=value)`."""
        return self._logger

    @property
    def log_level(self) -> str:
        """The least level the logger writes: debug, info, warning, error or critical."""
        return self._logger.level

    @log_level.setter
    def log_level(self, level: str) -> None:
        self._logger.level = level

    def set_logger_stream(self, stream: TextIO | None) -> None:
        """Have the logger write to this text stream instead of stderr, and into the run's console; None is stderr again."""
        self._logger.redirect(stream)

    @property
    def captured(self) -> bool:
        """Whether what the process prints is recorded as the console of this run."""
        return self._parent.captured if self._parent else self._capture is not None

    def set_state(self, execution_state: str | None = None, error: str | None = None, commit: bool = True) -> Recorded:
        """Go to a state, or with `error` to the state error. An error is not undone by another state."""
        if error:
            self._go(ERROR, error=str(error))
        elif execution_state and self.memory.state not in (execution_state, ERROR):
            self._go(key_of(execution_state))
        return Recorded(self._acknowledged) if commit else DONE

    def get_child_context(self, with_parent_params: bool = False, **params: Any) -> "Context":
        """A child iteration with parameters of its own, numbered after the last one; also a context manager."""
        if self._parent is not None:
            raise InvalidRequest("a child iteration has no children: ask the run's own context", field="iteration")
        base = self.memory.parameters if with_parent_params else {}
        memory = Memory(parameters={**deepcopy(base), **plain_dict(params, "params")}, labels=dict(self.memory.labels))
        memory.started_at = time.time_ns()
        number = self._known_children + len(self.children) + 1
        child = Context(
            self.connection, project=self._project, uid=self._uid, name=self._name, memory=memory, parent=self, iteration=number
        )
        self.children.append(child)
        child.record(
            IterationStarted(time=memory.started_at, iteration=number, parameters=memory.parameters, labels=memory.labels),
            StateChanged(time=memory.started_at, iteration=number, state=RUNNING),
        )
        return child

    def mark_as_best(self) -> Recorded:
        """Name this child the best of the run: its results and artifacts so far become the run's, too."""
        if self._parent is None:
            raise InvalidRequest("only a child iteration can be the best: see get_child_context", field="iteration")
        self.record(BestIterationMarked(time=time.time_ns(), iteration=self._iteration))
        parent = self._parent.memory
        parent.results.update(deepcopy(self.memory.results))
        parent.results["best_iteration"] = self._iteration
        parent.artifacts.update(self.memory.artifacts)
        return DONE

    def update_child_iterations(self, best_run: int = 0, commit_children: bool = False, completed: bool = True) -> Recorded:
        """Mark a child (by its number) as the best, and those that still run as completed."""
        if best_run:
            chosen = [child for child in self.children if child._iteration == best_run]
            if not chosen:
                raise InvalidRequest(f"iteration {best_run} is none of the {len(self.children)} started here", field="best_run")
            chosen[0].mark_as_best()
        if completed:
            for child in self.children:
                child._complete()
        return Recorded(self._acknowledged) if commit_children else DONE

    # -- waiting -----------------------------------------------------------------------------------------------------

    async def commit(self, message: str = "", completed: bool = False) -> bool:
        """Declare the run good so far, with a message, or `completed`; then wait until all that was recorded is stored at the target.
        False when the target does not answer in ten seconds (at once, when it is known to be away): the journal has it all."""
        self.record(RunCommitted(time=time.time_ns(), iteration=self._iteration, message=text_of(message)))
        if completed:
            for child in self.children:
                child._complete()
            self._complete()
        return await self._acknowledged()

    async def __aenter__(self) -> Self:
        await self
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await anyio.to_thread.run_sync(self.end, error)

    def __await__(self) -> Generator[Any, None, "Context"]:
        return self._ready().__await__()

    async def _ready(self) -> "Context":
        prepare, self._prepare = self._prepare, None
        if prepare is not None:
            await prepare(self)
            ambient.enter(self)
        return self

    def resumed(self, wait: Callable[[Coroutine[Any, Any, "Context"]], "Context"]) -> "Context":
        """`await self` for code that waits: only a context with a given uid has anything to wait for."""
        if self._prepare is not None:
            wait(self._ready())
            ambient.enter(self)
        return self

    # -- ending ------------------------------------------------------------------------------------------------------

    def end(self, error: BaseException | None = None) -> None:
        """The end of the `with` block: completed, or failed with `error`; the journal is synced, nobody is waited for."""
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self._complete()
        else:
            text = "".join(tracebacks.format_exception(error))[-MAX_TRACEBACK:]
            message = f"{type(error).__name__}: {error}"
            self._go(ERROR if isinstance(error, (Exception, SystemExit)) else ABORTED, error=message, traceback=text)
        if self._iteration == 0:
            self.leave(self.memory.state)
        self.connection.recorder.settle()

    def leave(self, reason: str) -> None:
        """This process ends its work on the run."""
        if self._capture is not None:
            self._capture.stop()
            self._capture = None
        ambient.leave(self)
        self.connection.recorder.runs.pop((self._project, self._uid), None)
        if self._attempt and self._pid == os.getpid():
            self.record(AttemptEnded(time=time.time_ns(), attempt=self._attempt, reason=reason))
            self._attempt = ""

    def end_with_process(self) -> None:
        """What becomes of a run that nobody ended: failed, if the process dies of an exception; else only its attempt ends, for it is
        not known whether the work was done."""
        error = getattr(sys, "last_value", None)
        if isinstance(error, BaseException) and not hasattr(sys, "ps1"):
            self.end(error)
        else:
            if self.alive and not self._resumed and not hasattr(sys, "ps1"):
                self.connection.recorder.complaints.say(
                    "left", f"run {self._project}/{self._uid} was left {self.state}: work in a `with` block, or call commit(completed=True)"
                )
            self.leave("exit")

    def record_console(self, data: bytes, source: str) -> None:
        """Record what the job printed, as it was printed."""
        attempt = self._parent._attempt if self._parent else self._attempt
        self.record(ConsoleWritten(time=time.time_ns(), data=data, source=source, attempt=attempt))

    def start(self, *, capture: bool) -> None:
        """This process begins its work on the run."""
        self._attempt = new_id()
        self.memory.started_at = time.time_ns()
        self.record(AttemptStarted(time=self.memory.started_at, attempt=self._attempt, facts=gather()))
        self.connection.recorder.runs[self._project, self._uid] = self.end_with_process
        ambient.enter(self)
        self.capture(capture)

    def capture(self, wanted: bool) -> None:
        """Record the console from now on, if that is wanted and not done yet."""
        if not wanted or self.captured:
            return
        try:
            self._capture = Capture(self.record_console)
        except (RuntimeError, OSError) as error:
            self.connection.recorder.complaints.say("capture", f"the console is not recorded: {error}")

    def take(self, wanted: Memory) -> None:
        """Set the parameters, labels and annotations that are otherwise, or not at all, here."""
        now, memory = time.time_ns(), self.memory
        events: list[AnyEvent] = []
        for kind, values, known in (
            (ParameterSet, wanted.parameters, memory.parameters),
            (LabelSet, wanted.labels, memory.labels),
            (AnnotationSet, wanted.annotations, memory.annotations),
        ):
            events += [kind(time=now, key=key, value=value) for key, value in values.items() if known.get(key, ...) != value]
            known.update(values)
        self.record(*events)

    def resume(self, memory: Memory, *, name: str, children: int) -> None:
        """Take over what earlier attempts left."""
        self.memory, self._name, self._known_children, self._resumed = memory, name, children, True

    def _complete(self) -> None:
        if self.alive:
            self._go(COMPLETED)

    def _go(self, state: str, *, error: str = "", traceback: str = "") -> None:
        if state in TERMINAL and self._iteration == 0:
            self.leave(state)
        self.memory.state, self.memory.error = state, error
        self.record(StateChanged(time=time.time_ns(), iteration=self._iteration, state=state, error=error, traceback=traceback))
