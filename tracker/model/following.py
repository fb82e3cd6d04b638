"""What a run object asks its target: the run as it stands, its end when it comes, what it prints.

Waiting is live: the target sends the run's view at every change, and nothing is asked twice. Only when the target goes away is it asked
again, every `sleep` seconds. The functions work on a run's record, for the async and the sync object alike.
"""

import asyncio
import codecs
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from math import isnan
from typing import Any

import anyio

from projections.runs import COMPLETED, TERMINAL
from tracker.audit.escape import Console
from tracker.beside import beside
from tracker.connection import PROCESS, Connection
from tracker.errors import InvalidRequest, NotFound, RunFailed, RunTimeout, Unavailable
from tracker.model.notification import Notification
from tracker.model.run import RunSpec
from tracker.model.run_record import ENDED, RunRecord

Sink = Callable[[str], Awaitable[None]]  # prints a piece of text
UNKNOWN = "unknown"
PAGE = 1000
AGAIN = 1.0  # seconds before a target that went away is asked for the rest of a log
_AWAY = (Unavailable, TimeoutError, ConnectionError)


async def refresh(run: RunRecord) -> None:
    """Learn the run as it stands: labels, parameters, results, artifacts, the table of its iterations. Raises NotFound."""
    view = await _ask(run, "", _iteration(run))
    artifacts = await _artifacts(run)
    table = await _table(run) if view.get("children") and not run.metadata.iteration else []
    metadata, spec, status = run.metadata, run.spec, run.status
    metadata.name, metadata.project = view["name"] or metadata.name, view["project"]
    metadata.labels, metadata.annotations = dict(view["labels"]), dict(view["annotations"])
    if spec == RunSpec() and not spec.handler:  # nothing is known of it but its name
        run.spec = spec = RunSpec.from_dict(view.get("spec"))
    spec.parameters = dict(view["parameters"]) or spec.parameters
    spec.inputs = dict(view["inputs"]) or spec.inputs
    _take(run, view)
    status.host, status.commit = str(view.get("host") or ""), str(view.get("message") or "")
    status.results, status.artifacts, status.iterations = dict(view["results"]), artifacts, table
    status.start_time, status.last_update = _spelled(view["started_at"]), _spelled(view["updated_at"])
    status.notifications = {one["name"]: _told(one) for one in view.get("notifications") or ()}


async def state(run: RunRecord) -> str:
    """The run's state; asked for, unless it has ended. "unknown" for a run that the target does not know."""
    if run.status.state in TERMINAL:
        return run.status.state
    try:
        await refresh(run)
    except NotFound:
        return UNKNOWN
    return run.status.state


async def wait_for_completion(
    run: RunRecord, sink: Sink, sleep: float, timeout: float, raise_on_failure: bool, show_logs: bool | None, logs_interval: float | None
) -> str:
    """Wait until nobody works on the run any more; returns its state. Raises RunFailed and RunTimeout."""
    given: dict[str, Any] = {"sleep": sleep, "timeout": timeout, "logs_interval": logs_interval or 0}
    for name, value in given.items():
        if not isinstance(value, (int, float)) or value < 0 or isnan(value):
            raise InvalidRequest(f"{name} must be seconds, 0 or more, not {value!r}", field=name)
    log = _Log(run, run.where(), sink)
    if run.status.state not in ENDED:

        async def print_now_and_then() -> None:
            while True:
                await anyio.sleep(logs_interval or 0)
                with suppress(*_AWAY):
                    await log.print()

        with anyio.move_on_after(timeout or None):
            async with beside(*([print_now_and_then] if logs_interval and show_logs is not False else [])):
                await _until_ended(run, run.where(), max(sleep, 0.05))
        if run.status.state not in ENDED:
            raise RunTimeout(f"run {_name(run)} is {run.status.state} after {timeout} seconds; it goes on", timeout=timeout)
        await refresh(run)
    if show_logs is not False:
        await log.print(last=True)
    if raise_on_failure and run.status.state != COMPLETED:
        raise RunFailed(f"run {_name(run)} ended as {run.status.state}: {run.error}", run=run)
    return run.status.state


async def logs(run: RunRecord, sink: Sink, watch: bool, db: Any, offset: int) -> tuple[str, int]:
    """Print what the run printed from byte `offset` on; with `watch` until it has ended. Returns its state and where the text ends."""
    if type(offset) is not int or offset < 0:
        raise InvalidRequest(f"offset must be a number of bytes, 0 or more, not {offset!r}", field="offset")
    connection = db if isinstance(db, Connection) else PROCESS.connection(str(db)) if db is not None else run.where()
    log = _Log(run, connection, sink, offset)
    _take(run, await _ask(run, "", _iteration(run), connection))
    await log.print()
    if watch and run.status.state not in ENDED:
        async with beside(log.follow):
            await _until_ended(run, connection, AGAIN)
    await log.print(last=True)
    if watch:
        _take(run, await _ask(run, "", _iteration(run), connection))
    return run.status.state, log.offset


async def ended(run: RunRecord) -> None:
    """Wait for the end of the run before its outputs are looked at, if that is wanted. Raises RunFailed."""
    if run.outputs_wait_for_completion and run.metadata.uid:
        await wait_for_completion(run, _unheard, 3, 0, raise_on_failure=True, show_logs=False, logs_interval=None)


async def _until_ended(run: RunRecord, connection: Connection, pause: float) -> None:
    while run.status.state not in ENDED:
        try:
            async with aclosing(connection.stream(run.path(), {"watch": "true", **_iteration(run)})) as views:
                async for view in views:
                    _take(run, view)
                    if run.status.state in ENDED:
                        return
        except _AWAY:
            pass  # the target is away, or was restarted: the run goes on all the same
        await anyio.sleep(pause)


class _Log:
    """What a run printed, as far as it was printed here: up to byte `offset`. Whoever is interrupted in it can go on later."""

    def __init__(self, run: RunRecord, connection: Connection, sink: Sink, offset: int = 0) -> None:
        self._run, self._connection, self._sink, self.offset = run, connection, sink, offset
        self._decode = _decoder()

    async def print(self, *, last: bool = False) -> None:
        """Print what there is; as the `last`, the beginning of a character without its end, too."""
        await self._read({})
        if last and (text := self._decode(b"", final=True)):
            await self._sink(text)

    async def follow(self) -> None:
        """Print what there is and what comes, for ever; when the target went away and comes back, from where it was."""
        while True:
            with suppress(*_AWAY):
                await self._read({"follow": "true"})
            await anyio.sleep(AGAIN)

    async def _read(self, asked: dict[str, str]) -> None:
        async with aclosing(self._connection.stream(self._run.path("/log"), {"offset": str(self.offset), **asked})) as chunks:
            async for chunk in chunks:
                self.offset += len(chunk)  # before it is printed, which is done even when this is cancelled meanwhile
                if text := self._decode(chunk):
                    await self._sink(text)


def _decoder() -> Callable[..., str]:
    """From bytes to text; what would drive the terminal that it is for is shown as what it is."""
    if sys.stdout.isatty():
        return Console().feed
    return codecs.getincrementaldecoder("utf-8")("replace").decode


async def _ask(run: RunRecord, part: str, params: Mapping[str, str], connection: Connection | None = None) -> Any:
    return await asyncio.wrap_future((connection or run.where()).ask("GET", run.path(part), params))


def _iteration(run: RunRecord) -> dict[str, str]:
    return {"iteration": str(run.metadata.iteration)} if run.metadata.iteration else {}


async def _artifacts(run: RunRecord) -> list[dict[str, Any]]:
    """The newest version of each key that the run, or the iteration, logged; the first logged one first."""
    found: dict[str, dict[str, Any]] = {}
    params = {"iteration": str(run.metadata.iteration), "limit": str(PAGE)}
    while True:
        page = await _ask(run, "/artifacts", params)
        for view in page["artifacts"]:
            found.setdefault(view["key"], view)
        if not page["before"]:
            return list(reversed(found.values()))
        params["before"] = str(page["before"])


async def _table(run: RunRecord) -> list[list[Any]]:
    """The table of iterations: a header, and a row for each."""
    rows: list[dict[str, Any]] = []
    after = 0
    while True:
        page = await _ask(run, "/iterations", {"after": str(after), "limit": str(PAGE)})
        rows += page["iterations"]
        after = page["next_after"]
        if not after:
            break
    parameters = list(dict.fromkeys(key for row in rows for key in row["parameters"]))
    outputs = list(dict.fromkeys(key for row in rows for key in row["results"]))
    header = ["state", "iter", *(f"param.{key}" for key in parameters), *(f"output.{key}" for key in outputs)]
    values = [[row["state"], row["iteration"], *map(row["parameters"].get, parameters), *map(row["results"].get, outputs)] for row in rows]
    return [header, *values] if rows else []


def _take(run: RunRecord, view: Mapping[str, Any]) -> None:
    run.status.state, run.status.error = str(view["state"]), str(view.get("error") or "")


def _told(one: Mapping[str, Any]) -> Notification:
    known = {name: one[name] for name in ("kind", "name", "severity", "status", "reason") if one.get(name)}
    return Notification(**known, when=[one["state"]], sent_time=_spelled(one["time"]))


def _name(run: RunRecord) -> str:
    return f"{run.metadata.project}/{run.metadata.uid}"


def _spelled(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat() if nanoseconds else ""


async def _unheard(_text: str) -> None:
    pass
