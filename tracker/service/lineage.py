"""Lineage: what a run read and made, where an artifact comes from and who read it."""

from projections.reads import lineage as reads
from projections.reads.lineage import ArtifactLineage, RunLineage
from tracker.directory import App
from tracker.service.artifacts import GetProjectArtifact, find_project_artifact
from tracker.service.asking import Limit, OfRun, the_run, views_of_all


class GetRunLineage(OfRun, kw_only=True, forbid_unknown_fields=True):
    """What a run and its iterations read and made, at most `limit` artifacts each."""

    limit: Limit = 1000


class GetArtifactLineage(GetProjectArtifact, kw_only=True, forbid_unknown_fields=True):
    """Who made a version of an artifact, from what, and who read it, at most `limit` each."""

    limit: Limit = 1000


async def run_lineage(app: App, request: GetRunLineage) -> RunLineage:
    """The lineage of a run. Raises NotFound."""
    async with views_of_all(app, request.at, request.min_offset) as views:  # who made what a run read are other runs
        await the_run(app, views, request.project, request.uid)
        return await reads.lineage_of_run(views, request.project, request.uid, request.limit)


async def artifact_lineage(app: App, request: GetArtifactLineage) -> ArtifactLineage:
    """The lineage of a version of an artifact. Raises NotFound."""
    async with views_of_all(app, request.at, request.min_offset) as views:
        artifact = await find_project_artifact(app, views, request)
        return await reads.lineage_of_artifact(views, artifact, request.limit)
