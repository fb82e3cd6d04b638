"""What a context knows of its run, without asking anybody: everything that was recorded here, as properties and as plain values."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import msgspec

from events.types import ArtifactLogged
from projections.runs import RUNNING, TERMINAL
from tracker.artifacts.artifact import Artifact
from tracker.errors import InvalidRequest, NotFound
from tracker.facts import user
from tracker.names import check_artifact_key
from tracker.shape import shape_of
from tracker.values import key_of
from tracker.wire import encode_json


class Memory(msgspec.Struct, kw_only=True):
    """What a context knows of its run or iteration."""

    state: str = RUNNING
    found: str = ""  # the state in which this process found a run that it goes on with
    error: str = ""
    parameters: dict[str, Any] = {}
    results: dict[str, Any] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    inputs: dict[str, str] = {}
    artifacts: dict[str, Artifact] = {}
    logged: dict[str, ArtifactLogged] = {}  # what was recorded of each of them last
    message: str = ""  # of the last commit
    table: list[list[Any]] = []  # of iterations, as log_iteration_results got it
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
    prepared = False  # by somebody else, for whatever code asks for a context

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

    @property
    def in_path(self) -> str:
        """Where inputs with relative paths are; "" is the working directory."""
        return self.memory.in_path

    @property
    def out_path(self) -> str:
        """Where artifacts go; the artifacts of the project in the tracker's own store, when nothing else was said."""
        return self.memory.out_path or f"store://artifacts/{self._project}"

    def artifact_subpath(self, *subpaths: str) -> str:
        """A place below `out_path`. Raises InvalidRequest for what would lead out of it."""
        if None in subpaths:
            raise InvalidRequest("subpaths are texts, not None", field="subpaths")
        parts = [str(part).strip("/") for part in subpaths]
        for part in filter(None, parts):
            check_artifact_key(part, "subpaths")
        return "/".join([self.out_path.rstrip("/"), *filter(None, parts)])

    def get_meta(self) -> dict[str, str]:
        """Who makes the artifacts of this run or iteration: its name, kind, uri (project/uid), owner, and workflow if a label names one."""
        meta = {
            "name": self._name,
            "kind": self.kind,
            "uri": f"{self._project}/{self.uid}",
            "owner": self.memory.labels.get("owner") or user(),
        }
        if workflow := self.memory.labels.get("workflow"):
            meta["workflow"] = workflow
        return meta

    def get_cached_artifact(self, key: str) -> Artifact:
        """An artifact that was logged here, as it is remembered here. Raises NotFound."""
        key = key_of(key)
        if key not in self.memory.artifacts:
            logged = ", ".join(sorted(self.memory.artifacts)[:20]) or "none"
            raise NotFound(f"no artifact {key!r} was logged here; logged: {logged}", key=key)
        return self.memory.artifacts[key]

    def answers_to(self, name: str, project: str, uid: str) -> bool:
        """Whether these are its names; an empty one is anybody's. A prepared run is the one its code was started for, whatever it is
        called there: it answers to any name and project, so that a script runs by itself and as a task."""
        return uid in ("", self._uid) and (self.prepared or (name in ("", self._name) and project in ("", self._project)))

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values: kind, metadata, spec and status."""
        return shape_of(self)

    def to_json(self) -> str:
        """`to_dict` as JSON; NaN and infinities are the texts "NaN", "Infinity" and "-Infinity"."""
        return encode_json(self.to_dict()).decode()

    def to_yaml(self) -> str:
        """`to_dict` as YAML. Needs PyYAML: pip install 'run-tracker[yaml]'."""
        import yaml

        return str(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))
