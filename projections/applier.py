"""What brings the views forward: folds, rows and checkpoints in one transaction, inside the thread of the writing connection.

Each projection has its own checkpoint. A fold that raises is found out batch by batch, stops its own projection before the batch it failed
at, and the others go on; on the next opening it is tried again. Trouble with the database itself (a full disk, a damaged file) is nobody's
fault: nothing is applied and the error goes to the caller.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from events.connection import transaction
from events.record import Batch
from projections.base import Projection
from projections.shape import shape_of
from projections.writeback import WriteBack

_POISON = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)  # caused by what a fold made

TABLES = (
    "CREATE TABLE IF NOT EXISTS checkpoint (projection PRIMARY KEY, offset, digest, error, failed_at) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS about (key PRIMARY KEY, value) WITHOUT ROWID",
)


class Health(msgspec.Struct, frozen=True):
    """How far a projection is, and the digest of the batch there. `error` is why it stopped, "" when it goes on; `failed_at` the offset
    of the batch it could not fold."""

    offset: int = 0
    digest: bytes = b""
    error: str = ""
    failed_at: int = 0


class _Part:
    def __init__(self, projection: Projection, rows: WriteBack, health: Health) -> None:
        self.projection, self.rows = projection, rows
        self.health = health  # as committed
        self.next = health  # as it will be after this transaction

    def advance(self, batches: Sequence[Batch]) -> None:
        fold, rows, after = self.projection.fold, self.rows, self.health.offset
        for batch in batches:
            if batch.offset > after:
                fold(rows, batch)
        rows.flush()
        if batches and batches[-1].last > self.next.offset:
            self.next = Health(batches[-1].last, batches[-1].digest)


class Applier:
    """The write side of a views database. All methods are called in the connection's thread."""

    def __init__(self, db: sqlite3.Connection, projections: Sequence[Projection]) -> None:
        self._db = db
        with transaction(db):
            for statement in TABLES:
                db.execute(statement)
            for projection in projections:
                for table in projection.tables:
                    for statement in shape_of(table).create():
                        db.execute(statement)
                db.execute("INSERT OR IGNORE INTO checkpoint VALUES (?, 0, x'', '', 0)", (projection.name,))
        reached = read_health(db)
        begin = {name: Health(health.offset, health.digest) for name, health in reached.items()}  # what had stopped is tried again
        self._parts = [_Part(p, WriteBack(db, p.tables), begin[p.name]) for p in projections]

    @property
    def health(self) -> dict[str, Health]:
        """How far each projection is, as committed."""
        return {part.projection.name: part.health for part in self._parts}

    def apply(self, batches: Sequence[Batch], upto: int = 0) -> dict[str, Health]:
        """Fold consecutive batches; then move the checkpoints on to `upto` when nothing else up to there concerns these views."""
        try:
            try:
                self._commit(partial(_fold_all, batches), upto)
            except Exception as error:
                if not is_poison(error):
                    raise
                self._forget()
                self._commit(partial(self._isolate, batches), upto)
        except BaseException:
            self._forget()
            raise
        return self.health

    def _commit(self, advance: "partial[None]", upto: int) -> None:
        going = [part for part in self._parts if not part.health.error]
        with transaction(self._db):
            for part in going:
                part.next = part.health
                advance(part)
                if upto > part.next.offset and not part.next.error:
                    part.next = Health(upto, part.next.digest)
            changes = [(*msgspec.structs.astuple(p.next), p.projection.name) for p in going if p.next != p.health]
            self._db.executemany("UPDATE checkpoint SET offset = ?, digest = ?, error = ?, failed_at = ? WHERE projection = ?", changes)
        for part in going:
            part.rows.settle()
            part.health = part.next

    def _isolate(self, batches: Sequence[Batch], part: _Part) -> None:
        """All batches at once when that goes well, else one by one up to the one that fails."""
        if self._attempt(part, batches) is None:
            return
        for batch in batches:
            error = self._attempt(part, [batch])
            if error is not None:
                part.next = Health(part.next.offset, part.next.digest, f"{type(error).__name__}: {error}", batch.offset)
                return

    def _attempt(self, part: _Part, batches: Sequence[Batch]) -> Exception | None:
        before = part.next
        self._db.execute("SAVEPOINT part")
        try:
            part.advance(batches)
        except Exception as error:
            if not is_poison(error):
                raise
            self._db.execute("ROLLBACK TO part")
            part.rows.forget()
            part.next = before
            return error
        finally:
            if self._db.in_transaction:
                self._db.execute("RELEASE part")
        part.rows.settle()
        return None

    def _forget(self) -> None:
        for part in self._parts:
            part.rows.forget()


def _fold_all(batches: Sequence[Batch], part: _Part) -> None:
    part.advance(batches)


def read_health(db: sqlite3.Connection) -> dict[str, Health]:
    """How far each projection is, as this connection sees it."""
    return {name: Health(*rest) for name, *rest in db.execute("SELECT projection, offset, digest, error, failed_at FROM checkpoint")}


def is_poison(error: Exception) -> bool:
    """Whether a fold is to blame, and not the database or the machine."""
    if isinstance(error, sqlite3.Error):
        return isinstance(error, _POISON)
    return not isinstance(error, (MemoryError, OSError))
