"""Faults built into a server on purpose. A test that passes on a broken build proves nothing: these are the builds it must not pass on."""

from collections.abc import Callable
from typing import Any

import anyio

from events.log import EventLog
from events.sealing import Append, Receipt, Sealer
from tracker.journal import Journal


def acknowledge_before_commit() -> None:
    """The reply goes out when the batch is sealed; the commit follows a moment later."""
    commit = EventLog._commit

    async def eager(log: EventLog, group: list[Append]) -> None:
        for append in group:
            position = log._sealer._positions.get(append.new.producer, append.new.sequence - 1)
            if append.new.sequence == position + 1:
                append.receipt = Receipt(log.head.offset + len(append.events), 0)
                append.done.set()
        await anyio.sleep(0.02)
        await commit(log, group)

    EventLog._commit = eager  # type: ignore[method-assign, assignment]


def forget_producers() -> None:
    """A batch that was recorded before is recorded again, under sequences of its own."""
    seal = Sealer.seal

    async def forgetful(sealer: Sealer, group: list[Append]) -> Any:
        for append in group:
            position = await sealer._store.position(append.new.producer)
            if append.new.sequence <= position:
                append.new = type(append.new)(
                    stream=append.new.stream, events=append.new.events, producer=append.new.producer, sequence=position + 1
                )
        return await seal(sealer, group)

    Sealer.seal = forgetful  # type: ignore[method-assign, assignment]


def skip_in_tails() -> None:
    """A tail that was cut off resumes one batch too late."""
    tail = EventLog.tail

    async def hasty(log: EventLog, after: int = 0, **choice: Any) -> Any:
        skipped = after == 0
        async for batch in tail(log, after, **choice):
            if skipped:
                yield batch
            skipped = True

    EventLog.tail = hasty  # type: ignore[method-assign, assignment]


def write_journal_late() -> None:
    """What the job says reaches the file only when there is much of it."""
    append = Journal.append
    waiting: list[tuple[bytes, int, bytes]] = []

    def late(journal: Journal, stream: bytes, count: int, events: bytes) -> int:
        waiting.append((stream, count, events))
        while len(waiting) > 500:
            append(journal, *waiting.pop(0))
        return journal.written

    Journal.append = late  # type: ignore[method-assign, assignment]


FAULTS: dict[str, Callable[[], None]] = {
    "acknowledge before commit": acknowledge_before_commit,
    "forget producers": forget_producers,
    "skip in tails": skip_in_tails,
    "write the journal late": write_journal_late,
}
