"""What keeps views up to a log: wait for the pulse, take what has come, fold it in one transaction, pulse in turn.

The more has come meanwhile, the more goes into one transaction, up to a bound that keeps waiting reads short. Small appends that come one
after another gather for a moment, unless somebody waits to see them: what is folded together costs less. A projection that stopped is left
behind; the others go on. Trouble of the disk is waited out: the log goes on, reads show the last good state, health says why.
"""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import msgspec

from events.codec import plain_size
from events.logger import Logger
from events.reading import LogReader
from events.record import Batch
from projections.views import Views

EVENTS, BYTES = 10_000, 8 * 1024 * 1024  # of one transaction; bytes as they are decoded
_GATHER = 0.01  # seconds between the beginnings of two transactions, when nobody waits
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0  # seconds between tries when the disk refuses

_logger = Logger("projections")


async def run(log: LogReader, views: Views) -> None:
    """Keep `views` up to `log`, until cancelled or the log ends (LogClosed)."""
    pause = _FIRST_PAUSE
    while True:
        before = views.offset
        try:
            await _follow(log, views)
        except sqlite3.OperationalError as error:
            pause = _FIRST_PAUSE if views.offset > before else min(2 * pause, _LONGEST_PAUSE)
            views.trouble = str(error)
            _logger.warning("the views cannot be written; trying again", error=str(error), offset=views.offset, seconds=pause)
            await anyio.sleep(pause)


async def _follow(log: LogReader, views: Views) -> None:
    after = views.offset
    began = -_GATHER
    while True:
        await log.wait(after + 1)
        with anyio.move_on_after(began + _GATHER - anyio.current_time()):
            await views.wanted()
        began = anyio.current_time()
        async with aclosing(groups(log, after)) as all_groups:
            async for group in all_groups:
                stopped = _stopped(views)
                await views.apply(group)
                after = max(group[-1].last, views.offset)
                for name in _stopped(views) - stopped:
                    health = views.health[name]
                    _logger.error("a projection stopped", projection=name, offset=health.failed_at, error=health.error)
                if after > group[-1].last:
                    break  # one that lagged behind stopped again: the others are further


def _stopped(views: Views) -> set[str]:
    return {name for name, health in views.health.items() if health.error}


async def groups(log: LogReader, after: int, *, until: int | None = None, stream: str | None = None) -> AsyncGenerator[list[Batch], None]:
    """The batches after `after` in groups for one transaction each. With `until`, the last batch is cut to end there."""
    group: list[Batch] = []
    events = size = 0
    async with aclosing(log.read(after, until=until, stream=stream)) as batches:
        async for batch in batches:
            kept = cut(batch, until)
            group.append(kept)
            events += kept.count
            size += plain_size(kept.body)
            if events >= EVENTS or size >= BYTES:
                yield group
                group, events, size = [], 0, 0
    if group:
        yield group


def cut(batch: Batch, until: int | None) -> Batch:
    """The batch, or its events up to the offset `until` as a batch of their own, good for folding only."""
    if until is None or batch.last <= until:
        return batch
    count = until - batch.offset + 1
    part = msgspec.structs.replace(batch, count=count)
    part.__dict__["events"] = batch.events[:count]
    return part
