"""Rows, read as a frame of the library that the caller works with: pandas, polars or pyarrow.

A frame is read from an open file, so columns that nobody wants are never fetched from a parquet file far away. A JSON file is a list of
objects or an object of columns, and a jsonl file an object in every line, for every library alike. What cannot be read is told with the
format and the place.
"""

import json
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tracker.dataitem.urls import shown
from tracker.errors import InvalidRequest, TrackerError

if TYPE_CHECKING:
    from tracker.dataitem.item import DataItem

FORMATS = {"csv": "csv", "parquet": "parquet", "pq": "parquet", "json": "json", "jsonl": "jsonl", "ndjson": "jsonl"}
MODULES = ("pandas", "polars", "pyarrow")
Times = tuple[str | None, Any, Any]  # column, from, up to
Reader = Callable[[Any, list[str] | None, dict[str, Any]], Any]


def read_frame(item: "DataItem", columns: list[str] | None, df_module: Any, format: str, times: Times, options: dict[str, Any]) -> Any:
    """The rows of an item. Raises InvalidRequest for an unknown format, module or column, and for what cannot be read."""
    library = _library(df_module)
    wanted = _columns(columns)
    if times[0] is None and (times[1] is not None or times[2] is not None):
        raise InvalidRequest("start_time and end_time need a time_column", field="time_column")
    place = item.place()  # before the suffix is looked at: an artifact's is known by then
    if not format and not _known(item) and _is_directory(place):
        return _parts(item, columns, df_module, format, times, options)
    kind = _format(item, format)
    try:
        return _one(item, library, kind, wanted, times, options)
    except (IsADirectoryError, FileNotFoundError):
        if not _is_directory(place):
            raise
    return _parts(item, columns, df_module, kind, times, options)


def _one(item: "DataItem", library: str, kind: str, wanted: list[str] | None, times: Times, options: dict[str, Any]) -> Any:
    column = times[0]
    asked = [*wanted, column] if wanted is not None and column is not None and column not in wanted else wanted
    try:
        with item.place().open("rb") as file:
            frame = _READERS[library, kind](file, asked, options)
            return frame if column is None else _between(frame, column, times[1], times[2], wanted)
    except (TrackerError, ImportError, MemoryError):
        raise
    except OSError as error:
        damaged = type(error) is OSError and error.errno is None and not str(error).startswith(shown(item.url))  # pyarrow's way to say it
        if damaged or type(error).__module__ != "builtins":
            raise _unreadable(item, kind, error) from error
        raise
    except Exception as error:  # every library has errors of its own
        raise _unreadable(item, kind, error) from error


def _is_directory(place: Any) -> bool:
    return bool(place.stat().content_type == "inode/directory")


def _parts(item: "DataItem", columns: list[str] | None, df_module: Any, format: str, times: Times, options: dict[str, Any]) -> Any:
    """The rows of all files of a directory, in the order of their names; what begins with a dot or an underscore is no part of it."""
    import narwhals

    names = [name for name in item.ls() if not name.startswith((".", "_"))]
    if deeper := [name for name in names if name.endswith("/")]:
        raise InvalidRequest(f"{item} holds directories, {deeper[0]} first: read one of them with .file({deeper[0][:-1]!r})", field="url")
    if not names:
        raise InvalidRequest(f"{item} is a directory without files", field="url")
    found = [narwhals.from_native(read_frame(item.file(name), columns, df_module, format, times, options)) for name in names]
    try:
        return narwhals.concat(found).to_native()
    except Exception as error:  # every library has errors of its own
        raise _unreadable(item, "one frame", error) from error


def _unreadable(item: "DataItem", kind: str, error: Exception) -> InvalidRequest:
    text = " ".join(str(error).split())[:500] or type(error).__name__
    return InvalidRequest(f"{item} cannot be read as {kind}: {text}", field="format")


def _known(item: "DataItem") -> str:
    """What the suffix of the file, or its artifact, says of the format."""
    return item.suffix.removeprefix(".") or (item.meta.format if item.meta is not None else "")


def _format(item: "DataItem", format: str) -> str:
    asked = format or _known(item)
    found = FORMATS.get(asked.lower())
    if found is None:
        what = f"the format {asked!r} is not one of frames" if asked else f"{item} has no suffix that tells its format"
        raise InvalidRequest(f"{what}: give format= one of {', '.join(FORMATS)}", field="format")
    return found


def _columns(columns: Any) -> list[str] | None:
    if columns is None:
        return None
    if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
        raise InvalidRequest("columns must be a list of names", field="columns")
    return list(columns)


def _library(df_module: Any) -> str:
    name = "pandas" if df_module is None else df_module.__name__ if isinstance(df_module, ModuleType) else str(df_module)
    name = name.partition(".")[0]
    if name not in MODULES:
        raise InvalidRequest(f"frames of {name!r} are not read here: df_module must be one of {', '.join(MODULES)}", field="df_module")
    try:
        __import__(name)
    except ImportError as error:
        extra = "polars" if name == "polars" else "'run-tracker[data]'"
        raise ModuleNotFoundError(f"as_df needs {name}: pip install {extra}", name=name) from error
    return name


def _between(frame: Any, column: str, start: Any, end: Any, wanted: list[str] | None) -> Any:
    import narwhals

    rows = narwhals.from_native(frame, eager_only=True)
    if column not in rows.columns:
        raise InvalidRequest(f"there is no column {column!r}, there are {', '.join(rows.columns[:50])}", field="time_column")
    when = narwhals.col(column)
    if start is not None:
        rows = rows.filter(when >= start)
    if end is not None:
        rows = rows.filter(when < end)
    return (rows if wanted is None else rows.select(wanted)).to_native()


def _rows(file: Any, lines: bool) -> dict[str, list[Any]]:
    """The columns of a JSON text."""
    found: Any = [json.loads(line) for line in file if line.strip()] if lines else json.load(file)
    if isinstance(found, dict):
        columns = {str(name): list(values.values()) if isinstance(values, dict) else values for name, values in found.items()}
        if any(not isinstance(values, list) for values in columns.values()):
            raise ValueError("an object of columns must have a list for each")
        return columns
    if not isinstance(found, list) or any(not isinstance(row, dict) for row in found):
        raise ValueError("it is neither a list of objects nor an object of columns")
    names = list(dict.fromkeys(name for row in found for name in row))
    return {name: [row.get(name) for row in found] for name in names}


def _chosen(columns: dict[str, list[Any]], wanted: list[str] | None) -> dict[str, list[Any]]:
    missing = [name for name in wanted or () if name not in columns]
    if missing:
        raise ValueError(f"there is no column {missing[0]!r}, there are {', '.join(list(columns)[:50])}")
    return columns if wanted is None else {name: columns[name] for name in wanted}


def _pandas_csv(file: Any, columns: list[str] | None, options: dict[str, Any]) -> Any:
    import pandas

    frame = pandas.read_csv(file, usecols=columns, **options)
    return frame if columns is None else frame[columns]


def _pandas_parquet(file: Any, columns: list[str] | None, options: dict[str, Any]) -> Any:
    import pandas

    return pandas.read_parquet(file, columns=columns, **options)


def _pandas_json(file: Any, columns: list[str] | None, options: dict[str, Any], lines: bool = False) -> Any:
    import pandas

    return pandas.DataFrame(_chosen(_rows(file, lines), columns), **options)


def _polars_csv(file: Any, columns: list[str] | None, options: dict[str, Any]) -> Any:
    import polars

    frame = polars.read_csv(file, columns=columns, **options)
    return frame if columns is None else frame.select(columns)


def _polars_parquet(file: Any, columns: list[str] | None, options: dict[str, Any]) -> Any:
    import polars

    return polars.read_parquet(file, columns=columns, **options)


def _polars_json(file: Any, columns: list[str] | None, options: dict[str, Any], lines: bool = False) -> Any:
    import polars

    return polars.DataFrame(_chosen(_rows(file, lines), columns), **options)


def _pyarrow_csv(file: Any, columns: list[str] | None, options: dict[str, Any]) -> Any:
    from pyarrow import csv

    if columns is not None:
        options = {"convert_options": csv.ConvertOptions(include_columns=columns), **options}
    return csv.read_csv(file, **options)


def _pyarrow_parquet(file: Any, columns: list[str] | None, options: dict[str, Any]) -> Any:
    from pyarrow import parquet

    table = parquet.read_table(file, columns=columns, **options)
    if columns is not None and (missing := [name for name in columns if name not in table.column_names]):
        raise ValueError(f"there is no column {missing[0]!r}")
    return table


def _pyarrow_json(file: Any, columns: list[str] | None, options: dict[str, Any], lines: bool = False) -> Any:
    import pyarrow

    return pyarrow.table(_chosen(_rows(file, lines), columns), **options)


def _lines(reader: Any) -> Reader:
    return lambda file, columns, options: reader(file, columns, options, lines=True)


_READERS: dict[tuple[str, str], Reader] = {
    ("pandas", "csv"): _pandas_csv,
    ("pandas", "parquet"): _pandas_parquet,
    ("pandas", "json"): _pandas_json,
    ("pandas", "jsonl"): _lines(_pandas_json),
    ("polars", "csv"): _polars_csv,
    ("polars", "parquet"): _polars_parquet,
    ("polars", "json"): _polars_json,
    ("polars", "jsonl"): _lines(_polars_json),
    ("pyarrow", "csv"): _pyarrow_csv,
    ("pyarrow", "parquet"): _pyarrow_parquet,
    ("pyarrow", "json"): _pyarrow_json,
    ("pyarrow", "jsonl"): _lines(_pyarrow_json),
}
