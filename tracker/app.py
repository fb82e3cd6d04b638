"""The composition root: a data directory, opened. Everything that lives as long as a server does is made, joined and ended here.

What lies in the directory: `lease`, held for life by the one process that writes; `log.db`, the log; `views-<fingerprint>.db`, what it
means; `blobs/`, bytes of artifacts; `journals/`, what other processes recorded here and we deliver.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio.to_thread

from events.lease import hold
from events.log import LogReader, open_log, open_reader
from events.schema import check_format
from events.sqlite import open_sqlite
from projections.rebuild import keep_views
from tracker.directory import App
from tracker.settings import Settings
from tracker.upkeep import keep_writing


@asynccontextmanager
async def open_app(settings: Settings, *, write: bool = True) -> AsyncIterator[App]:
    """The data directory `settings.data`, open. To write it takes its lease: raises DirectoryBusy when another process has it, and
    NewerFormat or Corrupt before anything is changed. Without `write` another process may be its writer; the views must exist then."""
    async with AsyncExitStack() as stack:
        if write:
            settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            await check_format(settings.data / "log.db")  # before the lease file, too, is touched
            stack.enter_context(hold(settings.data / "lease"))
        store = await stack.enter_async_context(open_sqlite(settings.data / "log.db", write=write))
        log: LogReader = await stack.enter_async_context(open_log(store) if write else open_reader(store))
        views = await stack.enter_async_context(keep_views(log, settings.data, write=write))
        app = App(settings, log, views)
        stack.push_async_callback(app.moments.close)
        await app.load()
        if write:
            await anyio.to_thread.run_sync(app.blobs.prepare)
            await stack.enter_async_context(keep_writing(app))
        yield app


__all__ = ["App", "open_app"]
