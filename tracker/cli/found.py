"""Finding runs: the document of a run as it is or was, and a helpful answer when the name is not quite right."""

from typing import Any

import msgspec

from tracker.audit.moment import Moment
from tracker.cli.items import RunName
from tracker.cli.screen import Failed, note, run_name
from tracker.errors import NotFound
from tracker.transport import Transport


async def find_run(transport: Transport, name: RunName) -> RunName:
    """The run of that name; else the one whose uid begins so; else the newest so called. Raises Failed saying what there is."""
    try:
        await transport.ask("GET", name.path)
    except NotFound:
        return await _meant(transport, name)
    return name


async def _meant(transport: Transport, name: RunName) -> RunName:
    begins = name.uid.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    for condition, one in ((f"attributes.uid LIKE '{begins}%'", True), (f"attributes.name = '{name.uid}'", False)):
        found = await _search(transport, name.project, condition)
        if len(found) > 1 and one:
            names = ", ".join(run["uid"] for run in found[:5])
            raise Failed(f"{len(found) if len(found) < 10 else 'many'} runs of {name.project} begin with {name.uid}: {names}", 2)
        if found:
            chosen = RunName(name.project, found[0]["uid"])
            if not one and len(found) > 1:
                note(f"several runs are called {name.uid}: this is the newest, {run_name(chosen.project, chosen.uid)}")
            return chosen
    raise Failed(await _nowhere(transport, name), 2)


async def _search(transport: Transport, project: str, condition: str) -> list[dict[str, Any]]:
    path = f"/v1/projects/{project}/runs"
    try:
        return list((await transport.ask("GET", path, {"filter": condition, "limit": "10"}))["runs"])
    except NotFound:
        return []


async def _nowhere(transport: Transport, name: RunName) -> str:
    if await _search(transport, name.project, ""):
        return f"there is no run {name.uid} in project {name.project}: `tracker runs --project {name.project}` lists its runs"
    return f"there is no project {name.project} with runs: `tracker runs` lists all runs there are"


async def run_document(transport: Transport, name: RunName, iteration: int = 0, moment: Moment | None = None) -> dict[str, Any]:
    """A run or an iteration as plain values, with the last value of each metric under `metrics`, as it is or was at a moment. Raises
    Failed when it was not there yet."""
    params = {"iteration": str(iteration)} if iteration else {}
    if moment is not None:
        params["at"] = moment.text
    try:
        return dict(await transport.ask("GET", name.path, params))
    except NotFound as error:
        if moment is None or str(error).startswith("the log ends"):
            raise
        what = f"iteration {iteration} of {name}" if iteration else f"{name}"
        raise Failed(f"{what} was not there {moment.phrase}: `tracker replay {name}` tells when it came", 2) from error


async def iterations_of(transport: Transport, name: RunName, moment: Moment | None = None) -> list[dict[str, Any]]:
    """All iterations of a run, in order, as they are or were at a moment."""
    found: list[dict[str, Any]] = []
    asked = {"at": moment.text} if moment else {}
    after = 0
    while True:
        reply = await transport.ask("GET", f"{name.path}/iterations", asked | {"after": str(after)})
        found += reply["iterations"]
        after = reply["next_after"]
        if not after:
            return found


async def artifacts_of(transport: Transport, name: RunName) -> list[dict[str, Any]]:
    """All artifacts of a run and its iterations, the first one first."""
    found: list[dict[str, Any]] = []
    before = 0
    while True:
        reply = await transport.ask("GET", f"{name.path}/artifacts", {"before": str(before)} if before else {})
        found += reply["artifacts"]
        before = reply["before"]
        if not before:
            return found[::-1]


async def series_of(transport: Transport, name: RunName, iteration: int | None) -> list[dict[str, Any]]:
    """The series of a run (0), an iteration, or all of them (None)."""
    asked = {} if iteration is None else {"iteration": str(iteration)}
    return list((await transport.ask("GET", f"{name.path}/metrics", asked))["series"])


class Looked(msgspec.Struct, frozen=True):
    """All that `tracker show` shows of a run."""

    run: dict[str, Any]
    iterations: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    artifacts: list[dict[str, Any]]


async def look(transport: Transport, name: RunName, iteration: int) -> Looked:
    """A run with its iterations, series and artifacts."""
    run = await run_document(transport, name, iteration)
    iterations = await iterations_of(transport, name) if run.get("children") and not iteration else []
    metrics = await series_of(transport, name, iteration)
    artifacts = await artifacts_of(transport, name)
    return Looked(run, iterations, metrics, [one for one in artifacts if not iteration or one.get("iteration") == iteration])
