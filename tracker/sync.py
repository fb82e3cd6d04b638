"""The tracker for code that waits: a facade of `tracker.aio` with the same names and signatures.

Methods that only record run in the caller's thread, as they do there, and never see a loop. The few that wait run in the portal's loop
while the caller's thread waits for their result.
"""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from tracker import context as aio
from tracker import opening
from tracker.connection import PROCESS
from tracker.recorded import DONE, Recorded
from tracker.sync_inputs import Inputs
from tracker.sync_known import Known
from tracker.sync_outputs import wait


class Context(Inputs, Known):
    """A run, or a child iteration of one. Made by `get_or_create_ctx`, `from_dict` and `get_child_context`; a context manager."""

    @classmethod
    def from_dict(
        cls,
        attrs: Mapping[str, Any],
        rundb: str | os.PathLike[str] = "",
        autocommit: bool = False,
        tmp: str | os.PathLike[str] = "",
        host: str | None = None,
        log_stream: TextIO | None = None,
        is_api: bool = False,
        store_run: bool = True,
    ) -> "Context":
        """The context of a run that is described by a dict of metadata, spec and status. Asks nobody, and waits for nothing.

        `rundb` says where to record (as TRACKER_URI does); `autocommit` has every call wait for the acknowledgement; `tmp` is a file that
        commit writes the run to, as JSON; `host` and `log_stream` are as set_hostname and set_logger_stream have them. With `is_api`
        somebody else works on the run: there is no attempt, no console, and it is not the ambient run. Without `store_run` nothing is
        recorded before `store_run()`, or the first thing said. Raises InvalidRequest.
        """
        return cls(aio.Context.from_dict(attrs, rundb, autocommit, tmp, host, log_stream, is_api, store_run))

    def get_param(self, key: str, default: Any = None) -> Any:
        """A parameter. A missing one is recorded with the default as its value."""
        known = len(self._context.memory.parameters)
        value = self._context.get_param(key, default)
        if len(self._context.memory.parameters) > known:
            _done(self._context.reply)
        return value

    def log_result(self, key: str, value: Any, commit: bool = False) -> None:
        """Record a result; the last value of a key counts."""
        _done(self._context.log_result(key, value, commit))

    def log_results(self, results: Mapping[str, Any], commit: bool = False) -> None:
        """Record several results at once."""
        _done(self._context.log_results(results, commit))

    def log_metric(
        self, key: str, value: Any, timestamp: Any = None, labels: Mapping[str, str] | None = None, step: int | None = None
    ) -> None:
        """Record a point of a series. Without a step it gets the one after the last of this key here.

        `timestamp` is a datetime, seconds since the epoch, or integer nanoseconds.
        """
        recorded = self._context.log_metric(key, value, timestamp, labels, step)
        if recorded is not DONE:  # the one call that comes by the million spares another
            _done(recorded)

    def log_metrics(
        self, keyvals: Mapping[str, Any], timestamp: Any = None, labels: Mapping[str, str] | None = None, step: int | None = None
    ) -> None:
        """Record a point in each of several series."""
        _done(self._context.log_metrics(keyvals, timestamp, labels, step))

    def set_label(self, key: str, value: Any, replace: bool = True) -> None:
        """Set a label, as text. Without `replace` an existing one that is not empty stays."""
        _done(self._context.set_label(key, value, replace))

    def set_annotation(self, key: str, value: Any, replace: bool = True) -> None:
        """Set an annotation, as text. Without `replace` an existing one that is not empty stays."""
        _done(self._context.set_annotation(key, value, replace))

    def set_hostname(self, host: str) -> None:
        """Say on which host the run works, instead of the one this process is on."""
        _done(self._context.set_hostname(host))

    def set_state(self, execution_state: str | None = None, error: str | None = None, commit: bool = True) -> None:
        """Go to a state, or with `error` to the state error. An error is not undone by another state."""
        _done(self._context.set_state(execution_state, error, commit))

    def get_child_context(self, with_parent_params: bool = False, **params: Any) -> "Context":
        """A child iteration with parameters of its own, numbered after the last one; also a context manager."""
        child = self._context.get_child_context(with_parent_params, **params)
        _done(child.reply)
        return Context(child)

    def mark_as_best(self) -> None:
        """Name this child the best of the run: its results and artifacts so far become the run's, too."""
        _done(self._context.mark_as_best())

    def update_child_iterations(self, best_run: int = 0, commit_children: bool = False, completed: bool = True) -> None:
        """Mark a child (by its number) as the best, and those that still run as completed."""
        _done(self._context.update_child_iterations(best_run, commit_children, completed))

    def log_iteration_results(self, best: int, summary: list[Any] | None, task: Mapping[str, Any] | None, commit: bool = False) -> None:
        """Mark iteration `best` (0 = none), and keep the table of all of them: `summary` is a header and a row for each.

        `task` is the best iteration as a dict, when it worked elsewhere and has told nothing here yet. The table is logged as the artifact
        `iteration_results`.
        """
        wait(self._context.log_iteration_results(best, summary, task, commit))

    def store_run(self) -> None:
        """Have the run stand at the target with all that is known of it, and wait for the acknowledgement.

        A context made with `store_run=False` is recorded from here on; any other one is recorded already.
        """
        wait(self._context.store_run().done())

    def commit(self, message: str = "", completed: bool = False) -> bool:
        """Declare the run good so far, with a message, or `completed`; then wait until all that was recorded is stored at the target.
        False when the target does not answer in ten seconds (at once, when it is known to be away): the journal has it all."""
        return wait(self._context.commit(message, completed))

    def __repr__(self) -> str:
        return repr(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._context.end(error)


def _done(recorded: Recorded) -> None:
    if recorded is not DONE:
        wait(recorded.done())


def get_or_create_ctx(
    name: str = "",
    spec: Any = None,
    with_env: bool = True,
    rundb: str | os.PathLike[str] = "",
    project: str = "",
    *,
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
    and annotations that it has otherwise are set. A run that was prepared for this process (TRACKER_EXEC_CONFIG, unless `with_env` is
    off), or for the handler that asks, is meant under any name and project. `spec` is a new run: a dict, task or run object. With `uid`, a
    run that exists goes on: a new attempt at it, with what it had (for which the target is asked once, for ten seconds at most).
    `uri` (or `rundb`) says where to record: a directory or http://host:port; default TRACKER_URI, or ./tracker-data. `capture` records the
    console. `parent` is the uid of the run this one is nested in.
    Use it in a `with` block, which completes the run. Raises InvalidRequest for names that are not allowed.
    """
    context = opening.get_or_create_ctx(
        name,
        spec,
        with_env,
        rundb,
        project,
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
