"""What jobs printed: raw bytes, addressed by their position in the run's console.

All attempts, iterations and sources of a run share one console, in log order. Bytes are never decoded, split or joined here.
"""

import msgspec

from events.record import Batch
from events.types import ConsoleWritten
from projections.base import Rows, Table
from projections.lifecycle import subject_of
from projections.values import fit


class ConsoleRow(msgspec.Struct, kw_only=True):
    """The console of a run: how much there is."""

    project: str
    uid: str
    id: int  # offset of the first event that wrote bytes to it
    size: int = 0  # bytes
    time: int = 0  # of the last bytes


class TextRow(msgspec.Struct, kw_only=True):
    """Bytes as one event brought them."""

    console: int
    start: int  # position of the first byte
    offset: int  # of the event
    time: int
    source: str
    iteration: int
    attempt: str
    data: bytes


CONSOLES = Table("consoles", ConsoleRow, key=("project", "uid"), rowid="id")
TEXTS = Table("console_texts", TextRow, key=("console", "start"))


class Console:
    """The fold of `ConsoleWritten`."""

    name = "console"
    version = 1
    tables = (CONSOLES, TEXTS)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """Append the bytes of the batch. An event without bytes has no place in an address space of bytes; it stays in the log."""
        subject = subject_of(batch.stream)
        if subject is None or ConsoleWritten not in batch.kinds:
            return
        project, uid = subject
        console: ConsoleRow | None = None
        for offset, event in enumerate(batch.events, batch.offset):
            if type(event) is not ConsoleWritten or not event.data:
                continue
            if console is None:
                console = rows.get(CONSOLES, project, uid) or ConsoleRow(project=project, uid=uid, id=offset)
            rows.put(
                TEXTS,
                TextRow(
                    console=console.id,
                    start=console.size,
                    offset=offset,
                    time=fit(event.time),
                    source=event.source,
                    iteration=event.iteration if 0 <= event.iteration < 2**31 else 0,
                    attempt=event.attempt,
                    data=event.data,
                ),
            )
            console.size += len(event.data)
            console.time = fit(event.time)
        if console is not None:
            rows.put(CONSOLES, console)
