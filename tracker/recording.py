"""What a context records of its run: parameters, results, metrics, labels, annotations.

Every method puts its event into the journal in the caller's thread and returns what is ready to be awaited; the memory that the properties
show changes with it. Values of secrets that the run holds are masked before anything is written.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from msgspec.structs import replace

from events.codec import AnyEvent
from events.types import AnnotationSet, ArtifactLogged, ArtifactUpdated, HostSet, LabelSet, MetricLogged, ParameterSet, ResultLogged
from tracker.connection import Connection
from tracker.errors import InvalidRequest
from tracker.known import Known, Memory
from tracker.names import check_key
from tracker.recorded import DONE, Recorded
from tracker.secrets.store import SecretsStore
from tracker.values import key_of, number_of, plain, plain_dict, step_of, text_of, texts_of, time_of


class Recording(Known):
    """The part of a context that records plain values."""

    def __init__(self, connection: Connection, project: str, uid: str, name: str, iteration: int, memory: Memory) -> None:
        super().__init__(project, uid, name, iteration, memory)
        self.connection = connection
        self.secrets = SecretsStore()
        self._say = connection.recorder.record
        self._stream = f"run/{project}/{uid}".encode()
        self._pid = os.getpid()
        self._first: Callable[[], None] | None = None  # records what has to come before anything else, once
        self._reply = DONE  # of recording methods; waits for the acknowledgement, when each call is to be committed

    def get_param(self, key: str, default: Any = None) -> Any:
        """A parameter. A missing one is recorded with the default as its value."""
        key = key_of(key)
        if key not in self.memory.parameters:
            value = plain(default)
            self.memory.parameters[key] = value
            self.record(ParameterSet(time=time.time_ns(), iteration=self._iteration, key=key, value=value))
        return deepcopy(self.memory.parameters[key])

    def log_result(self, key: str, value: Any, commit: bool = False) -> Recorded:
        """Record a result; the last value of a key counts."""
        return self.log_results({key_of(key): value}, commit)

    def log_results(self, results: Mapping[str, Any], commit: bool = False) -> Recorded:
        """Record several results at once."""
        values = plain_dict(results, "results")
        self.memory.results.update(values)
        now = time.time_ns()
        self.record(*(ResultLogged(time=now, iteration=self._iteration, key=key, value=value) for key, value in values.items()))
        return Recorded(self._acknowledged) if commit else self._reply

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
            labels=texts_of(labels) if labels else {},
        )
        if labels or self.secrets.masking or self._first is not None:  # texts may hold what must not be written
            self.record(event)
        else:
            self._say(self._stream, (event,))
        return self._reply

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
        return self._reply

    def set_label(self, key: str, value: Any, replace: bool = True) -> Recorded:
        """Set a label, as text. Without `replace` an existing one that is not empty stays."""
        return self._set_text(self.memory.labels, LabelSet, key, value, replace)

    def set_annotation(self, key: str, value: Any, replace: bool = True) -> Recorded:
        """Set an annotation, as text. Without `replace` an existing one that is not empty stays."""
        return self._set_text(self.memory.annotations, AnnotationSet, key, value, replace)

    def set_hostname(self, host: str) -> Recorded:
        """Say on which host the run works, instead of the one this process is on."""
        self.memory.host = check_key(str(host or ""), "host")
        self.record(HostSet(time=time.time_ns(), iteration=self._iteration, host=self.memory.host))
        return self._reply

    @property
    def reply(self) -> Recorded:
        """What calls give back that record: awaited, it waits for the acknowledgement when each call is to be committed."""
        return self._reply

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
        return self._reply

    def _begin_first(self) -> None:
        if self._first is not None:
            self._first()

    def record(self, *events: AnyEvent) -> None:
        """Record events in the run's stream, without the values of secrets."""
        if events:
            self._begin_first()
            if self.secrets.masking:
                events = tuple(map(self.secrets.clean, events))
            for event in events:
                if isinstance(event, ArtifactLogged):
                    self.memory.logged[event.key] = event
                elif isinstance(event, ArtifactUpdated) and event.key in self.memory.logged:
                    said = {name: getattr(event, name) for name in ("format", "viewer", "labels", "spec")}
                    changes = {name: value for name, value in said.items() if value is not None}
                    self.memory.logged[event.key] = replace(self.memory.logged[event.key], **changes)
            self.memory.updated_at = time.time_ns()
            self._say(self._stream, events)
