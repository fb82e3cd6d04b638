"""Getting a context: the one there is, a new run, or another attempt at an old one."""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

from events.types import RunCreated, StateChanged
from projections.runs import RUNNING
from tracker import ambient
from tracker.connection import PROCESS, Connection
from tracker.context import Context
from tracker.errors import InvalidRequest, NotFound, TrackerError
from tracker.facts import user
from tracker.known import Memory
from tracker.names import check_key, check_name
from tracker.recorder import new_id
from tracker.values import plain_dict, texts_of

DEFAULT_PROJECT = "default"


def get_or_create_ctx(
    name: str = "",
    *,
    project: str = "",
    uid: str = "",
    parameters: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    uri: str | os.PathLike[str] = "",
    parent: str = "",
    capture: bool = False,
) -> Context:
    """The context of the run that the calling code works on; a new run, when it works on none.

    The ambient run is meant when it has this name (or none is given), and no other project, uid or uri is asked for; parameters, labels
    and annotations that it has otherwise are set. With `uid`, a run that
    exists goes on: a new attempt at it, with what it had (for which the target is asked once, when the context is awaited or entered).
    `uri` says where to record: a directory or http://host:port; default TRACKER_URI, or ./tracker-data. `capture` records the console.
    Await it, or enter it: `async with get_or_create_ctx("train") as run`. Raises InvalidRequest for names that are not allowed.
    """
    connection = PROCESS.connection(str(uri))
    wanted = Memory(
        state=RUNNING,
        parameters=plain_dict(parameters, "parameters"),
        labels=texts_of(labels, "labels"),
        annotations=texts_of(annotations, "annotations"),
    )
    known = ambient.current()
    if known is not None and (not uri or connection is known.connection) and known.answers_to(name, project, uid):
        known.take(wanted)
        known.capture(capture)
        return known
    project = check_name(str(project or DEFAULT_PROJECT), "project")
    name = check_key(str(name or "run"), "name")
    resumed = bool(uid)
    context = Context(
        connection,
        project=project,
        uid=check_name(str(uid), "uid") if resumed else new_id(),
        name=name,
        memory=wanted,
        prepare=_Resuming(capture, parent) if resumed else None,
    )
    if not resumed:
        begin(context, parent=parent, capture=capture)
    return context


def begin(context: Context, *, parent: str, capture: bool) -> None:
    """Record that a run began to exist, and that this process works on it."""
    memory = context.memory
    now = time.time_ns()
    context.record(
        RunCreated(
            time=now,
            name=context.name,
            user=user(),
            parent=check_name(parent, "parent") if parent else "",
            parameters=memory.parameters,
            labels=memory.labels,
            annotations=memory.annotations,
        )
    )
    context.start(capture=capture)


class _Resuming:
    """What is still to be done for a context with a given uid: find out whether the run exists."""

    def __init__(self, capture: bool, parent: str) -> None:
        self._capture, self._parent = capture, parent

    async def __call__(self, context: Context) -> None:
        connection = context.connection
        try:
            path = f"/v1/projects/{context.project}/runs/{context.uid}"
            run = await asyncio.wrap_future(connection.ask("GET", path))
        except NotFound:
            begin(context, parent=self._parent, capture=self._capture)
        except (TrackerError, TimeoutError, OSError) as error:
            what = str(error) or type(error).__name__
            connection.recorder.complaints.say("resume", f"it is not known whether run {context.uid} exists ({what}); recording goes on")
            begin(context, parent=self._parent, capture=self._capture)
        else:
            await self._go_on(context, run)

    async def _go_on(self, context: Context, run: dict[str, Any]) -> None:
        wanted, memory = context.memory, _remembered(run)
        memory.steps = await _next_steps(context.connection, context.project, context.uid)
        context.resume(memory, name=str(run.get("name") or context.name), children=int(run.get("children") or 0))
        context.start(capture=self._capture)
        context.record(StateChanged(time=time.time_ns(), state=RUNNING))
        context.take(wanted)


def _remembered(run: dict[str, Any]) -> Memory:
    return Memory(
        state=RUNNING,
        parameters=dict(run.get("parameters") or {}),
        results=dict(run.get("results") or {}),
        labels=dict(run.get("labels") or {}),
        annotations=dict(run.get("annotations") or {}),
        inputs=dict(run.get("inputs") or {}),
    )


async def _next_steps(connection: Connection, project: str, uid: str) -> dict[str, int]:
    """Where series that are logged without steps go on."""
    try:
        reply = await asyncio.wrap_future(connection.ask("GET", f"/v1/projects/{project}/runs/{uid}/metrics"))
        return {series["key"]: int(series["last_step"]) + 1 for series in reply["series"] if not series.get("iteration")}
    except (TrackerError, TimeoutError, OSError, KeyError, TypeError, InvalidRequest):
        return {}
