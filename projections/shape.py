"""A table as SQLite sees it: its statements, and its rows as tuples of columns.

Columns have no type affinity, so an int stays an int and a float keeps its bits. Small rows live in their key's own tree (WITHOUT ROWID);
rows with blobs or packed columns in a rowid table, whose tree stays narrow. Writes are upserts of many rows in one statement, because each
statement step costs a hand-over of the interpreter's lock; a narrow upsert leaves the indexed columns, and so all indexes, alone.
"""

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, get_origin

import msgspec

from projections.base import Table

Columns = tuple[Any, ...]

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def _getter(names: Sequence[str]) -> Callable[[Any], Columns]:
    if len(names) != 1:
        return attrgetter(*names)
    one = attrgetter(names[0])
    return lambda row: (one(row),)


class Shape:
    """What SQL needs to know of a table, worked out once."""

    def __init__(self, table: Table) -> None:
        fields = msgspec.structs.fields(table.row)
        self.table = table
        self.columns = tuple(field.name for field in fields)
        self.packed = tuple(i for i, field in enumerate(fields) if (get_origin(field.type) or field.type) in (dict, list))
        self.heavy = tuple(i for i, field in enumerate(fields) if i in self.packed or field.type is bytes)
        self.clustered = not (table.rowid or self.heavy)
        indexed = {name for index in table.indexes for name in index} | {*table.key, table.rowid}
        self.key_of = _getter(table.key)
        self.indexed_of = _getter([name for name in self.columns if name in indexed])
        self.all = ", ".join(_quote(name) for name in self.columns)
        self.select = f"SELECT {self.all} FROM {_quote(table.name)} WHERE {self._match()}"  # noqa: S608
        self.delete = f"DELETE FROM {_quote(table.name)} WHERE {self._match()}"  # noqa: S608
        self._full = [name for name in self.columns if name not in table.key and name != table.rowid]
        self._narrow = [name for name in self._full if name not in indexed]

    def _match(self) -> str:
        return " AND ".join(f"{_quote(name)} = ?" for name in self.table.key)

    def create(self) -> list[str]:
        """The statements that make the table and its indexes."""
        table, name = self.table, _quote(self.table.name)
        typed = [f"{_quote(c)} INTEGER PRIMARY KEY" if c == table.rowid else _quote(c) for c in self.columns]
        key = f"{'UNIQUE' if table.rowid else 'PRIMARY KEY'} ({_list(table.key)})"
        made = [f"CREATE TABLE IF NOT EXISTS {name} ({', '.join([*typed, key])}){' WITHOUT ROWID' if self.clustered else ''}"]
        for number, index in enumerate(table.indexes):
            unique = index[0] == "unique"
            title = _quote(f"{table.name}_{number}")
            on = _list(index[1:] if unique else index)
            made.append(f"CREATE {'UNIQUE ' if unique else ''}INDEX IF NOT EXISTS {title} ON {name} ({on})")
        return made

    def upsert(self, rows: int, *, narrow: bool) -> str:
        """Insert or replace `rows` rows; narrow: existing rows whose indexed columns stay as they are."""
        return _upsert(self.table.name, self.columns, self.table.key, tuple(self._narrow if narrow else self._full), rows)

    def encode(self, row: msgspec.Struct) -> Columns:
        """The row's columns."""
        values = msgspec.structs.astuple(row)
        if not self.packed:
            return values
        columns = list(values)
        for i in self.packed:
            columns[i] = _pack(columns[i])
        return tuple(columns)

    def decode(self, columns: Sequence[Any]) -> Any:
        """The row with these columns."""
        values = dict(zip(self.columns, columns, strict=True))
        for i in self.packed:
            name = self.columns[i]
            values[name] = _unpack(values[name])
        return self.table.row(**values)

    def defaults(self) -> dict[str, Any]:
        """What a column holds, as stored, when its field was never set; None where a field has no default."""
        held: dict[str, Any] = {}
        for i, field in enumerate(msgspec.structs.fields(self.table.row)):
            value = field.default if field.default is not msgspec.NODEFAULT else None
            if field.default_factory is not msgspec.NODEFAULT:
                value = field.default_factory()
            held[field.name] = _pack(value) if i in self.packed else value
        return held


@cache
def shape_of(table: Table) -> Shape:
    """The shape of a table."""
    return Shape(table)


@cache
def _upsert(name: str, columns: Columns, key: Columns, change: Columns, rows: int) -> str:
    one = f"({', '.join('?' * len(columns))})"
    action = f"DO UPDATE SET {', '.join(f'{_quote(c)} = excluded.{_quote(c)}' for c in change)}" if change else "DO NOTHING"
    values = ", ".join([one] * rows)
    return f"INSERT INTO {_quote(name)} ({_list(columns)}) VALUES {values} ON CONFLICT ({_list(key)}) {action}"  # noqa: S608


def _quote(name: str) -> str:
    return f'"{name}"'


def _list(names: Sequence[str]) -> str:
    return ", ".join(_quote(name) for name in names)
