"""What is asked of the views, and how runs go through their states."""

import math
from collections.abc import AsyncIterator

import pytest

from events import types as e
from events.codec import AnyEvent
from events.connection import SCRATCH
from projections.reads.access import list_tokens
from projections.reads.artifacts import get_artifact, list_artifacts
from projections.reads.projects import get_project, list_projects
from projections.reads.runs import Run, get_run, iterations
from projections.registry import PROJECTIONS
from projections.views import Views, open_views
from tests.oracle.histories import Told

pytestmark = pytest.mark.anyio


class Scene:
    """Views in memory, and a log told to them."""

    def __init__(self, views: Views) -> None:
        self.views, self.told = views, Told()

    async def say(self, stream: str, *events: AnyEvent) -> None:
        """Record and fold."""
        await self.views.apply([self.told.say(stream, *events)])

    async def run(self, *events: AnyEvent) -> Run:
        """Record events of the run `u`; how it stands then."""
        await self.say("run/p/u", *events)
        run = await get_run(self.views, "p", "u")
        assert run is not None
        return run


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """Empty views."""
    async with open_views(SCRATCH, PROJECTIONS) as views:
        yield Scene(views)


STARTED = [e.RunCreated(time=1, name="n", user="ann", labels={"team": "x"}), e.AttemptStarted(time=2, attempt="A", facts={"host": "h"})]


async def test_a_run_from_start_to_end(scene: Scene) -> None:
    """A run has its values, its last metrics (NaN included), its attempts and its times."""
    run = await scene.run(*STARTED, e.MetricLogged(time=3, key="loss", value=1.0), e.MetricLogged(time=4, key="loss", value=math.nan))
    assert (run.state, run.name, run.user, run.labels, run.started_at, run.ended_at) == ("running", "n", "ann", {"team": "x"}, 2, 0)
    assert list(run.metrics) == ["loss"]
    assert math.isnan(run.metrics["loss"])
    run = await scene.run(e.StateChanged(time=5, state="completed"), e.AttemptEnded(time=6, attempt="A", reason="completed"))
    assert (run.state, run.ended_at, run.late) == ("completed", 5, 0)
    assert [(a.attempt, a.started_at, a.ended_at, a.reason, a.facts) for a in run.attempts] == [("A", 2, 6, "completed", {"host": "h"})]


async def test_what_comes_too_late_is_kept_and_counted(scene: Scene) -> None:
    """A finished run keeps its first end; later work is visible and counted; an error after completion shows."""
    await scene.run(*STARTED, e.StateChanged(time=3, state="aborted"))
    run = await scene.run(e.ResultLogged(time=4, key="a", value=1), e.StateChanged(time=5, state="completed"))
    assert (run.state, run.ended_at, run.results, run.late) == ("aborted", 3, {"a": 1}, 2)
    run = await scene.run(e.LabelSet(time=6, key="reviewed", value="yes"))
    assert (run.late, run.labels) == (2, {"team": "x", "reviewed": "yes"})
    other = e.StateChanged(time=3, state="completed"), e.StateChanged(time=4, state="error", error="at exit")
    await scene.say("run/p/v", *other)
    run = await get_run(scene.views, "p", "v") or run
    assert (run.state, run.error, run.ended_at) == ("error", "at exit", 4)


async def test_a_lost_run_comes_back_by_a_sign_of_life(scene: Scene) -> None:
    """A run thought lost is running again with the next thing its job, or a child of it, records; a label somebody sets is no sign."""
    for sign in (e.MetricLogged(time=9, key="k", value=1), e.ResultLogged(time=9, key="k", value=1, iteration=1)):
        run = await scene.run(*STARTED, e.RunLost(time=5, last_sign=3, reason="no sign of life"))
        assert (run.state, run.ended_at, run.error) == ("lost", 3, "no sign of life")
        run = await scene.run(e.LabelSet(time=6, key="k", value="v"))
        assert run.state == "lost"
        run = await scene.run(sign)
        assert (run.state, run.ended_at, run.error, run.late) == ("running", 0, "", 0)


async def test_a_new_attempt_begins_a_finished_run_anew(scene: Scene) -> None:
    """Resumed after an error, a run is running, without the error, and keeps what it had."""
    await scene.run(*STARTED, e.ResultLogged(time=3, key="a", value=1), e.StateChanged(time=4, state="error", error="x", traceback="y"))
    run = await scene.run(e.RunCreated(time=10, name="n", labels={"again": "1"}), e.AttemptStarted(time=10, attempt="B"))
    assert (run.state, run.error, run.traceback, run.started_at, run.ended_at) == ("running", "", "", 2, 0)
    assert (run.results, run.labels, run.attempt_count, run.created_at) == ({"a": 1}, {"team": "x", "again": "1"}, 2, 1)


async def test_the_iteration_table(scene: Scene) -> None:
    """Children are listed in order, page by page; the best one's results are the run's too."""
    await scene.run(*STARTED)
    for n in range(1, 6):
        await scene.run(
            e.IterationStarted(time=n, iteration=n, parameters={"lr": n / 10}),
            e.MetricLogged(time=n, iteration=n, key="loss", value=1 / n),
            e.ResultLogged(time=n, iteration=n, key="accuracy", value=n),
            e.StateChanged(time=n, iteration=n, state="completed"),
        )
    run = await scene.run(e.BestIterationMarked(time=9, iteration=4))
    assert (run.children, run.best_iteration, run.results) == (5, 4, {"accuracy": 4, "best_iteration": 4})
    table = await iterations(scene.views, "p", "u")
    assert [(row.iteration, row.parameters, row.metrics, row.results, row.state, row.best, row.name) for row in table] == [
        (n, {"lr": n / 10}, {"loss": 1 / n}, {"accuracy": n}, "completed", n == 4, "n") for n in range(1, 6)
    ]
    assert [row.iteration for row in await iterations(scene.views, "p", "u", after=2, limit=2)] == [3, 4]
    assert await iterations(scene.views, "p", "nobody") == []
    child = await get_run(scene.views, "p", "u", 4)
    assert child is not None
    assert (child.iteration, child.metrics) == (4, {"loss": 0.25})


async def test_the_trash(scene: Scene) -> None:
    """A deleted run takes its children along and out of the counts; restored, all are as they were."""
    await scene.run(*STARTED, e.IterationStarted(time=2, iteration=1))
    run = await scene.run(e.RunDeleted(time=5), e.ResultLogged(time=6, key="a", value=1))
    assert (run.deleted, run.late, run.results) == (5, 1, {"a": 1})
    assert [row.deleted for row in await iterations(scene.views, "p", "u")] == [5]
    assert (await list_projects(scene.views))[0].runs == {}
    run = await scene.run(e.RunRestored(time=7))
    assert run.deleted == 0
    assert [row.deleted for row in await iterations(scene.views, "p", "u")] == [0]
    assert (await list_projects(scene.views))[0].runs == {"running": 1}


async def test_artifacts_by_version_tag_run_and_kind(scene: Scene) -> None:
    """Versions are counted across runs, `latest` moves by itself and back, and lists are newest first, page by page."""
    for n, uid in enumerate(["u", "v", "u"], 1):
        tag = "best" if n == 2 else ""
        await scene.say(
            f"run/p/{uid}", e.ArtifactLogged(time=n, key="model", kind="model", digest=str(n), size=n, tag_name=tag, labels={"n": "1"})
        )
    await scene.say("run/p/v", e.ArtifactLogged(time=4, iteration=2, key="plot", kind="image"))
    views = scene.views
    latest = await get_artifact(views, "p", "model")
    assert latest is not None
    assert (latest.version, latest.digest, latest.tags, latest.labels) == (3, "3", ["latest"], {"n": "1"})
    for found in (
        await get_artifact(views, "p", "model", tag="best"),
        await get_artifact(views, "p", "model", version=2),
        await get_artifact(views, "p", "model", uid="v", iteration=0),
        await get_artifact(views, "p", "model", uid="v"),
    ):
        assert found is not None
        assert (found.version, found.uid, found.tags) == (2, "v", ["best"])
    assert await get_artifact(views, "p", "model", version=9) is None
    assert await get_artifact(views, "p", "model", tag="nothing") is None
    page = await list_artifacts(views, "p", limit=3)
    assert [(a.key, a.version) for a in page.artifacts] == [("plot", 1), ("model", 3), ("model", 2)]
    rest = await list_artifacts(views, "p", limit=3, before=page.before)
    assert [(a.key, a.version) for a in rest.artifacts] == [("model", 1)]
    assert rest.before == 0
    assert [a.version for a in (await list_artifacts(views, "p", uid="u", key="model")).artifacts] == [3, 1]
    assert [a.key for a in (await list_artifacts(views, "p", kind="image", iteration=2)).artifacts] == ["plot"]
    assert [(a.key, a.version) for a in (await list_artifacts(views, "p", tag="latest")).artifacts] == [("plot", 1), ("model", 3)]
    await scene.say("run/p/u", e.ArtifactDeleted(time=9, key="model"))
    assert [a.version for a in (await list_artifacts(views, "p", key="model")).artifacts] == [2]
    assert [a.version for a in (await list_artifacts(views, "p", key="model", deleted=True)).artifacts] == [3, 2, 1]
    latest = await get_artifact(views, "p", "model")
    assert latest is not None
    assert latest.version == 2


async def test_projects(scene: Scene) -> None:
    """A project exists by its first run, counts its runs by state, and can be described, deleted and restored."""
    await scene.run(*STARTED)
    await scene.say("run/p/v", e.StateChanged(time=1, state="error"))
    await scene.say("project/a", e.ProjectCreated(time=2, description="text", parameters={"x": 1}))
    implied, declared = await get_project(scene.views, "p"), await get_project(scene.views, "a")
    assert implied is not None
    assert declared is not None
    assert (implied.runs, implied.declared, implied.created_at) == ({"error": 1, "running": 1}, 0, 1)
    assert (declared.runs, declared.declared, declared.description, declared.parameters) == ({}, 1, "text", {"x": 1})
    await scene.say("project/a", e.ProjectDeleted(time=3), e.ProjectUpdated(time=4, description=""))
    assert [project.name for project in await list_projects(scene.views)] == ["p"]
    assert [project.name for project in await list_projects(scene.views, deleted=True)] == ["a", "p"]
    assert [project.name for project in await list_projects(scene.views, deleted=True, after="a")] == ["p"]
    await scene.say("project/a", e.ProjectRestored(time=5))
    assert [project.name for project in await list_projects(scene.views, limit=1)] == ["a"]
    assert await get_project(scene.views, "nobody") is None


async def test_tokens(scene: Scene) -> None:
    """Tokens are listed with their roles; a revoked one stays, as revoked."""
    await scene.say(
        "access/tokens",
        e.TokenCreated(time=1, id="one", digest="d", role="admin"),
        e.TokenCreated(time=2, id="two", digest="e", role="viewer"),
    )
    await scene.say("access/tokens", e.TokenRevoked(time=3, id="one"))
    assert [(token.id, token.role, token.revoked) for token in await list_tokens(scene.views)] == [
        ("one", "admin", 3),
        ("two", "viewer", 0),
    ]
