"""What a run object knows by itself: the run as its target last told it, without asking again. Pure; both run objects stand on it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from projections.runs import ABORTED, ERROR, LOST, TERMINAL
from tracker.connection import PROCESS, Connection
from tracker.errors import InvalidRequest
from tracker.model.fields import ModelObj
from tracker.model.run import RunMetadata, RunSpec, RunStatus
from tracker.model.template import RunTemplate
from tracker.names import check_name

ENDED = TERMINAL | {LOST}  # nobody works on it any more; a lost run may still come back
_BAD = (ERROR, ABORTED, LOST)


class RunRecord(RunTemplate):
    """Metadata, spec and status of a run. `connection` is where it is recorded; None means the target of this process."""

    kind = "run"
    struct_fields: ClassVar[dict[str, type[ModelObj]]] = {**RunTemplate.struct_fields, "status": RunStatus}
    strip_fields: ClassVar[tuple[str, ...]] = ("status",)
    status: RunStatus

    def __init__(self, spec: RunSpec | None = None, metadata: RunMetadata | None = None, status: RunStatus | None = None) -> None:
        super().__init__(spec, metadata)
        self.status = status if status is not None else RunStatus()
        self.connection: Connection | None = None
        self.outputs_wait_for_completion = True  # whether `outputs`, `output` and `artifact` wait for the end of the run

    @classmethod
    def from_template(cls, template: RunTemplate) -> "RunRecord":
        """A run of a task, which has not begun."""
        return cls(template.spec.copy(), template.metadata.copy())

    def __deepcopy__(self, memo: dict[int, Any]) -> "RunRecord":
        twin = type(self)(self.spec.copy(), self.metadata.copy(), self.status.copy())
        twin.connection, twin.outputs_wait_for_completion = self.connection, self.outputs_wait_for_completion
        return twin

    def uid(self) -> str:
        """The run's id, "" before it has begun."""
        return self.metadata.uid

    @property
    def error(self) -> str:
        """Why the run failed, as far as it is known here; "" when it did not."""
        status = self.status
        if status.state not in _BAD:
            return ""
        return status.error or status.status_text or status.reason or f"the run ended as {status.state}, and nobody said why"

    @property
    def ui_url(self) -> str:
        """The run's address at the server it is recorded to, "" when that is a directory or the run has not begun."""
        target = self.where().target
        if self.status.ui_url or target.kind != "http" or not self.uid():
            return self.status.ui_url
        return target.uri + self.path()

    def to_json(self, exclude: Sequence[str] | None = None, **kwargs: Any) -> str:
        """The run as JSON, without the fields in `exclude`; `strip=True` leaves out what does not define it: its status and its uid."""
        return super().to_json(exclude, **kwargs)

    def where(self) -> Connection:
        """Where the run is recorded."""
        return self.connection or PROCESS.connection()

    def path(self, part: str = "") -> str:
        """The run's path in the native API. Raises InvalidRequest for a run that has not begun."""
        if not self.metadata.uid:
            raise InvalidRequest("this run has not begun: it has no uid", field="uid")
        project = check_name(self.metadata.project or "default", "project")
        return f"/v1/projects/{quote(project)}/runs/{quote(check_name(self.metadata.uid, 'uid'))}{part}"

    def outputs_now(self) -> dict[str, Any]:
        """Results, and the names of artifacts (store://...), by key, as far as they are known here."""
        return {**self.status.results, **{key: uri for key, uri in map(self._named, self.status.artifacts) if uri}}

    def artifact_now(self, key: str) -> str | None:
        """The name of an artifact, None when there is none of this key."""
        return dict(map(self._named, self.status.artifacts)).get(key)

    def _named(self, view: Mapping[str, Any]) -> tuple[str, str]:
        from tracker.artifacts.view import from_view

        given = {"project": self.metadata.project, "uid": self.metadata.uid, "iteration": self.metadata.iteration, **view}
        artifact = from_view(given)
        return artifact.key, artifact.uri or artifact.target_path

    def _repr_html_(self) -> str:
        from tracker.model.showing import as_html

        return as_html(self)
