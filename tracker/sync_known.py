"""What a context knows of its run, for code that waits: the same properties, never asking anybody."""

from typing import Any, TextIO

from tracker import context as aio
from tracker.run_logger import RunLogger


class Known:
    """The names and the memory of a run, or of a child iteration."""

    kind = "run"
    _context: aio.Context

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
        """Whether what is printed is recorded as the console of this run."""
        return self._context.captured

    @property
    def alive(self) -> bool:
        """Whether the run has not ended here."""
        return self._context.alive

    @property
    def in_path(self) -> str:
        """Where inputs with relative paths are; "" is the working directory."""
        return self._context.in_path

    @property
    def out_path(self) -> str:
        """Where artifacts go; the artifacts of the project in the tracker's own store, when nothing else was said."""
        return self._context.out_path

    def artifact_subpath(self, *subpaths: str) -> str:
        """A place below `out_path`. Raises InvalidRequest for what would lead out of it."""
        return self._context.artifact_subpath(*subpaths)

    def get_meta(self) -> dict[str, str]:
        """Who makes the artifacts of this run or iteration: its name, kind, uri (project/uid), owner, and workflow if a label names one."""
        return self._context.get_meta()

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values: kind, metadata, spec and status. Values of secrets are masked."""
        return self._context.to_dict()

    def to_json(self) -> str:
        """`to_dict` as JSON; NaN and infinities are the texts "NaN", "Infinity" and "-Infinity"."""
        return self._context.to_json()

    def to_yaml(self) -> str:
        """`to_dict` as YAML. Needs PyYAML: pip install 'run-tracker[yaml]'."""
        return self._context.to_yaml()
