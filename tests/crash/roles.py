"""What a child of the nursery does. Imported once, before any fork; so nothing here may start a thread or a loop at import."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import anyio

import events.sqlite
import tracker
import tracker.server.serve
from events import types
from events.errors import EventsError
from events.lease import hold
from events.log import open_log
from events.record import New
from events.sqlite import open_sqlite
from tests.crash import sabotage
from tracker.settings import Settings


def play(role: str, arguments: dict[str, Any]) -> NoReturn:
    """Play a role to its end, and end the process as a Python program does."""
    ROLES[role](**arguments)
    sys.exit(0)


def say(text: object) -> None:
    """One line to the test, at once."""
    os.write(1, f"{text}\n".encode())


def serve(data: str, port: int, broken: str, drain: float) -> None:
    """A server; prints its URL when it answers. `broken` names a fault to build into it first."""
    if broken:
        sabotage.FAULTS[broken]()
    tracker.server.serve.serve(Settings(data=Path(data), port=port, keep_alive=1.0, drain=drain), ready=say)


def append(data: str, count: int, size: int = 1, producer: str = "p", checkpoint: bool = False) -> None:
    """Open the log alone, say `ready` and stop; when continued, append batches and print the last sequence acknowledged after each.
    `checkpoint` has the WAL brought into the file before every batch."""
    if checkpoint:
        events.sqlite.CHECKPOINT_FROM = 1

    async def main() -> None:
        async with open_sqlite(Path(data) / "log.db", write=True) as store, open_log(store) as log:
            first = await log.position(producer) + 1
            say("ready")
            os.kill(os.getpid(), signal.SIGSTOP)  # the test goes on when it has taken its measures
            for sequence in range(first, first + count * size, size):
                await log.append(New(stream="run/p/r", producer=producer, sequence=sequence, events=points(sequence, size)))
                say(sequence + size - 1)

    try:
        with hold(Path(data) / "lease"):
            anyio.run(main)
    except EventsError as error:
        say(type(error).__name__)
        sys.exit(1)


def points(first: int, count: int) -> list[types.Event | types.Unknown]:
    """Metric events whose step is their sequence."""
    return [types.MetricLogged(time=step, key="m", value=step / 2, step=step) for step in range(first, first + count)]


def job(uri: str, journals: str, uid: str, limit: int, broken: str = "") -> None:
    """A training job that logs metrics and prints how many calls have returned."""
    if broken:
        sabotage.FAULTS[broken]()
    os.environ["TRACKER_JOURNALS"] = journals
    context = tracker.get_or_create_ctx("job", project="p", uid=uid, uri=uri)
    say("ready")
    for step in range(1, limit + 1):
        context.log_metric("m", step / 2, step=step)
        say(step)
    context.commit()
    say("committed")


def crowded_job(uri: str, journals: str, uid: str, limit: int) -> None:
    """A job whose journal's disk gets full: it logs `limit` points, stops, and when continued logs one more and commits."""
    os.environ["TRACKER_JOURNALS"] = journals
    context = tracker.get_or_create_ctx("job", project="p", uid=uid, uri=uri)
    for step in range(1, limit + 1):
        context.log_metric("m", step / 2, step=step)
    say("full")
    os.kill(os.getpid(), signal.SIGSTOP)
    context.log_metric("m", (limit + 1) / 2, step=limit + 1)
    context.commit()
    say("committed")


ROLES: dict[str, Callable[..., None]] = {"serve": serve, "append": append, "job": job, "crowded job": crowded_job}
