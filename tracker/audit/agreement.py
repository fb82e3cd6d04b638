"""Whether two views databases hold the same rows, byte for byte.

Both are walked in the order of each table's key, side by side, some hundred rows at a time: memory stays small whatever their size.
"""

import marshal
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

from projections.base import Table
from projections.shape import shape_of

_ROWS = 500
Row = tuple[Any, ...]


def disagreements(kept: sqlite3.Connection, rebuilt: sqlite3.Connection, tables: Iterable[Table], most: int = 5) -> list[str]:
    """What differs, in words, at most `most` sentences for each table; empty when nothing does."""
    found = []
    for table in tables:
        found += _of_table(kept, rebuilt, table, most)
    return found


def _of_table(kept: sqlite3.Connection, rebuilt: sqlite3.Connection, table: Table, most: int) -> list[str]:
    columns = shape_of(table).columns
    key = [columns.index(name) for name in table.key]
    found: list[str] = []
    for row, other in _unequal(_pages(kept, table), _pages(rebuilt, table), key):
        if len(found) == most:
            return [*found, f"{table.name}: and more"]
        name = ", ".join(f"{table.key[i]} {(row or other or ())[k]!r}" for i, k in enumerate(key))
        found.append(f"{table.name}: {name}: {_difference(columns, row, other)}")
    return found


def _pages(db: sqlite3.Connection, table: Table) -> Iterator[list[Row]]:
    order = ", ".join(f'"{name}"' for name in table.key)
    cursor = db.execute(f'SELECT {shape_of(table).all} FROM "{table.name}" ORDER BY {order}')  # noqa: S608 - names of our own tables
    while rows := cursor.fetchmany(_ROWS):
        yield rows


def _unequal(one: Iterator[list[Row]], other: Iterator[list[Row]], key: list[int]) -> Iterator[tuple[Row | None, Row | None]]:
    """Rows that differ, paired by their key; None where a side has none."""
    nothing: list[Row] = []
    for ours, theirs in zip_longest(one, other, fillvalue=nothing):
        if not _same(ours, theirs):  # from here on row by row
            yield from _merged(chain(ours, chain.from_iterable(one)), chain(theirs, chain.from_iterable(other)), key)


def _merged(one: Iterator[Row], other: Iterator[Row], key: list[int]) -> Iterator[tuple[Row | None, Row | None]]:
    row, twin = next(one, None), next(other, None)
    while row is not None or twin is not None:
        here = None if row is None else tuple(row[k] for k in key)
        there = None if twin is None else tuple(twin[k] for k in key)
        if there is None or (here is not None and here < there):
            yield row, None
            row = next(one, None)
        elif here is None or there < here:
            yield None, twin
            twin = next(other, None)
        else:
            if not _same(row, twin):
                yield row, twin
            row, twin = next(one, None), next(other, None)


def _same(one: Any, other: Any) -> bool:
    # marshal tells 1 from 1.0 and 0.0 from -0.0, and is ten times faster than comparing value by value.
    return marshal.dumps(one, 2) == marshal.dumps(other, 2)


def _difference(columns: Sequence[str], row: Row | None, other: Row | None) -> str:
    if row is None:
        return "is missing in the views"
    if other is None:
        return "is in the views, but not in a rebuild"
    differing = [name for name, a, b in zip(columns, row, other, strict=True) if not _same(a, b)]
    return f"{', '.join(differing)} differ"
