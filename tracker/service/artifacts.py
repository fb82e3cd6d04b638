"""Artifacts: what runs made, listed by run or by project, and their bytes."""

from typing import Annotated

import msgspec
from msgspec import Meta

from projections.reads import artifacts as reads
from projections.reads.artifacts import Artifact, ArtifactPage
from projections.views import Views
from tracker.directory import App
from tracker.errors import NotFound
from tracker.service import asking
from tracker.service.asking import Limit, Offset, OfRun, found, the_run, views_of_all
from tracker.service.content import blob_content
from tracker.service.replies import Content

_NAMED = 20  # files that an error names

Version = Annotated[int, Meta(ge=0, lt=2**63 - 1)]


class ListProjectArtifacts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The artifacts of a project that all conditions given hold for, older than `before`; `tag` latest lists the newest of each key."""

    project: str
    key: str = ""
    kind: str = ""
    tag: str = ""
    deleted: bool = False
    before: Offset = 0
    limit: Limit = 100
    at: str = ""
    min_offset: Offset = 0


class ListRunArtifacts(OfRun, kw_only=True, forbid_unknown_fields=True):
    """The artifacts a run logged, those of its iterations included unless one is named."""

    iteration: asking.Iteration | None = None
    key: str = ""
    kind: str = ""
    tag: str = ""
    deleted: bool = False
    before: Offset = 0
    limit: Limit = 1000


class GetArtifact(OfRun, kw_only=True, forbid_unknown_fields=True):
    """An artifact of a run: the newest of the key, unless a version (of the project), a tag or an iteration is named."""

    key: str
    iteration: asking.Iteration | None = None
    version: Version = 0
    tag: str = ""


class GetContent(GetArtifact, kw_only=True, forbid_unknown_fields=True):
    """The bytes of an artifact of a run; of one of several files, those of the file `path`, or without it their list as JSON."""

    path: str = ""


class GetProjectArtifact(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An artifact of a project by the name it is registered under: what `latest` names, unless a version, another tag, a run (`uid`) or an
    iteration is named. Of a run, the latest is what it logged last, and what it did not register is found by its key."""

    project: str
    key: str
    version: Version = 0
    tag: str = ""
    uid: str = ""
    iteration: asking.Iteration | None = None
    at: str = ""
    min_offset: Offset = 0


class GetProjectContent(GetProjectArtifact, kw_only=True, forbid_unknown_fields=True):
    """The bytes of an artifact of a project; of one of several files, those of the file `path`, or without it their list as JSON."""

    path: str = ""


async def list_project_artifacts(app: App, request: ListProjectArtifacts) -> ArtifactPage:
    """The artifacts of a project, the newest first."""
    async with views_of_all(app, request.at, request.min_offset) as views:
        return await _page(views, request)


async def list_run_artifacts(app: App, request: ListRunArtifacts) -> ArtifactPage:
    """The artifacts of a run, the newest first. Raises NotFound."""
    async with views_of_all(app, request.at, request.min_offset) as views:  # versions are counted across runs
        await the_run(app, views, request.project, request.uid)
        return await _page(views, request, uid=request.uid, iteration=request.iteration)


async def _page(
    views: Views, request: ListProjectArtifacts | ListRunArtifacts, *, uid: str | None = None, iteration: int | None = None
) -> ArtifactPage:
    return await reads.list_artifacts(
        views,
        request.project,
        uid=uid,
        iteration=iteration,
        key=request.key or None,
        kind=request.kind or None,
        tag=request.tag or None,
        deleted=request.deleted,
        before=request.before,
        limit=request.limit,
    )


async def get_artifact(app: App, request: GetArtifact) -> Artifact:
    """One version of an artifact of a run. Raises NotFound."""
    async with views_of_all(app, request.at, request.min_offset) as views:  # versions are counted across runs
        await the_run(app, views, request.project, request.uid)
        return await found(app, views, lambda: _of_run(views, request), f"artifact {request.key} of run {request.project}/{request.uid}")


async def _of_run(views: Views, request: GetArtifact) -> Artifact | None:
    version, tag = request.version or None, request.tag or None
    return await reads.get_output(views, request.project, request.uid, request.key, version=version, tag=tag, iteration=request.iteration)


async def get_artifact_content(app: App, request: GetContent) -> Content:
    """Its bytes. Raises NotFound, also when they are elsewhere: a location is told, never followed."""
    return await _content(app, await get_artifact(app, request), request.path)


async def get_project_artifact(app: App, request: GetProjectArtifact) -> Artifact:
    """One version of an artifact of a project. Raises NotFound."""
    async with views_of_all(app, request.at, request.min_offset) as views:
        return await find_project_artifact(app, views, request)


async def find_project_artifact(app: App, views: Views, request: GetProjectArtifact) -> Artifact:
    """The same, of these views."""
    return await found(app, views, lambda: _of_project(views, request), f"artifact {_asked(request)} in project {request.project}")


async def _of_project(views: Views, request: GetProjectArtifact) -> Artifact | None:
    return await reads.get_artifact(
        views,
        request.project,
        request.key,
        version=request.version or None,
        tag=request.tag or None,
        uid=request.uid or None,
        iteration=request.iteration,
    )


def _asked(request: GetProjectArtifact) -> str:
    """What was asked for, in words."""
    said = [f"version {request.version}" if request.version else "", f"tag {request.tag}" if request.tag else ""]
    said += [f"iteration {request.iteration}" if request.iteration is not None else "", f"of run {request.uid}" if request.uid else ""]
    return request.key + (f" ({', '.join(filter(None, said))})" if any(said) else "")


async def get_project_artifact_content(app: App, request: GetProjectContent) -> Content:
    """Its bytes. Raises NotFound."""
    return await _content(app, await get_project_artifact(app, request), request.path)


async def _content(app: App, artifact: Artifact, path: str) -> Content:
    if path:
        digest = next((file["digest"] for file in artifact.files if file["path"] == path), None)
        if digest is None:
            raise NotFound(f"artifact {artifact.key} has no file {path}", files=[file["path"] for file in artifact.files[:_NAMED]])
    else:
        digest = artifact.digest
    if not digest:
        raise NotFound("the bytes of this artifact are not kept here", uri=artifact.uri)
    name = (path or artifact.path or artifact.key).replace("\\", "/").rpartition("/")[2]
    if artifact.files and not path:
        name += ".files.json"
    return await blob_content(app, digest, filename=name[:255])
