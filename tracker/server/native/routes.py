"""The native API as a table: all there is to know about a route stands in its line."""

from functools import partial

from projections.reads.artifacts import Artifact, ArtifactPage
from projections.reads.lineage import ArtifactLineage, RunLineage
from projections.reads.metrics import Chart, History
from projections.reads.projects import Project
from projections.reads.runs import Run
from projections.reads.search import RunPage
from tracker.server.openapi import describe_api
from tracker.server.route import Nothing, Route, Table
from tracker.service import access, artifacts, console, content, feed, heartbeats, lineage, metrics, projects, record, runs, status

_look = partial(Route, method="GET", role="viewer")
_send = partial(Route, method="POST", role="writer")
_RUN = "/v1/projects/{project}/runs/{uid}"


async def openapi(_app: object, _request: object) -> object:
    """This description."""
    return describe_api(TABLE.routes)


SERVICE = (
    Route(method="GET", path="/health", handler=status.health, role="anyone", reply=status.Health),
    Route(method="GET", path="/livez", handler=status.live, role="anyone", reply=str),
    _look(path="/metrics", handler=status.metrics, reply=str),
    _look(path="/v1/info", handler=status.info, reply=status.Info),
    _look(path="/v1/openapi.json", handler=openapi),
)
LOG = (
    _send(path="/v1/events", handler=record.record, body=record.Record, decode=record.decode_record, reply=record.Recording),
    _look(path="/v1/events", handler=feed.read_events, request=feed.ReadEvents, stream="items", reply=feed.EventView),
    _look(path=_RUN + "/events", handler=feed.read_run_events, request=feed.ReadRunEvents, stream="items", reply=feed.EventView),
    _send(path="/v1/heartbeats", handler=heartbeats.beat, request=heartbeats.Beat, reply=heartbeats.Lease),
)
PROJECTS = (
    _look(path="/v1/projects", handler=projects.list_projects, request=projects.ListProjects, reply=projects.ProjectList),
    _send(path="/v1/projects", handler=projects.create_project, request=projects.CreateProject, reply=Project, status=201),
    _look(path="/v1/projects/{project}", handler=projects.get_project, request=projects.GetProject, reply=Project),
    Route(
        method="PATCH",
        path="/v1/projects/{project}",
        handler=projects.update_project,
        role="writer",
        request=projects.UpdateProject,
        reply=Project,
    ),
    Route(
        method="DELETE",
        path="/v1/projects/{project}",
        handler=projects.delete_project,
        role="writer",
        request=projects.NameProject,
        reply=Project,
    ),
    _send(path="/v1/projects/{project}/restore", handler=projects.restore_project, request=projects.NameProject, reply=Project),
)
RUNS = (
    _look(path="/v1/runs", handler=runs.list_runs, request=runs.ListRuns, reply=RunPage),
    _look(path="/v1/projects/{project}/runs", handler=runs.list_project_runs, request=runs.ListProjectRuns, reply=RunPage),
    _look(path=_RUN, handler=runs.get_run, request=runs.GetRun, reply=Run),
    Route(method="DELETE", path=_RUN, handler=runs.delete_run, role="writer", request=runs.NameRun, reply=Run),
    _send(path=_RUN + "/abort", handler=runs.abort_run, request=runs.AbortRun, reply=Run),
    _send(path=_RUN + "/restore", handler=runs.restore_run, request=runs.NameRun, reply=Run),
    _look(path=_RUN + "/iterations", handler=runs.list_iterations, request=runs.ListIterations, reply=runs.IterationTable),
)
METRICS = (
    _look(path=_RUN + "/metrics", handler=metrics.list_series, request=metrics.ListSeries, reply=metrics.SeriesList),
    _look(path=_RUN + "/metrics/history", handler=metrics.read_history, request=metrics.ReadHistory, reply=History),
    _look(path=_RUN + "/metrics/chart", handler=metrics.read_chart, request=metrics.ReadChart, reply=Chart),
)
CONSOLE = (_look(path=_RUN + "/log", handler=console.read_console, request=console.ReadConsole, stream="bytes"),)
_ARTIFACTS = "/v1/projects/{project}/artifacts"
ARTIFACTS = (
    _look(path=_ARTIFACTS, handler=artifacts.list_project_artifacts, request=artifacts.ListProjectArtifacts, reply=ArtifactPage),
    _look(path=_ARTIFACTS + "/{key}", handler=artifacts.get_project_artifact, request=artifacts.GetProjectArtifact, reply=Artifact),
    _look(
        path=_ARTIFACTS + "/{key}/content",
        handler=artifacts.get_project_artifact_content,
        request=artifacts.GetProjectContent,
        stream="bytes",
    ),
    _look(path=_RUN + "/artifacts", handler=artifacts.list_run_artifacts, request=artifacts.ListRunArtifacts, reply=ArtifactPage),
    _look(path=_RUN + "/artifacts/{key}", handler=artifacts.get_artifact, request=artifacts.GetArtifact, reply=Artifact),
    _look(path=_RUN + "/artifacts/{key}/content", handler=artifacts.get_artifact_content, request=artifacts.GetContent, stream="bytes"),
)
LINEAGE = (
    _look(path=_ARTIFACTS + "/{key}/lineage", handler=lineage.artifact_lineage, request=lineage.GetArtifactLineage, reply=ArtifactLineage),
    _look(path=_RUN + "/lineage", handler=lineage.run_lineage, request=lineage.GetRunLineage, reply=RunLineage),
)
BLOBS = (
    Route(
        method="PUT",
        path="/v1/blobs/{digest}",
        handler=content.put_blob,
        role="writer",
        request=content.BlobName,
        raw=True,
        reply=content.Kept,
    ),
    _look(path="/v1/blobs/{digest}", handler=content.get_blob, request=content.BlobName, stream="bytes"),
)
ACCESS = (
    Route(method="GET", path="/v1/tokens", handler=access.list_tokens, role="admin", request=Nothing, reply=access.Tokens),
    Route(
        method="POST",
        path="/v1/tokens",
        handler=access.create_token,
        role="admin",
        request=access.CreateToken,
        reply=access.NewToken,
        status=201,
    ),
    Route(
        method="DELETE",
        path="/v1/tokens/{id}",
        handler=access.revoke_token,
        role="admin",
        request=access.TokenId,
        reply=access.TokenView,
    ),
)

TABLE = Table((*SERVICE, *LOG, *PROJECTS, *RUNS, *METRICS, *CONSOLE, *ARTIFACTS, *LINEAGE, *BLOBS, *ACCESS))
