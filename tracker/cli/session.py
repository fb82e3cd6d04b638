"""From a command to the data and back: options all commands share, the loop they run in, and errors as sentences.

A command that reads what is recorded asks over a transport, so it works on a directory and on a server alike. One that proves or
changes the files themselves takes the directory: `directory()` refuses a server with a sentence that says where to run it.
"""

import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import click
import structlog

from events.errors import EventsError
from tracker.audit.ndjson import Malformed
from tracker.cli.screen import Failed, bar, note
from tracker.errors import InvalidFilter, TrackerError, Unauthorized, Unavailable, Unreachable
from tracker.journal_reader import scan
from tracker.settings import Settings, Target, parse_target
from tracker.transport import Transport, open_transport

T = TypeVar("T")

_RETRY = 0.5  # seconds between tries to reach a server that went away
_LOOK_EVERY, _PATIENCE = 0.05, 5.0  # seconds between looks at another process's views, and without any progress of them

uri_option = click.option("--uri", metavar="DIR|URL", help="Data directory or http://host:port. [default: TRACKER_URI or ./tracker-data]")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")


def example(*lines: str) -> str:
    """The end of a command's help: how it is used."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run an async command to its end."""
    # Standard output is for data: what the engine has to say while a directory is open in this process goes to the other one.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    with in_sentences():
        return anyio.run(main)


@contextmanager
def in_sentences() -> Iterator[None]:
    """What a user can run into comes out as one sentence; Ctrl-C ends quietly with 130."""
    try:
        yield
    except (KeyboardInterrupt, TrackerError, EventsError, Malformed, OSError, BaseExceptionGroup) as error:
        raise _failed(first_of(error)) from error


def first_of(error: BaseException) -> BaseException:
    """The error itself, or the first one in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _failed(error: BaseException) -> BaseException:
    if isinstance(error, KeyboardInterrupt):
        return SystemExit(130)
    if isinstance(error, BrokenPipeError):
        return error
    if isinstance(error, Unauthorized):
        return Failed(f"{error}; `tracker token create` makes tokens")
    if isinstance(error, Unreachable):
        return Failed(f"{error}: is the server up? `tracker serve` starts one")
    if isinstance(error, InvalidFilter):
        return Failed(str(error), 2)
    if isinstance(error, TrackerError | EventsError | Malformed | OSError):
        return Failed(str(error))
    return error


def target_of(uri: str | None) -> Target:
    """Where to look: the option, else the environment."""
    try:
        return parse_target(uri or Settings.from_env().uri)
    except TrackerError as error:
        raise Failed(str(error), 2) from error


@asynccontextmanager
async def connect(uri: str | None) -> AsyncIterator[Transport]:
    """A transport to what is there already, whose views show all that the log had at this moment. A directory without data is an
    error, not an empty tracker."""
    target = target_of(uri)
    if target.kind == "directory":
        _existing(target.path)
    async with open_transport(target) as transport:
        await _views_reach_the_log(transport)
        yield transport


async def following(uri: str | None, read: Callable[[Transport], Awaitable[None]], *, resumable: bool) -> None:
    """Have `read` read to its end. If it is `resumable`, it is called again whenever the server went away and came back, and goes on where
    it was."""
    reached = told = False
    while True:
        try:
            async with connect(uri) as transport:
                reached = True
                await read(transport)
                return
        except (Unavailable, BaseExceptionGroup) as error:
            if not (resumable and reached and isinstance(first_of(error), Unavailable)):
                raise
        if not told:
            told = True
            note("the server went away; this goes on when it is back (Ctrl-C ends it)")
        await anyio.sleep(_RETRY)


async def _views_reach_the_log(transport: Transport) -> None:
    """Wait while views are folded, as after an import or with a new version; give up when they do not move, for they tell why."""
    found = await transport.ask("GET", "/v1/info")
    wanted, reached, patience = found["offset"], found["views"], _PATIENCE
    if reached >= wanted:
        return
    with bar("folding the views", wanted) as moved:
        while reached < wanted and patience > 0:
            await anyio.sleep(_LOOK_EVERY)
            before, reached = reached, (await transport.ask("GET", "/v1/info"))["views"]
            patience = patience - _LOOK_EVERY if reached == before else _PATIENCE
            moved(reached)


def directory(uri: str | None, what: str) -> Path:
    """The data directory for a command that works on the files; `what` is the command, for the message."""
    target = target_of(uri)
    if target.kind != "directory":
        raise Failed(f"{what} works on the files: run it where they are, with --uri DIR (not {target.uri})", 2)
    return _existing(target.path)


def _existing(path: Path) -> Path:
    if not (path / "log.db").exists():
        if scan(path / "journals"):
            raise Failed(
                f"{_short(path)} has nothing yet but journals of jobs: `tracker sync --uri {_short(path)}` delivers those that ended", 2
            )
        there = "is no data directory" if path.exists() else "does not exist"
        raise Failed(f"{_short(path)} {there}: say where the data is with --uri or TRACKER_URI, or record something first", 2)
    return path


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else f"./{relative}"
