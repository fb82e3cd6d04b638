"""The execution context: what a job says about itself while it works.

Methods that record do it at once, in the caller's thread, and return an awaitable that is ready: `context.log_metric(...)` and `await
context.log_metric(...)` do the same, so a forgotten await loses nothing. Methods that have to wait for something (the target's
acknowledgement, the hashing of a file) are coroutines. What was recorded here is remembered here: properties never ask anybody.
The context of a child iteration shares the run's stream; its events carry its number.
"""

import asyncio
import os
import sys
import time
import traceback as tracebacks
from collections.abc import Callable, Coroutine, Generator, Mapping
from copy import deepcopy
from types import TracebackType
from typing import Any, Self, TextIO

import anyio.to_thread
import msgspec

from events.codec import AnyEvent
from events.types import (
    AnnotationSet,
    ArtifactLogged,
    AttemptEnded,
    AttemptStarted,
    BestIterationMarked,
    ConsoleWritten,
    IterationStarted,
    LabelSet,
    MetricLogged,
    ParameterSet,
    ResultLogged,
    RunCommitted,
    StateChanged,
)
from projections.runs import ABORTED, COMPLETED, ERROR, RUNNING, TERMINAL
from tracker import ambient
from tracker.artifact import Artifact, log
from tracker.capture import Capture
from tracker.connection import Connection
from tracker.errors import InvalidRequest
from tracker.facts import gather
from tracker.known import Known, Memory
from tracker.recorded import DONE, Recorded
from tracker.recorder import new_id
from tracker.run_logger import RunLogger
from tracker.values import key_of, number_of, plain, plain_dict, step_of, text_of, texts_of, time_of

MAX_TRACEBACK = 64 * 1024  # characters


class Context(Known):
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
        self.connection = connection
        super().__init__(project, uid, name, iteration, memory or Memory())
        self._attempt, self._parent = attempt, parent
        self._stream = f"run/{project}/{uid}".encode()
        self.children: list[Context] = []
        self._known_children = 0  # iterations of earlier attempts
        self._resumed = False
        self._pid = os.getpid()
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

    # -- recording ---------------------------------------------------------------------------------------------------

    def get_param(self, key: str, default: Any = None) -> Any:
        """A parameter. A missing one is recorded with the default as its value."""
        if key not in self.memory.parameters:
            value = plain(default)
            self.memory.parameters[key_of(key)] = value
            self.record(ParameterSet(time=time.time_ns(), iteration=self._iteration, key=key_of(key), value=value))
        return deepcopy(self.memory.parameters[key])

    def log_result(self, key: str, value: Any, commit: bool = False) -> Recorded:
        """Record a result; the last value of a key counts."""
        return self.log_results({key: value}, commit)

    def log_results(self, results: Mapping[str, Any], commit: bool = False) -> Recorded:
        """Record several results at once."""
        values = plain_dict(results, "results")
        self.memory.results.update(values)
        now = time.time_ns()
        self.record(*(ResultLogged(time=now, iteration=self._iteration, key=key, value=value) for key, value in values.items()))
        return Recorded(self._acknowledged) if commit else DONE

    def log_metric(
        self, key: str, value: Any, timestamp: Any = None, labels: Mapping[str, str] | None = None, step: int | None = None
    ) -> Recorded:
        """Record a point of a series. Without a step it gets the one after the last of this key here.

        `timestamp` is a datetime, seconds since the epoch, or integer nanoseconds.
        """
        key = key_of(key)
        steps = self.memory.steps
        step = steps.get(key, 0) if step is None else step if type(step) is int and -(2**62) < step < 2**62 else step_of(step)
        steps[key] = step + 1
        event = MetricLogged(
            time=time.time_ns() if timestamp is None else time_of(timestamp),
            iteration=self._iteration,
            key=key,
            value=number_of(key, value),
            step=step,
            labels=texts_of(labels),
        )
        self.connection.recorder.record(self._stream, (event,))
        return DONE

    def log_metrics(
        self, keyvals: Mapping[str, Any], timestamp: Any = None, labels: Mapping[str, str] | None = None, step: int | None = None
    ) -> Recorded:
        """Record a point in each of several series."""
        if not isinstance(keyvals, Mapping):
            raise InvalidRequest(f"metrics must be a dict, not {type(keyvals).__name__}", field="keyvals")
        at, texts, steps = time_of(timestamp), texts_of(labels), self.memory.steps
        events = []
        for name, value in keyvals.items():
            key = key_of(name)
            where = steps.get(key, 0) if step is None else step_of(step)
            number = number_of(key, value)
            events.append(MetricLogged(time=at, iteration=self._iteration, key=key, value=number, step=where, labels=texts))
        steps.update({event.key: event.step + 1 for event in events})
        self.record(*events)
        return DONE

    def set_label(self, key: str, value: Any, replace: bool = True) -> Recorded:
        """Set a label, as text. Without `replace` an existing one that is not empty stays."""
        return self._set_text(self.memory.labels, LabelSet, key, value, replace)

    def set_annotation(self, key: str, value: Any, replace: bool = True) -> Recorded:
        """Set an annotation, as text. Without `replace` an existing one that is not empty stays."""
        return self._set_text(self.memory.annotations, AnnotationSet, key, value, replace)

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

    async def log_artifact(
        self,
        item: Any,
        body: Any = None,
        local_path: str | os.PathLike[str] | None = None,
        artifact_path: str | None = None,
        tag: str = "",
        viewer: str | None = None,
        target_path: str = "",
        src_path: str | os.PathLike[str] | None = None,
        upload: bool | None = None,
        labels: Mapping[str, str] | None = None,
        format: str | None = None,
        db_key: str | bool | None = None,
        **kwargs: Any,
    ) -> Artifact:
        """Keep bytes (`body`: text, bytes, an open binary file; or the file at `local_path`) as a new version of an artifact.

        `item` is its key, or an `Artifact`. `tag` names the version. With `target_path`, an absolute path or URL, or `upload=False`, only
        the place is recorded, no bytes are kept. `artifact_path` and `db_key` are kept beside it for those who look it up so.
        """
        source = local_path or src_path
        described = {"artifact_path": artifact_path, "db_key": db_key, "viewer": viewer, "format": format, "tag": tag, "labels": labels}

        def work() -> tuple[Artifact, ArtifactLogged]:
            return log(self.connection, item, body, source, target_path, upload, {**kwargs, **described})

        artifact, event = await anyio.to_thread.run_sync(work)
        self.memory.artifacts[artifact.key] = artifact
        self.record(msgspec.structs.replace(event, iteration=self._iteration))
        return artifact

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

    async def _acknowledged(self) -> bool:
        stored = await asyncio.wrap_future(self.connection.flush())
        recorder = self.connection.recorder
        if not stored and not recorder.complaints.open:
            recorder.complaints.say("commit", f"not acknowledged yet; events are kept in {recorder.directory} until they can be delivered")
        return stored

    def _set_text(self, known: dict[str, str], kind: Callable[..., AnyEvent], key: str, value: Any, replace: bool) -> Recorded:
        key = key_of(key)
        if replace or not known.get(key):
            known[key] = text_of(value)
            self.record(kind(time=time.time_ns(), iteration=self._iteration, key=key, value=known[key]))
        return DONE

    def record(self, *events: AnyEvent) -> None:
        """Record events in the run's stream."""
        if events:
            self.memory.updated_at = time.time_ns()
            self.connection.recorder.record(self._stream, events)
