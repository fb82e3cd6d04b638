"""Child iterations: numbered by the run's own context, recorded in the run's stream, one of them the best.

A child may work in another process: its run numbers it here (`get_child_context`), the worker records everything itself under that
number, and what it has to say in the end is taken into memory here (`absorb`), not recorded again. The mark of the best is: it brings the
child's results and artifacts to the run, whether or not the worker's own events have arrived.
"""

import time
from abc import abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from operator import index
from types import NoneType
from typing import Any, Self, SupportsIndex

import msgspec

from events.codec import AnyEvent
from events.types import ArtifactLogged, BestIterationMarked, IterationStarted, ResultLogged
from tracker.connection import Connection
from tracker.errors import InvalidRequest
from tracker.known import Memory
from tracker.lifetime import Lifetime
from tracker.numbering import Numbering
from tracker.recorded import Recorded
from tracker.values import plain_dict


class Children(Lifetime):
    """The part of a context that has, or is, a child iteration."""

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
        super().__init__(connection, project, uid, name, iteration, memory, parent=parent, remote=remote)
        self.children: list[Self] = []
        self._numbering: Numbering = parent._numbering if parent else Numbering()
        self._absorbed = False

    def get_child_context(self, with_parent_params: bool = False, **params: Any) -> Self:
        """A child iteration with parameters of its own, numbered after the last one; also a context manager."""
        if self._iteration:
            raise InvalidRequest("a child iteration has no children: ask the run's own context", field="iteration")
        base = self.memory.parameters if with_parent_params else {}
        self._begin_first()
        memory = Memory(
            parameters={**deepcopy(base), **plain_dict(params, "params")},
            labels=dict(self.memory.labels),
            inputs=dict(self.memory.inputs),
            in_path=self.memory.in_path,
            out_path=self.memory.out_path,
            spec=self.memory.spec,
            started_at=time.time_ns(),
        )
        child = self._child(memory, self._numbering.take())
        self.children.append(child)
        child.record(
            IterationStarted(time=memory.started_at, iteration=child.iteration, parameters=memory.parameters, labels=memory.labels)
        )
        return child

    @abstractmethod
    def _child(self, memory: Memory, number: int) -> Self:
        """A context for this iteration, of which nothing is recorded."""

    def absorb(self, status: Mapping[str, Any]) -> None:
        """Take what this iteration came to in another process (the status of its `to_dict`) into memory; nothing is recorded."""
        from tracker.artifacts.view import from_view

        memory = self.memory
        self._absorbed = True
        memory.results.update(plain_dict(status.get("results"), "results"))
        for view in (status.get("artifacts") or {}).values():
            event = msgspec.convert(
                {**view, "type": "artifact.logged", "time": time.time_ns(), "iteration": self._iteration}, ArtifactLogged
            )
            memory.logged[event.key] = event
            own = {"project": self._project, "uid": self._uid, "iteration": self._iteration}
            self._remember(from_view({**view, **own}))
        memory.host = str(status.get("host") or memory.host)
        memory.updated_at = time.time_ns()
        state, error = str(status.get("state") or memory.state), str(status.get("error") or "")
        if (state, error) != (memory.state, memory.error):
            memory.state, memory.error = state, error
            self.tell(state, error)

    def mark_as_best(self) -> Recorded:
        """Name this child the best of the run: its results and artifacts so far become the run's, too."""
        if self._parent is None:
            raise InvalidRequest("only a child iteration can be the best: see get_child_context", field="iteration")
        self._parent._choose(self._iteration, self.memory, explicit=self._absorbed)
        return self._reply

    def _choose(self, number: int, best: Memory, *, explicit: bool) -> None:
        """Iteration `number`, which came to this, is the best. Its results are recorded here, too, if its own may come later."""
        now, memory = time.time_ns(), self.memory
        results = deepcopy(best.results)
        events: list[AnyEvent] = [BestIterationMarked(time=now, iteration=number)]
        if explicit:
            events += [ResultLogged(time=now, key=key, value=value) for key, value in results.items()]
            events.append(ResultLogged(time=now, key="best_iteration", value=number))
        for event in best.logged.values():
            events.append(msgspec.structs.replace(event, time=now, iteration=0, spec={**event.spec, "link_iteration": number}))
        self.record(*events)
        memory.results.update(results)
        memory.results["best_iteration"] = number
        memory.artifacts.update(best.artifacts)

    def update_child_iterations(self, best_run: int = 0, commit_children: bool = False, completed: bool = True) -> Recorded:
        """Mark a child (by its number) as the best, and those that still run as completed."""
        if best_run:
            chosen = [child for child in self.children if child.iteration == best_run]
            if not chosen:
                raise InvalidRequest(f"iteration {best_run} is none of the {len(self.children)} started here", field="best_run")
            chosen[0].mark_as_best()
        if completed:
            for child in self.children:
                child._complete()
        return Recorded(self._acknowledged) if commit_children else self._reply

    async def log_iteration_results(
        self, best: int, summary: list[Any] | None, task: Mapping[str, Any] | None, commit: bool = False
    ) -> None:
        """Mark iteration `best` (0 = none), and keep the table of all of them: `summary` is a header and a row for each.

        `task` is the best iteration as a dict, when it worked elsewhere and has told nothing here yet. The table is logged as the artifact
        `iteration_results`.
        """
        if not isinstance(best, SupportsIndex):
            raise InvalidRequest(f"best is the number of an iteration, 0 for none, not {best!r}", field="best")
        if not isinstance(task, Mapping | NoneType):
            raise InvalidRequest(f"task is the best iteration as a dict, not {type(task).__name__}", field="task")
        if not isinstance(summary, list | tuple | NoneType):
            raise InvalidRequest(f"summary is a list of a header and rows, not {type(summary).__name__}", field="summary")
        if best:
            self._mark(index(best), task)
        if summary is not None:
            await self._log_table(summary)
        if commit:
            await self._acknowledged()

    def _mark(self, best: int, task: Mapping[str, Any] | None) -> None:
        status = (task or {}).get("status") or {}
        for child in self.children:
            if child.iteration == best:
                if status and child.alive:  # its state is for whoever works on it to say
                    child.absorb({name: status.get(name) for name in ("results", "artifacts")})
                child.mark_as_best()
                return
        if not status or best < 0:
            raise InvalidRequest(
                f"iteration {best!r} is none of the {len(self.children)} started here, and no task tells of it", field="best"
            )
        elsewhere = self._child(Memory(), best)
        elsewhere.absorb(status)
        elsewhere.mark_as_best()

    async def _log_table(self, summary: list[Any]) -> None:
        width = len(summary[0]) if summary and isinstance(summary[0], list | tuple) else 0
        for number, row in enumerate(summary):
            if not isinstance(row, list | tuple) or len(row) != width:
                raise InvalidRequest(f"summary is a header and rows of as many values; row {number} is not", field="summary")
        self.memory.table = [list(row) for row in summary]
        from tracker.artifacts.table import TableArtifact

        if summary:
            await self.log_artifact(
                TableArtifact("iteration_results", body=self.memory.table[1:], header=self.memory.table[0], viewer="table")
            )
