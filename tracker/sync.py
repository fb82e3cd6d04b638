"""The tracker for code that waits: a facade of `tracker.aio` with the same names and signatures.

Methods that only record run in the caller's thread, as they do there, and never see a loop. The few that wait run in the portal's loop
while the caller's thread waits for their result.
"""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from tracker import opening
from tracker.artifact import Artifact
from tracker.connection import PROCESS
from tracker.recorded import Recorded
from tracker.run_logger import RunLogger
from tracker.sync_inputs import Inputs
from tracker.sync_outputs import wait


class Context(Inputs):
    """A run, or a child iteration of one. Made by `get_or_create_ctx` and `get_child_context`; a context manager."""

    kind = "run"

    @property
    def uid(self) -> str:
        """The run's id; a child's is followed by its number."""
        return self._context.uid

    @property
    def tag(self) -> str:
        """The run's tag: the id of its workflow, if a label names one, or the run's id."""
        return self._context.tag

    @property
    def name(self) -> str:
        """The run's name."""
        return self._context.name

    @property
    def project(self) -> str:
        """The run's project."""
        return self._context.project

    @property
    def iteration(self) -> int:
        """0 for the run itself, 1.. for its children."""
        return self._context.iteration

    @property
    def state(self) -> str:
        """created, running, completed, error, aborted, or what `set_state` said."""
        return self._context.state

    @property
    def parameters(self) -> dict[str, Any]:
        """A copy of the parameters."""
        return self._context.parameters

    @property
    def results(self) -> dict[str, Any]:
        """A copy of the results."""
        return self._context.results

    @property
    def labels(self) -> dict[str, str]:
        """A copy of the labels."""
        return self._context.labels

    @property
    def annotations(self) -> dict[str, str]:
        """A copy of the annotations."""
        return self._context.annotations

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """A copy of the dict of artifacts logged here, by key."""
        return self._context.artifacts

    @property
    def logger(self) -> RunLogger:
        """Writes lines for people into the run's console: `logger.info("text", key=value)`."""
        return self._context.logger

    @property
    def log_level(self) -> str:
        """The least level the logger writes: debug, info, warning, error or critical."""
        return self._context.log_level

    @log_level.setter
    def log_level(self, level: str) -> None:
        self._context.log_level = level

    def set_logger_stream(self, stream: TextIO | None) -> None:
        """Have the logger write to this text stream instead of stderr, and into the run's console; None is stderr again."""
        self._context.set_logger_stream(stream)

    @property
    def captured(self) -> bool:
        """Whether what the process prints is recorded as the console of this run."""
        return self._context.captured

    @property
    def alive(self) -> bool:
        """Whether the run has not ended here."""
        return self._context.alive

    def get_param(self, key: str, default: Any = None) -> Any:
        """A parameter. A missing one is recorded with the default as its value."""
        return self._context.get_param(key, default)

    def log_result(self, key: str, value: Any, commit: bool = False) -> None:
        """Record a result; the last value of a key counts."""
        _committed(self._context.log_result(key, value, commit), commit)

    def log_results(self, results: Mapping[str, Any], commit: bool = False) -> None:
        """Record several results at once."""
        _committed(self._context.log_results(results, commit), commit)

    def log_metric(
        self, key: str, value: Any, timestamp: Any = None, labels: Mapping[str, str] | None = None, step: int | None = None
    ) -> None:
        """Record a point of a series. Without a step it gets the one after the last of this key here.

        `timestamp` is a datetime, seconds since the epoch, or integer nanoseconds.
        """
        self._context.log_metric(key, value, timestamp, labels, step)

    def log_metrics(
        self, keyvals: Mapping[str, Any], timestamp: Any = None, labels: Mapping[str, str] | None = None, step: int | None = None
    ) -> None:
        """Record a point in each of several series."""
        self._context.log_metrics(keyvals, timestamp, labels, step)

    def set_label(self, key: str, value: Any, replace: bool = True) -> None:
        """Set a label, as text. Without `replace` an existing one that is not empty stays."""
        self._context.set_label(key, value, replace)

    def set_annotation(self, key: str, value: Any, replace: bool = True) -> None:
        """Set an annotation, as text. Without `replace` an existing one that is not empty stays."""
        self._context.set_annotation(key, value, replace)

    def set_hostname(self, host: str) -> None:
        """Say on which host the run works, instead of the one this process is on."""
        self._context.set_hostname(host)

    def set_state(self, execution_state: str | None = None, error: str | None = None, commit: bool = True) -> None:
        """Go to a state, or with `error` to the state error. An error is not undone by another state."""
        _committed(self._context.set_state(execution_state, error, commit), commit)

    def get_child_context(self, with_parent_params: bool = False, **params: Any) -> "Context":
        """A child iteration with parameters of its own, numbered after the last one; also a context manager."""
        return Context(self._context.get_child_context(with_parent_params, **params))

    def mark_as_best(self) -> None:
        """Name this child the best of the run: its results and artifacts so far become the run's, too."""
        self._context.mark_as_best()

    def update_child_iterations(self, best_run: int = 0, commit_children: bool = False, completed: bool = True) -> None:
        """Mark a child (by its number) as the best, and those that still run as completed."""
        _committed(self._context.update_child_iterations(best_run, commit_children, completed), commit_children)

    def commit(self, message: str = "", completed: bool = False) -> bool:
        """Declare the run good so far, with a message, or `completed`; then wait until all that was recorded is stored at the target.
        False when the target does not answer in ten seconds (at once, when it is known to be away): the journal has it all."""
        return wait(self._context.commit(message, completed))

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values: kind, metadata, spec and status."""
        return self._context.to_dict()

    def to_json(self) -> str:
        """`to_dict` as JSON; NaN and infinities are the texts "NaN", "Infinity" and "-Infinity"."""
        return self._context.to_json()

    def to_yaml(self) -> str:
        """`to_dict` as YAML. Needs PyYAML: pip install 'run-tracker[yaml]'."""
        return self._context.to_yaml()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._context.end(error)


def _committed(recorded: Recorded, commit: bool) -> None:
    if commit:
        wait(recorded.done())


def get_or_create_ctx(
    name: str = "",
    *,
    project: str = "",
    uid: str = "",
    parameters: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    uri: str | os.PathLike[str] = "",
    parent: str = "",
    capture: bool = False,
) -> Context:
    """The context of the run that the calling code works on; a new run, when it works on none.

    The ambient run is meant when it has this name (or none is given), and no other project, uid or uri is asked for; parameters, labels
    and annotations that it has otherwise are set. With `uid`, a run that
    exists goes on: a new attempt at it, with what it had (for which the target is asked once, for ten seconds at most).
    `uri` says where to record: a directory or http://host:port; default TRACKER_URI, or ./tracker-data. `capture` records the console.
    Use it in a `with` block, which completes the run. Raises InvalidRequest for names that are not allowed.
    """
    context = opening.get_or_create_ctx(
        name,
        project=project,
        uid=uid,
        parameters=parameters,
        labels=labels,
        annotations=annotations,
        uri=uri,
        parent=parent,
        capture=capture,
    )
    return Context(context.resumed(wait))


def flush(timeout: float = 10.0) -> bool:
    """Wait until all that this process recorded is stored at its targets; False when that takes longer than `timeout` seconds."""
    return PROCESS.flush(timeout)
