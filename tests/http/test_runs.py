"""Runs, projects and metrics as the API shows them, now and at any moment."""

import math
from typing import Any

import msgspec
import pytest

from tests.http.conftest import Client, Serving

pytestmark = pytest.mark.anyio


async def fill(client: Client) -> int:
    """Three runs in two projects, one with iterations; the last offset."""
    for i, (project, loss) in enumerate((("p", 0.5), ("p", 0.25), ("q", 0.125))):
        offset = await client.record(
            f"run/{project}/u{i}",
            [
                {"type": "run.created", "name": f"run {i}", "parameters": {"lr": i / 10}, "labels": {"kind": "test"}},
                {"type": "attempt.started", "attempt": "a"},
                {"type": "metric.logged", "key": "loss", "value": loss, "step": 1},
                {"type": "iteration.started", "iteration": 1, "parameters": {"lr": 1}},
                {"type": "result.logged", "iteration": 1, "key": "acc", "value": loss},
                {"type": "iteration.marked_best", "iteration": 1},
                {"type": "state.changed", "state": "completed"},
            ],
            producer=f"p{i}",
        )
    return offset


async def test_search(serving: Serving) -> None:
    """Runs are found by filter and order, page by page, in one project or in all."""
    async with serving() as client:
        offset = await fill(client)

        async def uids(query: str, project: str = "") -> list[str]:
            path = f"/v1/projects/{project}/runs" if project else "/v1/runs"
            return [run["uid"] for run in (await client.get(f"{path}?min_offset={offset}&{query}"))["runs"]]

        assert await uids("filter=metrics.loss%20%3C%200.4&order_by=metrics.loss") == ["u2", "u1"]
        assert await uids("filter=params.lr%20%3C%201&order_by=metrics.loss%20DESC", "p") == ["u0", "u1"]
        assert await uids("filter=state%20%3D%20'error'") == []
        assert len(await uids("iterations=true")) == 6
        first = await client.get("/v1/runs?limit=2&order_by=metrics.loss")
        rest = await client.get(f"/v1/runs?limit=2&order_by=metrics.loss&page_token={first['next_page_token']}")
        assert [run["uid"] for run in first["runs"] + rest["runs"]] == ["u2", "u1", "u0"]
        assert not rest["next_page_token"]
        status, body = await client.ask("GET", "/v1/runs?filter=metrics.loss%20%3C%3C%201")
        assert status == 400
        assert body["error"]["code"] == "invalid_filter"
        assert body["error"]["detail"]["column"] > 1
        for query in (
            "filter='",
            "order_by=(select%201)",
            "page_token=x",
            "limit=0",
            "limit=1001",
            "filter=" + "(" * 100,
            "filter=" + "x" * 5000,
        ):
            assert (await client.ask("GET", f"/v1/runs?{query}"))[0] == 400, query


async def test_one_run(serving: Serving) -> None:
    """A run comes with its latest metrics, attempts and best iteration; its iterations have a table; unknown ones are not found."""
    async with serving() as client:
        await fill(client)
        run = await client.get("/v1/projects/p/runs/u1")
        assert run["state"] == "completed"
        assert run["metrics"] == {"loss": 0.25}
        assert run["best_iteration"] == 1
        assert [attempt["attempt"] for attempt in run["attempts"]] == ["a"]
        table = await client.get("/v1/projects/p/runs/u1/iterations")
        assert [(row["iteration"], row["results"], row["best"]) for row in table["iterations"]] == [(1, {"acc": 0.25}, True)]
        assert (await client.get("/v1/projects/p/runs/u1?iteration=1"))["results"] == {"acc": 0.25}
        for path in ("u1?iteration=2", "u9", "u9/iterations", "u9/metrics", "u9/artifacts", "u9/log", "u1/metrics/history?key=none"):
            assert (await client.ask("GET", f"/v1/projects/p/runs/{path}"))[0] == 404, path
        assert (await client.ask("GET", "/v1/projects/none"))[0] == 404
        assert (await client.ask("GET", "/v1/projects/p/runs/u1?iteration=-1"))[0] == 400
        assert (await client.ask("GET", "/v1/projects/p/runs/u1?min_offset=999"))[0] == 404


async def test_any_past_moment(serving: Serving) -> None:
    """A run, its iterations and the whole list can be asked for as they were at an offset or a time."""
    async with serving() as client:
        await fill(client)
        states = [(await client.get(f"/v1/projects/p/runs/u0?at={at}"))["state"] for at in range(1, 8)]
        assert states == ["created", *["running"] * 5, "completed"]
        assert (await client.ask("GET", "/v1/projects/p/runs/u1?at=7"))[0] == 404
        assert [run["uid"] for run in (await client.get("/v1/runs?at=7"))["runs"]] == ["u0"]
        assert (await client.get("/v1/projects/p?at=8"))["runs"] == {"completed": 1, "created": 1}
        async with client.session.get(client.url + "/v1/events?after=7&limit=1") as reply:
            then = (await reply.json(content_type=None))["recorded_at"]
        assert len((await client.get(f"/v1/runs?at={then}"))["runs"]) == 2
        assert (await client.get("/v1/runs?at=1999-12-31T23:59:59Z"))["runs"] == []
        assert len((await client.get("/v1/runs?at=2999-12-31"))["runs"]) == 3
        for bad in ("yesterday", "-1", "1e3", "2020-13-01"):
            assert (await client.ask("GET", f"/v1/runs?at={bad}"))[0] == 400
        assert (await client.ask("GET", "/v1/runs?at=999"))[0] == 404


async def test_trash(serving: Serving) -> None:
    """A deleted run leaves the lists, can still be looked at, keeps what is recorded for it, and comes back whole."""
    async with serving() as client:
        await fill(client)
        assert (await client.ask("DELETE", "/v1/projects/p/runs/u0"))[1]["deleted"] > 0
        assert (await client.ask("DELETE", "/v1/projects/p/runs/u0"))[0] == 200
        assert [run["uid"] for run in (await client.get("/v1/projects/p/runs"))["runs"]] == ["u1"]
        assert len((await client.get("/v1/projects/p/runs?deleted"))["runs"]) == 2
        offset = await client.record("run/p/u0", [{"type": "result.logged", "key": "late", "value": 1}], sequence=8, producer="p0")
        assert (await client.get(f"/v1/projects/p/runs/u0?min_offset={offset}"))["late"] >= 1
        status, run = await client.ask("POST", "/v1/projects/p/runs/u0/restore")
        assert status == 200
        assert run["deleted"] == 0
        assert run["results"]["late"] == 1
        assert len((await client.get("/v1/projects/p/runs"))["runs"]) == 2
        assert (await client.ask("DELETE", "/v1/projects/p/runs/none"))[0] == 404


async def test_projects(serving: Serving) -> None:
    """Projects are made, described, listed with their runs by state, deleted and restored; making one twice is a conflict."""
    async with serving() as client:
        await fill(client)
        status, project = await client.ask("POST", "/v1/projects", {"name": "new", "labels": {"team": "a"}, "parameters": {"x": [1, None]}})
        assert status == 201
        assert project["parameters"] == {"x": [1, None]}
        assert (await client.ask("POST", "/v1/projects", {"name": "new"}))[0] == 409
        assert (await client.ask("POST", "/v1/projects", {"name": "p", "owner": "me"}))[1]["owner"] == "me"
        changed = (await client.ask("PATCH", "/v1/projects/new", {"description": "d"}))[1]
        assert changed["description"] == "d"
        assert changed["labels"] == {"team": "a"}
        listed = await client.get("/v1/projects")
        assert {p["name"]: p["runs"] for p in listed["projects"]} == {"new": {}, "p": {"completed": 2}, "q": {"completed": 1}}
        assert [p["name"] for p in (await client.get("/v1/projects?after=new&limit=1"))["projects"]] == ["p"]
        await client.ask("DELETE", "/v1/projects/new")
        assert [p["name"] for p in (await client.get("/v1/projects"))["projects"]] == ["p", "q"]
        assert (await client.ask("POST", "/v1/projects", {"name": "new"}))[0] == 409
        assert (await client.ask("POST", "/v1/projects/new/restore"))[1]["deleted"] == 0
        bad: list[Any] = [
            {},
            {"name": ".."},
            {"name": 1},
            {"name": "a", "x": 1},
            {"name": "a", "labels": {"k": 1}},
            [],
            None,
            {"name": "a\n"},
        ]
        for body in bad:
            assert (await client.ask("POST", "/v1/projects", body))[0] == 400, body


async def test_metrics(serving: Serving) -> None:
    """A series comes as logged, with NaN and infinities, in pages, and as a chart."""
    async with serving() as client:
        words = {math.nan: "NaN", math.inf: "Infinity", -math.inf: "-Infinity"}
        values = [0.1 * i for i in range(3000)]
        values[7], values[8], values[9] = math.nan, math.inf, -math.inf
        points = [{"type": "metric.logged", "key": "a/b loss", "value": words.get(v, v), "step": i} for i, v in enumerate(values)]
        points[7]["value"] = "NaN"
        offset = await client.record("run/p/u", points)
        path = f"/v1/projects/p/runs/u/metrics/history?key=a%2Fb%20loss&min_offset={offset}"
        got = await client.get(path)
        assert got["steps"] == list(range(3000))
        assert got["values"][:7] == values[:7]
        assert got["values"][10:] == values[10:]
        assert got["values"][7:10] == ["NaN", "Infinity", "-Infinity"]
        async with client.session.get(client.url + path, headers={"Accept": "application/x-msgpack"}) as reply:
            exact = msgspec.msgpack.decode(await reply.read())["values"]
        assert math.isnan(exact[7])
        assert exact[8:10] == [math.inf, -math.inf]
        page = await client.get(path + "&after=2990&limit=5")
        assert page["steps"] == [2990, 2991, 2992, 2993, 2994]
        assert page["next"] == 2995
        series = (await client.get("/v1/projects/p/runs/u/metrics"))["series"]
        assert [(s["key"], s["count"], s["nans"]) for s in series] == [("a/b loss", 3000, 1)]
        chart = await client.get("/v1/projects/p/runs/u/metrics/chart?key=a%2Fb%20loss&points=100")
        assert len(chart["steps"]) <= 100
        assert max(v for v in chart["maxima"] if isinstance(v, float)) == values[-1]
        for query in ("", "?key=", "?key=x&points=0", "?key=x&labels=1", "?key=" + "k" * 251, "?key=a%00b"):
            assert (await client.ask("GET", f"/v1/projects/p/runs/u/metrics/chart{query}"))[0] == 400, query


async def test_the_api_describes_itself(serving: Serving) -> None:
    """The OpenAPI document has every route with its parameters, and every reference in it leads somewhere."""
    from tracker.server.native.routes import TABLE

    async with serving() as client:
        document = await client.get("/v1/openapi.json")
        assert document["openapi"].startswith("3.1")
        assert {(m.upper(), p) for p, methods in document["paths"].items() for m in methods} == {(r.method, r.path) for r in TABLE.routes}
        text = msgspec.json.encode(document).decode()
        for part in text.split('"#/components/schemas/')[1:]:
            assert part.partition('"')[0] in document["components"]["schemas"]
        parameters = {p["name"] for p in document["paths"]["/v1/projects/{project}/runs"]["get"]["parameters"]}
        assert {"project", "filter", "order_by", "limit", "page_token", "at", "min_offset"} <= parameters


async def test_numbers_for_prometheus(serving: Serving) -> None:
    """The server counts its requests by route, not by what clients sent."""
    async with serving() as client:
        await fill(client)
        for i in range(3):
            await client.ask("GET", f"/v1/nothing/{i}")
        text = (await client.get("/metrics")).decode()
        assert 'tracker_requests_total{method="POST",route="/v1/events",status="200"} 3' in text
        assert 'tracker_requests_total{method="",route="",status="404"} 3' in text
        assert "tracker_log_offset 21" in text


async def test_many_past_moments_at_once(serving: Serving) -> None:
    """Lists of many past moments asked for at once are all answered, each with its own moment; the past cannot be watched."""
    import asyncio

    async with serving() as client:
        for i in range(8):
            await client.record(f"run/p/u{i}", [{"type": "run.created", "name": "n"}], i + 1)
        pages = await asyncio.gather(*(client.get(f"/v1/runs?at={at}") for at in [*range(9), *range(9)]))
        assert [len(page["runs"]) for page in pages] == [*range(9), *range(9)]
        assert (await client.ask("GET", "/v1/projects/p/runs/u0?at=1&watch"))[0] == 400


async def test_a_past_moment_that_takes_long(serving: Serving) -> None:
    """Who would have to wait long for the fold of another's moment is told to come back, and those already folded are still answered."""
    async with serving() as client:
        await client.record("run/p/u", [{"type": "run.created", "name": "n"}])
        assert (await client.get("/v1/runs?at=0"))["runs"] == []
        moments = client.server.app.moments
        moments._patience = 0.05
        async with moments._turn:
            assert (await client.get("/v1/runs?at=0"))["runs"] == []
            async with client.session.get(client.url + "/v1/runs?at=1") as reply:
                assert reply.status == 503
                assert int(reply.headers["Retry-After"]) >= 1
        assert len((await client.get("/v1/runs?at=1"))["runs"]) == 1
