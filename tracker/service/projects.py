"""Projects: created, described, listed, put into the trash and taken out again."""

from time import time_ns
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from events.codec import AnyEvent
from events.types import ProjectCreated, ProjectDeleted, ProjectRestored, ProjectUpdated
from projections.reads import projects as reads
from projections.reads.projects import Project
from tracker.directory import App
from tracker.errors import Conflict
from tracker.names import check_key, check_name, project_stream
from tracker.service.asking import Limit, Offset, found, views_of_all

Text = Annotated[str, Meta(max_length=64 * 1024)]


class ListProjects(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Projects with names after `after`, by name."""

    after: str = ""
    limit: Limit = 1000
    deleted: bool = False
    at: str = ""
    min_offset: Offset = 0


class ProjectList(msgspec.Struct, kw_only=True):
    """Projects by name. `next_after` goes on after them, "" when there are no more."""

    projects: list[Project]
    next_after: str = ""


class NameProject(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which project."""

    project: str


class GetProject(NameProject, kw_only=True, forbid_unknown_fields=True):
    """Which project, at which moment."""

    at: str = ""
    min_offset: Offset = 0


class CreateProject(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A project to make."""

    name: str
    description: Text = ""
    owner: Text = ""
    labels: dict[str, str] = {}
    parameters: dict[str, Any] = {}


class UpdateProject(NameProject, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is absent or null stays."""

    description: Text | None = None
    owner: Text | None = None
    labels: dict[str, str] | None = None
    parameters: dict[str, Any] | None = None


async def list_projects(app: App, request: ListProjects) -> ProjectList:
    """The projects there are, with how many runs each has by state."""
    async with views_of_all(app, request.at, request.min_offset) as views:
        rows = await reads.list_projects(views, deleted=request.deleted, after=request.after, limit=request.limit + 1)
    page = rows[: request.limit]
    return ProjectList(projects=page, next_after=page[-1].name if len(rows) > len(page) else "")


async def get_project(app: App, request: GetProject) -> Project:
    """One project. Raises NotFound."""
    async with views_of_all(app, request.at, request.min_offset) as views:
        return await found(app, views, lambda: reads.get_project(views, request.project), f"project {request.project}")


async def create_project(app: App, request: CreateProject, actor: str) -> Project:
    """Make a project, or declare one that only its runs implied so far. Raises Conflict when it exists."""
    name = check_name(request.name, "name")
    for field in ("labels", "parameters"):
        for key in getattr(request, field):
            check_key(key, field)
    await app.seen(app.log.head.offset)
    known = await reads.get_project(app.views, name)
    if known is not None and (known.declared or known.deleted):
        raise Conflict(f"project {name} exists" + (" in the trash: restore it" if known.deleted else ""), project=name)
    event = ProjectCreated(
        time=time_ns(),
        description=request.description,
        owner=request.owner,
        labels=request.labels,
        parameters=request.parameters,
    )
    version = await app.log.version(project_stream(name))
    return await _record(app, name, event, actor, expected_version=version)


async def update_project(app: App, request: UpdateProject, actor: str) -> Project:
    """Change the named fields. Raises NotFound."""
    await _known(app, request.project)
    for field in ("labels", "parameters"):
        for key in getattr(request, field) or ():
            check_key(key, field)
    event = ProjectUpdated(
        time=time_ns(),
        description=request.description,
        owner=request.owner,
        labels=request.labels,
        parameters=request.parameters,
    )
    return await _record(app, request.project, event, actor)


async def delete_project(app: App, request: NameProject, actor: str) -> Project:
    """Put a project into the trash; its runs stay with it. Raises NotFound."""
    project = await _known(app, request.project)
    return project if project.deleted else await _record(app, request.project, ProjectDeleted(time=time_ns()), actor)


async def restore_project(app: App, request: NameProject, actor: str) -> Project:
    """Take a project out of the trash. Raises NotFound."""
    project = await _known(app, request.project)
    return project if not project.deleted else await _record(app, request.project, ProjectRestored(time=time_ns()), actor)


async def _known(app: App, name: str) -> Project:
    return await found(app, app.views, lambda: reads.get_project(app.views, name), f"project {name}")


async def _record(app: App, name: str, event: AnyEvent, actor: str, *, expected_version: int | None = None) -> Project:
    receipt = await app.record(project_stream(name), [event], actor, expected_version=expected_version)
    await app.seen(receipt.offset)
    return await _known(app, name)
