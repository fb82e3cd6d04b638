"""What a projection is: which tables it fills, and how a batch of events changes their rows.

A fold is a pure function over `Rows`, a keyed store of row structs: in production a write-back cache over the views database that
lives for one transaction, in tests and for time travel a dict. A fold knows no SQL, no clock and no I/O, and it never refuses
history: what is illegal or unknown is kept, marked or counted. It reads only tables of its own projection: others may have stopped
elsewhere. Equal events give equal rows, however they were grouped into batches or transactions. Row ids are offsets of events,
so that they, too, are functions of the log.
"""

from typing import Any, Protocol

import msgspec

from events.record import Batch


class Table(msgspec.Struct, frozen=True):
    """A view table. The fields of `row` are its columns, in order, without type affinity, so that values stay exact; dict and list
    fields are stored as msgpack, a bool or None comes back as SQLite has it. `key` is the primary key. `indexes` are column tuples;
    a leading "unique" makes one unique. `rowid` names the integer column that is SQLite's rowid too, the fastest to join by."""

    name: str
    row: type[msgspec.Struct]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    rowid: str = ""


class Rows(Protocol):
    """The rows a fold may read and change. Structs returned by `get` may be mutated, then must be `put`."""

    def get(self, table: Table, *key: Any) -> Any:
        """The row with this primary key, or None."""
        ...

    def put(self, table: Table, row: msgspec.Struct) -> None:
        """Insert the row, or replace the one with its key."""
        ...

    def delete(self, table: Table, *key: Any) -> None:
        """Remove the row with this key, if it exists."""
        ...


class Projection(Protocol):
    """One fold with its tables. `version` is raised when the fold changes its mind; with the tables it makes the fingerprint."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def tables(self) -> tuple[Table, ...]: ...  # noqa: D102

    def fold(self, rows: Rows, batch: Batch) -> None:
        """Bring the rows from before `batch` to after it."""
        ...
