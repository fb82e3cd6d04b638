"""The seam under the log: what a database must be able to do to keep it. All else is written once, in `log.py`.

One suite (`tests/contract/test_store.py`) exercises every implementation.
"""

from collections.abc import Sequence
from typing import Protocol

from events.record import Batch, Head


class Store(Protocol):
    """Keeps batches. `insert` is for the one writer; the rest may be called by many at once."""

    async def head(self) -> Head:
        """The end of the log as committed."""
        ...

    async def insert(self, batches: Sequence[Batch], head: Head) -> None:
        """Commit `batches`, which follow `head`, all or none, durable on return (fsync), and move the head row in the same
        transaction. Raises Fenced when the head row is not `head` any more, LogClosed when opened for reading."""
        ...

    async def read(
        self, after: int, limit: int, *, size: int = 8 * 1024 * 1024, stream: str | None = None, prefix: str | None = None
    ) -> list[Batch]:
        """The batches that hold any event with an offset greater than `after`, in order: at most `limit`, at least one if any,
        and about `size` bytes of bodies at most. Of one stream, or of streams that begin with `prefix`, when given."""
        ...

    async def version(self, stream: str) -> int:
        """The version of the last event of a stream, 0 when it has none."""
        ...

    async def position(self, producer: str) -> int:
        """The sequence of a producer's last event, 0 when it has none."""
        ...

    async def written(self, producer: str, first: int, last: int) -> list[Batch]:
        """The batches that hold any of the producer's sequences first..last, in order: at least one if any, and no more once their
        bodies have 8 MiB."""
        ...

    async def redact(self, batch: Batch, notice: Batch, head: Head) -> None:
        """Replace the stored body and `original` of the batch at `batch.offset`, nothing else of it, and commit `notice`, which
        follows `head` and says so, in one transaction. The old body is overwritten in the store's files (in SQLite's WAL as soon as
        no other process reads it)."""
        ...

    async def compact(self) -> None:
        """Give the space that redactions left free back to the file system; nothing that is stored changes. Raises DiskFull when
        there is no room to do it, LogClosed when opened for reading."""
        ...

    async def check(self) -> list[str]:
        """The faults of the store's own structures (pages, indexes), in words; none when it is sound."""
        ...
