"""A run or iteration on which another process works: what goes there, and what is known here of what came of it.

That process records everything itself. Whoever started it takes the status it answers with; of one that died, or was stopped, what it
recorded is asked of the target, after what it left in its journal is delivered there: its last words come before the word of its end.
"""

import asyncio
from typing import Any

from tracker.context import Context
from tracker.errors import TrackerError
from tracker.executors.handler import Handler
from tracker.executors.remains import deliver_remains
from tracker.executors.worker import Job
from tracker.shape import shape_of

# what of a run's spec is the business of whoever runs it
PARENTS = (
    "hyperparams",
    "hyper_param_options",
    "notifications",
    "param_file",
    "secret_sources",
    "selector",
    "state_thresholds",
    "strategy",
)

INTRODUCTION = 1.0  # seconds that the target may take to hear of an iteration before work on it begins


def handed(context: Context) -> dict[str, Any]:
    """The run or iteration as the process that works on it gets it; not masked, for it goes to a process of our own and is written
    nowhere."""
    attrs = shape_of(context)
    attrs["spec"] = {name: value for name, value in attrs["spec"].items() if name not in PARENTS}
    attrs.pop("status", None)
    return attrs


def job_of(context: Context, handler: Handler, *, echo: bool, wait: bool = True, capture: bool = True) -> Job:
    """What another process needs to work on a run or iteration."""
    return Job(handed(context), handler, context.connection.target.uri, context.secrets.handed(), echo, wait, capture)


async def introduce(child: Context) -> None:
    """Have the target know an iteration before the process that works on it says anything of it, if the target answers at once: two
    journals reach it in any order."""
    await asyncio.wrap_future(child.connection.flush(INTRODUCTION))


async def recorded_elsewhere(context: Context, *, dead: bool) -> dict[str, Any]:
    """What the target knows of the run: its state, error and results, as another process recorded them; nothing, when it does not answer.
    What a process left behind that is `dead` is delivered first."""
    connection = context.connection
    if dead:
        await deliver_remains(connection)
    uid = context.uid.removesuffix(f"-{context.iteration}") if context.iteration else context.uid
    params = {"iteration": str(context.iteration)} if context.iteration else {}
    try:
        head = (await asyncio.wrap_future(connection.ask("GET", "/health")))["offset"]
        params["min_offset"] = str(head)
        run = await asyncio.wrap_future(connection.ask("GET", f"/v1/projects/{context.project}/runs/{uid}", params))
    except (TrackerError, TimeoutError, OSError) as error:
        what = str(error) or type(error).__name__
        connection.recorder.complaints.say("elsewhere", f"it is not known what another process recorded of run {uid} ({what})")
        return {}
    return {name: run[name] for name in ("state", "error", "results") if run.get(name)}


async def take_results(context: Context) -> None:
    """Take the results that a process recorded which was stopped or died."""
    status = await recorded_elsewhere(context, dead=True)
    context.absorb({"state": context.state, "error": context.memory.error, "results": status.get("results")})
