"""The rows of one projection during a transaction: a write-back cache over its tables.

A fold that changes a row 500 times costs one row written. What was read stays in memory for the next transactions within a budget of bytes;
what a fold only puts (and never reads back) does not. Lives in the thread of the writing connection. After a rollback `forget` drops all
that may have been changed in place.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from projections.base import Table
from projections.shape import Columns, Shape, shape_of

BUDGET = 16 * 1024 * 1024  # estimated bytes of one table's rows that stay in memory between transactions
_ROW = 1024  # estimated bytes of a row as objects, beside its packed columns and blobs, which take about twice their length
_UNKNOWN = ("unknown",)  # whether the database holds the row was never asked
_CHUNKS = (64, 8, 1)  # rows in one statement; few sizes, so that all statements stay prepared


class _Entry:
    __slots__ = ("changed", "read", "row", "stored", "weight")

    def __init__(self, row: Any, stored: Columns | None, *, read: bool) -> None:
        self.row = row  # None: there is no such row
        self.stored = stored  # the indexed columns as the database has them, None when it has no such row
        self.read = read
        self.changed = False
        self.weight = 0


class _Cache:
    def __init__(self, connection: sqlite3.Connection, shape: Shape) -> None:
        self.connection, self.shape = connection, shape
        self.live: dict[Columns, _Entry] = {}  # touched in this transaction
        self.warm: dict[Columns, _Entry] = {}  # as committed, least recently used first
        self.weight = 0

    def find(self, key: Columns, *, load: bool) -> _Entry:
        entry = self.warm.pop(key, None)
        if entry is not None:
            self.weight -= entry.weight
        elif load:
            columns = self.connection.execute(self.shape.select, key).fetchone()
            row = None if columns is None else self.shape.decode(columns)
            stored = None if row is None else self.shape.indexed_of(row)
            entry = _Entry(row, stored, read=True)
            entry.weight = _ROW + (2 * sum(len(columns[i]) for i in self.shape.heavy) if columns else 0)
        else:
            entry = _Entry(None, _UNKNOWN, read=False)
        self.live[key] = entry
        return entry

    def flush(self) -> None:
        """Write what changed."""
        narrow: list[Columns] = []
        full: list[Columns] = []
        gone: list[Columns] = []
        shape = self.shape
        heavy = shape.heavy
        for key, entry in self.live.items():
            if not entry.changed:
                continue
            if entry.row is None:
                if entry.stored is not None:
                    gone.append(key)
                entry.stored = None
                continue
            columns = shape.encode(entry.row)
            entry.weight = _ROW + 2 * sum(len(columns[i]) for i in heavy)
            now = shape.indexed_of(entry.row)
            (narrow if entry.stored == now else full).append(columns)
            entry.stored = now
        if gone:
            self.connection.executemany(shape.delete, gone)
        self._write(narrow, narrow=True)
        self._write(full, narrow=False)

    def _write(self, rows: Sequence[Columns], *, narrow: bool) -> None:
        start, total = 0, len(rows)
        for size in _CHUNKS:
            while total - start >= size:
                flat = rows[start] if size == 1 else [value for columns in rows[start : start + size] for value in columns]
                self.connection.execute(self.shape.upsert(size, narrow=narrow), flat)
                start += size

    def settle(self) -> None:
        """After the commit: keep what was read, within the budget."""
        for key, entry in self.live.items():
            entry.changed = False
            if entry.read and entry.row is not None:
                self.warm[key] = entry
                self.weight += entry.weight
        self.live.clear()
        while self.weight > BUDGET:
            self.weight -= self.warm.pop(next(iter(self.warm))).weight


class WriteBack:
    """The Rows of one projection over its tables in the views database."""

    def __init__(self, connection: sqlite3.Connection, tables: Sequence[Table]) -> None:
        self._caches = {table.name: _Cache(connection, shape_of(table)) for table in tables}

    def get(self, table: Table, *key: Any) -> Any:
        """The row with this primary key, or None."""
        cache = self._caches[table.name]
        entry = cache.live.get(key) or cache.find(key, load=True)
        return entry.row

    def put(self, table: Table, row: msgspec.Struct) -> None:
        """Insert the row, or replace the one with its key."""
        cache = self._caches[table.name]
        key = cache.shape.key_of(row)
        entry = cache.live.get(key) or cache.find(key, load=False)
        entry.row = row
        entry.changed = True

    def delete(self, table: Table, *key: Any) -> None:
        """Remove the row with this key, if it exists."""
        cache = self._caches[table.name]
        entry = cache.live.get(key) or cache.find(key, load=False)
        entry.row = None
        entry.changed = True

    def flush(self) -> None:
        """Write what changed into the open transaction."""
        for cache in self._caches.values():
            cache.flush()

    def settle(self) -> None:
        """The transaction was committed."""
        for cache in self._caches.values():
            cache.settle()

    def forget(self) -> None:
        """The transaction was rolled back: rows in memory may not be what the database holds."""
        for cache in self._caches.values():
            cache.live.clear()
            cache.warm.clear()
            cache.weight = 0
