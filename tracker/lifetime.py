"""The life of a run or iteration in this process: how it begins, what state it is in, what it prints, and how it ends.

An attempt is what one process does on it. The state is told to everybody in `on_state` (notifications, those who wait for an end), whose
own trouble never becomes the job's. A context that somebody else works for (`remote`) has a state, and neither an attempt nor a console.
"""

import os
import sys
import threading
import time
import traceback as tracebacks
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

from events.codec import AnyEvent
from events.types import (
    AnnotationSet,
    AttemptEnded,
    AttemptStarted,
    ConsoleWritten,
    LabelSet,
    ParameterSet,
    RunCreated,
    StateChanged,
)
from projections.runs import ABORTED, COMPLETED, ERROR, RUNNING, TERMINAL
from tracker import ambient
from tracker.capture import Capture
from tracker.connection import Connection
from tracker.dataitem.urls import shown
from tracker.facts import gather, user
from tracker.inputs import Inputs
from tracker.known import Memory
from tracker.recorded import Recorded
from tracker.recorder import new_id
from tracker.run_logger import RunLogger
from tracker.values import key_of, recordable

if TYPE_CHECKING:
    from tracker.context import Context

MAX_TRACEBACK = MAX_ERROR = 64 * 1024  # characters


class Lifetime(Inputs):
    """The part of a context that begins, goes through states, and ends."""

    def __init__(
        self,
        connection: Connection,
        project: str,
        uid: str,
        name: str,
        iteration: int,
        memory: Memory,
        *,
        parent: Self | None,
        remote: bool,
    ) -> None:
        super().__init__(connection, project, uid, name, iteration, memory)
        if parent is not None:
            self.secrets = parent.secrets
        self.on_state: list[Callable[[Context, str, str], None]] = []
        self._parent, self._remote = parent, remote
        self.console_kept = False  # by whoever started this process
        self._attempt = ""
        self._parent_run = ""  # uid of the run this one is nested in
        self.console: Capture | None = None
        self._capturing = False  # whether that is wanted, once the run begins
        self.cause: BaseException | None = None  # what it failed of, in this process
        self._begun = self._resumed = False
        self._beginning = threading.RLock()
        self._logger: RunLogger = parent._logger if parent else RunLogger(self)
        if memory.spec.get("verbose"):
            self._logger.level = "debug"

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
        """Whether what is printed is recorded as the console of this run."""
        return self._parent.captured if self._parent else self.console_kept or self.console is not None

    def set_state(self, execution_state: str | None = None, error: str | None = None, commit: bool = True) -> Recorded:
        """Go to a state, or with `error` to the state error. An error is not undone by another state."""
        if error:
            self.go(ERROR, error=str(error))
        elif execution_state and self.memory.state not in (execution_state, ERROR):
            self.go(key_of(execution_state))
        return Recorded(self._acknowledged) if commit else self._reply

    def store_run(self) -> Recorded:
        """Have the run stand at the target with all that is known of it. What is awaited is the acknowledgement.

        A context made with `store_run=False` is recorded from here on; any other one is recorded already.
        """
        self._begin_first()
        return Recorded(self._acknowledged)

    # -- beginning ---------------------------------------------------------------------------------------------------

    def wants(self, *, capture: bool, parent: str) -> None:
        """Have the run, once it begins, record its console, and be nested in another."""
        self._capturing, self._parent_run = capture, parent

    def begin(self) -> None:
        """Record that the run began to exist, unless an iteration's run did that, and that this process works on it."""
        with self._beginning:
            if self._begun:
                return
            self._begun = True
            memory = self.memory
            if self._iteration == 0:
                self.record(
                    RunCreated(
                        time=time.time_ns(),
                        name=self._name,
                        user=user(),
                        parent=self._parent_run,
                        parameters=memory.parameters,
                        labels=memory.labels,
                        annotations=memory.annotations,
                        spec=self._spec(),
                    )
                )
            if not self._remote:
                self.start(capture=self._capturing)
            else:
                if memory.host:
                    self.set_hostname(memory.host)
                if self._iteration == 0:
                    self.tell(memory.state, memory.error)
            self._first = None

    def _spec(self) -> dict[str, Any]:
        memory = self.memory
        inputs = {key: shown(url) for key, url in memory.inputs.items()}
        places = {"inputs": inputs, "input_path": shown(memory.in_path), "output_path": shown(memory.out_path)}
        return memory.spec | {key: value for key, value in places.items() if value}

    def start(self, *, capture: bool) -> None:
        """This process begins its work on the run."""
        self._attempt = new_id()
        self.memory.started_at = time.time_ns()
        self.record(AttemptStarted(time=self.memory.started_at, iteration=self._iteration, attempt=self._attempt, facts=gather()))
        if self.memory.host:  # said beforehand; the attempt's own host is a fact of it
            self.set_hostname(self.memory.host)
        self.connection.recorder.runs[self._project, self._uid] = self.end_with_process
        ambient.enter(self)
        self.capture(capture)
        self.tell(RUNNING, "")

    def capture(self, wanted: bool, *, echo: bool = True) -> None:
        """Record the console from now on, if that is wanted and not done yet; without `echo` it is recorded only."""
        if not wanted or self.captured:
            return
        if not self._begun and self._parent is None:
            self._capturing = True
            return
        try:
            self.console = Capture(self.record_console, secrets=self.secrets, echo=echo)
        except OSError as error:
            self.connection.recorder.complaints.say("capture", f"the console is not recorded: {error}")

    def record_console(self, data: bytes, source: str) -> None:
        """Record what the job printed, as it was printed."""
        attempt = self._parent._attempt if self._parent else self._attempt
        self.record(ConsoleWritten(time=time.time_ns(), data=data, source=source, attempt=attempt))

    def take(self, wanted: Memory) -> None:
        """Set the parameters, labels and annotations that are otherwise, or not at all, here."""
        now, memory = time.time_ns(), self.memory
        events: list[AnyEvent] = []
        for kind, values, known in (
            (ParameterSet, wanted.parameters, memory.parameters),
            (LabelSet, wanted.labels, memory.labels),
            (AnnotationSet, wanted.annotations, memory.annotations),
        ):
            events += [
                kind(time=now, iteration=self._iteration, key=key, value=value)
                for key, value in values.items()
                if known.get(key, ...) != value
            ]
            known.update(values)
        if self._first is None:  # else they are part of its beginning
            self.record(*events)

    # -- ending ------------------------------------------------------------------------------------------------------

    def end(self, error: BaseException | None = None) -> None:
        """The end of the `with` block: completed, or failed with `error`; the journal is synced, nobody is waited for."""
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self._complete()
        else:
            self.cause = error
            text = self.secrets.mask("".join(tracebacks.format_exception(error)))[-MAX_TRACEBACK:]  # a value cut in two is not found
            self.go(ERROR if isinstance(error, (Exception, SystemExit)) else ABORTED, error=_told(error), traceback=text)
        if self._parent is None:
            self.leave(self.memory.state)
        self.connection.recorder.settle()

    def leave(self, reason: str) -> None:
        """This process ends its work on the run."""
        if self.console is not None:
            self.console.stop()
            self.console = None
        ambient.leave(self)
        runs, key = self.connection.recorder.runs, (self._project, self._uid)
        if runs.get(key) == self.end_with_process:
            del runs[key]
        if self._attempt and self._pid == os.getpid():
            self.record(AttemptEnded(time=time.time_ns(), iteration=self._iteration, attempt=self._attempt, reason=reason))
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

    def _complete(self) -> None:
        if self.alive:
            self.go(COMPLETED)

    def go(self, state: str, *, error: str = "", traceback: str = "") -> None:
        """Go to a state, whatever the present one is, and leave the run when that is an end."""
        self._begin_first()
        mask = self.secrets.mask  # here already: it is raised and sent on, not only recorded
        error, traceback = recordable(mask(error))[:MAX_ERROR], recordable(mask(traceback))
        if state in TERMINAL and self._parent is None:
            self.leave(state)
        self.memory.state, self.memory.error = state, error
        self.record(StateChanged(time=time.time_ns(), iteration=self._iteration, state=state, error=error, traceback=traceback))
        self.tell(state, error)

    def tell(self, state: str, error: str) -> None:
        """Call those who want to know. Their trouble is said, and is not the job's."""
        for told in list(self.on_state):
            try:
                told(cast("Context", self), state, error)
            except Exception as trouble:  # noqa: BLE001 - somebody else's code
                what = f"{type(trouble).__name__}: {trouble}"
                self.connection.recorder.complaints.say(
                    "on_state", f"somebody could not be told that the run is {state}: {self.secrets.mask(what)}"
                )


def _told(error: BaseException) -> str:
    """The name and text of an exception. Asking for the text calls foreign code, which may fail, and the run is to end all the same."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as failed:  # noqa: BLE001 - whatever it is
        return f"{type(error).__name__}, whose text cannot be told: it raised {type(failed).__name__}"
