"""What a context knows of its run, without asking anybody: everything that was recorded here, as properties and as plain values."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import msgspec

from projections.runs import RUNNING, TERMINAL
from tracker.artifact import Artifact
from tracker.wire import encode_json


class Memory(msgspec.Struct, kw_only=True):
    """What a context knows of its run or iteration."""

    state: str = RUNNING
    error: str = ""
    parameters: dict[str, Any] = {}
    results: dict[str, Any] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    inputs: dict[str, str] = {}
    artifacts: dict[str, Artifact] = {}
    host: str = ""
    in_path: str = ""  # where inputs with relative paths are
    out_path: str = ""  # where artifacts go, "" = the tracker's own store
    spec: dict[str, Any] = {}  # what else the run was prepared with, as its `run.created` has it
    steps: dict[str, int] = {}  # the next step of each metric that is logged without one
    started_at: int = 0
    updated_at: int = 0


class Known:
    """The names and the memory of a run, or of a child iteration."""

    kind = "run"

    def __init__(self, project: str, uid: str, name: str, iteration: int, memory: Memory) -> None:
        self._project, self._uid, self._name, self._iteration = project, uid, name, iteration
        self.memory = memory
        self.children: Sequence[Known] = []

    @property
    def uid(self) -> str:
        """The run's id; a child's is followed by its number."""
        return f"{self._uid}-{self._iteration}" if self._iteration else self._uid

    @property
    def tag(self) -> str:
        """The run's tag: the id of its workflow, if a label names one, or the run's id."""
        return self.memory.labels.get("workflow", self._uid)

    @property
    def name(self) -> str:
        """The run's name."""
        return self._name

    @property
    def project(self) -> str:
        """The run's project."""
        return self._project

    @property
    def iteration(self) -> int:
        """0 for the run itself, 1.. for its children."""
        return self._iteration

    @property
    def state(self) -> str:
        """created, running, completed, error, aborted, or what `set_state` said."""
        return self.memory.state

    @property
    def parameters(self) -> dict[str, Any]:
        """A copy of the parameters."""
        return deepcopy(self.memory.parameters)

    @property
    def results(self) -> dict[str, Any]:
        """A copy of the results."""
        return deepcopy(self.memory.results)

    @property
    def labels(self) -> dict[str, str]:
        """A copy of the labels."""
        return dict(self.memory.labels)

    @property
    def annotations(self) -> dict[str, str]:
        """A copy of the annotations."""
        return dict(self.memory.annotations)

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """A copy of the dict of artifacts logged here, by key."""
        return dict(self.memory.artifacts)

    @property
    def alive(self) -> bool:
        """Whether the run has not ended here."""
        return self.memory.state not in TERMINAL

    def answers_to(self, name: str, project: str, uid: str) -> bool:
        """Whether these are its names; an empty one is anybody's."""
        return name in ("", self._name) and project in ("", self._project) and uid in ("", self._uid)

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values: kind, metadata, spec and status."""
        return _shape(self)

    def to_json(self) -> str:
        """`to_dict` as JSON; NaN and infinities are the texts "NaN", "Infinity" and "-Infinity"."""
        return encode_json(self.to_dict()).decode()

    def to_yaml(self) -> str:
        """`to_dict` as YAML. Needs PyYAML: pip install 'run-tracker[yaml]'."""
        import yaml

        return str(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))


def _shape(context: Known) -> dict[str, Any]:
    """kind, metadata, spec and status of a run or iteration."""
    memory = context.memory
    status: dict[str, Any] = {
        "state": memory.state,
        "results": context.results,
        "artifacts": {key: msgspec.to_builtins(artifact) for key, artifact in memory.artifacts.items()},
        "start_time": _spelled(memory.started_at),
        "last_update": _spelled(memory.updated_at),
    }
    if memory.error:
        status["error"] = memory.error
    if children := context.children:
        status["iterations"] = [
            {"iteration": child.iteration, "state": child.state, "parameters": child.parameters, "results": child.results}
            for child in children
        ]
    return {
        "kind": context.kind,
        "metadata": {
            "name": context.name,
            "uid": context.uid.removesuffix(f"-{context.iteration}") if context.iteration else context.uid,
            "iteration": context.iteration,
            "project": context.project,
            "labels": context.labels,
            "annotations": context.annotations,
        },
        "spec": {"parameters": context.parameters, "inputs": dict(memory.inputs)},
        "status": status,
    }


def _spelled(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat() if nanoseconds else ""
