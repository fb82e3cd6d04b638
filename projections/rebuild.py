"""The views of a directory: opened, kept up to the log, and built again beside themselves when they must be.

Blue and green: the new file is folded from the first event while the present one serves reads (and, when it is of today's shape, goes on);
when the new one is as far, the two change places between two reads, and the old file is deleted. A rebuild that is cut short
leaves a file that is not ready; the next start deletes it. Views that are damaged, not believed, or of another log are never served.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from events.connection import SCRATCH, connect
from events.errors import Corrupt, LogClosed
from events.logger import Logger
from events.reading import LogReader
from projections import trust
from projections.base import Projection
from projections.files import bridge, choose, fingerprint, fresh_path, mark_ready, views_files
from projections.registry import PROJECTIONS
from projections.runner import groups, run
from projections.views import Views, ViewsFile, open_file

Progress = Callable[[int, int], None]

_RETRY = 10.0  # seconds after a rebuild that the disk refused
_LOOK_EVERY = 0.5  # seconds between looks whether another process's file is still there
_logger = Logger("projections")


@asynccontextmanager
async def keep_views(
    log: LogReader, directory: Path, projections: Sequence[Projection] = PROJECTIONS, *, write: bool = True
) -> AsyncIterator[Views]:
    """The views of `directory`, and a task that keeps them up to `log` and rebuilds them when they must be. For the log's one writer;
    without `write`, the views which that writer keeps, or ones for us alone when it has none that serve."""
    print_ = fingerprint(projections)
    path, current = await choose(log, directory, print_, trusting=not write)
    if write:
        await anyio.to_thread.run_sync(_remove_others, directory, path)
    file = await _open(directory, projections, path, current=current, write=write)
    views = Views(file, projections)
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            if file.followed:
                tasks.start_soon(_go_along, log, views, directory)
            else:
                tasks.start_soon(_maintain, log, views, directory, path is not None and not current)
            try:
                yield views
            except Exception as error:  # noqa: BLE001 - raised again below, so that it does not come out in a group
                failure = error
            tasks.cancel_scope.cancel()
    finally:
        await views.close()
        if write and views.writable and not views.damaged.is_set():
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(trust.closed, Path(views.path))
    if failure is not None:
        raise failure


async def rebuild(log: LogReader, views: Views, directory: Path, progress: Progress | None = None) -> None:
    """Build the views again beside the present ones, while those serve, and let them change places.
    `progress(done, total)` is told offsets. For the process that keeps the views of `directory`."""
    async with views.building:
        await _build(log, views, directory, progress)


async def _build(log: LogReader, views: Views, directory: Path, progress: Progress | None) -> None:
    old, path = views.path, await anyio.to_thread.run_sync(fresh_path, directory, fingerprint(views.projections))
    fresh, done = await _create(path, views.projections), 0
    try:

        async def advance(until: int) -> None:
            nonlocal done
            async with aclosing(groups(log, done, until=until)) as all_groups:
                async for group in all_groups:
                    await fresh.apply(group)
                    done = group[-1].last
                    views.rebuilding = (done, max(until, log.head.offset))
                    if progress is not None:
                        progress(*views.rebuilding)

        async def catch_up(offset: int) -> None:
            await advance(offset)
            assert fresh.writer is not None
            await fresh.writer.run(mark_ready)
            views.rebuilding = None

        while done < (head := log.head.offset):
            await advance(head)
        await views.flip(fresh, catch_up)
    except BaseException:
        if views.path != str(path):
            await fresh.close()
            trust.remove(path)
        raise
    finally:
        views.rebuilding = None
    if old != SCRATCH:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(trust.remove, Path(old))


async def _maintain(log: LogReader, views: Views, directory: Path, stale: bool) -> None:
    """Rebuild what is stale or found to be damaged; otherwise follow the log."""
    while True:
        if stale or views.damaged.is_set():
            try:
                await rebuild(log, views, directory)
            except sqlite3.OperationalError as error:
                views.trouble = str(error)
                _logger.warning("the views cannot be rebuilt; trying again", error=str(error), seconds=_RETRY)
                await anyio.sleep(_RETRY)
                continue
            except LogClosed:
                return
            stale = False
            views.damaged = anyio.Event()
            _logger.info("the views were rebuilt", offset=views.offset)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_follow, log, views)
            await views.damaged.wait()
            tasks.cancel_scope.cancel()


async def _go_along(log: LogReader, views: Views, directory: Path) -> None:
    """When the writer has put another file in the place of the one we read, read that."""

    async def nothing(_: int) -> None:
        pass

    while True:
        await anyio.sleep(_LOOK_EVERY)
        if not await anyio.to_thread.run_sync(Path(views.path).exists):
            path, current = await choose(log, directory, fingerprint(views.projections), trusting=True)
            if path is not None:
                await views.flip(await _open(directory, views.projections, path, current=current, write=False), nothing)


async def _follow(log: LogReader, views: Views) -> None:
    with suppress(LogClosed):
        try:
            await run(log, views)
        except Corrupt:
            if not views.damaged.is_set():  # the log is, then
                raise


async def _open(directory: Path, projections: Sequence[Projection], path: Path | None, *, current: bool, write: bool) -> ViewsFile:
    if path is None:
        if not write:
            return await open_file(SCRATCH, projections, write=True)
        file = await _create(await anyio.to_thread.run_sync(fresh_path, directory, fingerprint(projections)), projections)
        assert file.writer is not None
        await file.writer.run(mark_ready)
        return file
    if current and write:
        await anyio.to_thread.run_sync(trust.opened, path)
        return await open_file(path, projections, write=True)
    setup = ""
    if not current:
        async with connect(path, write=False) as db:
            setup = await db.run(lambda raw: bridge(raw, projections))
    file = await open_file(path, projections, write=False, setup=setup)
    file.followed = not write
    return file


async def _create(path: Path, projections: Sequence[Projection]) -> ViewsFile:
    await anyio.to_thread.run_sync(trust.opened, path)
    return await open_file(path, projections, write=True)


def _remove_others(directory: Path, kept: Path | None) -> None:
    for _, _, path in views_files(directory):
        if path != kept:
            trust.remove(path)
