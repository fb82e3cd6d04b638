"""Projects: one row each. A project exists from the first event of it or of one of its runs; how many runs it has is in `run_counts`."""

from typing import Any

import msgspec

from events.codec import AnyEvent
from events.record import Batch
from events.types import ProjectCreated, ProjectDeleted, ProjectRestored, ProjectUpdated
from projections.base import Rows, Table
from projections.values import fit


class ProjectRow(msgspec.Struct, kw_only=True):
    """A project as it stands. `id` is the offset of the event that first spoke of it."""

    id: int
    name: str
    description: str = ""
    owner: str = ""
    created_at: int = 0
    updated_at: int = 0  # when anything was last recorded in it, by the log's clock
    offset: int = 0  # of the last event that touched it
    deleted: int = 0  # time of deletion, 0 = alive
    declared: int = 0  # 1 when somebody created it, 0 when only its runs imply it
    labels: dict[str, str] = {}
    parameters: dict[str, Any] = {}


PROJECTS = Table("projects", ProjectRow, key=("name",), indexes=(("deleted", "name"),), rowid="id")


class Projects:
    """The projection of projects."""

    name = "projects"
    version = 1
    tables = (PROJECTS,)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """See Projection."""
        kind, _, subject = batch.stream.partition("/")
        name = subject.partition("/")[0]
        if kind not in {"run", "project"} or not name:
            return
        row = rows.get(PROJECTS, name)
        if row is None:
            row = ProjectRow(id=batch.offset, name=name, created_at=fit(batch.events[0].time))
        if kind == "project":
            for event in batch.events:
                _change(row, event)
        row.offset, row.updated_at = batch.last, batch.recorded_at
        rows.put(PROJECTS, row)


def _change(row: ProjectRow, event: AnyEvent) -> None:
    match event:
        case ProjectCreated():
            row.declared = 1
            row.description, row.owner = event.description or row.description, event.owner or row.owner
            row.labels |= event.labels
            row.parameters |= event.parameters
        case ProjectUpdated():
            row.description = row.description if event.description is None else event.description
            row.owner = row.owner if event.owner is None else event.owner
            row.labels = row.labels if event.labels is None else event.labels
            row.parameters = row.parameters if event.parameters is None else event.parameters
        case ProjectDeleted():
            row.deleted = fit(event.time) or 1
        case ProjectRestored():
            row.deleted = 0
