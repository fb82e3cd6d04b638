"""Frames of any library, read and written through narwhals: pandas, polars, pyarrow, modin, cuDF, and lazy ones, which are collected.

A pandas index that says something (it has a name, or is not of integers) counts as the first columns, in a description and in csv; one
that merely counts rows, or did before rows were left out, does not. Widths and texts of a preview are bounded, because it travels in an
event.
"""

from collections.abc import Sequence
from typing import Any

from tracker.errors import InvalidRequest
from tracker.values import plain

FORMATS = {"parquet": "parquet", "pq": "parquet", "csv": "csv"}
PREVIEW_ROWS, PREVIEW_COLUMNS, PREVIEW_CELLS, PREVIEW_TEXT = 20, 100, 20_000, 200
MAX_COLUMNS = 10_000  # described in an event


def format_of(text: str) -> str:
    """The format meant by a word or a file's suffix. Raises InvalidRequest."""
    found = FORMATS.get(text.lower().removeprefix("."))
    if found is None:
        raise InvalidRequest(f"a dataset's format is parquet or csv, not {text!r}", field="format")
    return found


class Frame:
    """A frame, whatever library made it."""

    def __init__(self, native: Any, key: str) -> None:
        try:
            import narwhals as nw
        except ImportError:
            raise InvalidRequest("a dataset needs narwhals: pip install 'run-tracker[data]'", field="df") from None
        self._key = key
        try:
            frame = nw.from_native(_tabular(native), allow_series=True)
            if isinstance(frame, nw.LazyFrame):
                frame = frame.collect()
            if isinstance(frame, nw.Series):
                frame = frame.to_frame()
        except TypeError as error:
            if not str(error).startswith(("Expected", "Unsupported", "Unknown")):
                raise self._unreadable(error) from error
            message = f"dataset {key!r} needs a frame (pandas, polars, pyarrow ...), not {type(native).__name__}"
            raise InvalidRequest(message, field="df") from None
        except Exception as error:
            raise self._unreadable(error) from error
        self.frame: Any = frame
        self.native: Any = frame.to_native()

    def _unreadable(self, error: Exception) -> InvalidRequest:
        return InvalidRequest(f"the frame of dataset {self._key!r} cannot be read: {type(error).__name__}: {error}", field="df")

    @property
    def length(self) -> int:
        """How many rows."""
        return int(self.frame.shape[0])

    @property
    def columns(self) -> list[str]:
        """The names of the columns, as text, without an index."""
        return [str(name) for name in self.frame.columns]

    @property
    def header(self) -> list[str]:
        """The names of the columns, as text, those of an index first."""
        return [str(name) for name in self._head(0).columns]

    def schema(self) -> dict[str, Any]:
        """The columns and their types, in the words of Table Schema."""
        head = self._head(0)
        fields = [{"name": str(name), "type": _type_of(dtype)} for name, dtype in list(head.schema.items())[:MAX_COLUMNS]]
        return {"fields": fields, "primaryKey": [str(name) for name in head.columns[: len(head.columns) - len(self.frame.columns)]]}

    def preview(self, rows: int = PREVIEW_ROWS) -> list[list[Any]]:
        """The first rows as plain values, of at most 100 columns."""
        wide = min(PREVIEW_COLUMNS, len(self.frame.columns)) or 1
        head = self._head(min(rows, PREVIEW_CELLS // wide))
        return [[_cell(value) for value in row] for row in head[:, :PREVIEW_COLUMNS].rows()]

    def write(self, file: Any, format: str) -> None:
        """Write the frame as parquet or csv. What cannot be written so raises InvalidRequest."""
        native = self.native
        try:
            if format == "csv":
                self._write_csv(file)
            elif hasattr(native, "to_parquet"):
                native.to_parquet(file)
            elif hasattr(native, "write_parquet"):
                native.write_parquet(file)
            else:
                import pyarrow.parquet

                pyarrow.parquet.write_table(self.frame.to_arrow(), file)
        except ImportError as error:
            raise InvalidRequest(f"writing {format} needs a library: pip install 'run-tracker[data]' ({error})", field="format") from None
        except OSError:
            raise  # the disk, not the frame
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise InvalidRequest(f"the frame of dataset {self._key!r} cannot be written as {format}: {what}", field="df") from error

    def _write_csv(self, file: Any) -> None:
        native = self.native
        if hasattr(native, "to_csv"):
            (native.reset_index() if self._indexed else native).to_csv(file, index=False)
        elif hasattr(native, "write_csv"):
            native.write_csv(file)
        else:
            import pyarrow.csv

            pyarrow.csv.write_csv(self.frame.to_arrow(), file)

    @property
    def _indexed(self) -> bool:
        index = getattr(self.native, "index", None)
        if index is None or not hasattr(self.native, "reset_index"):
            return False
        return any(name is not None for name in index.names) or getattr(index.dtype, "kind", "O") not in "iu"

    def _head(self, rows: int) -> Any:
        """The first rows, with the columns that an index stands for."""
        head = self.frame.head(rows)
        if not self._indexed:
            return head
        import narwhals as nw

        try:
            return nw.from_native(self.native.head(rows).reset_index(), eager_only=True)
        except ValueError:  # a column has the index's name
            return head


def _tabular(native: Any) -> Any:
    """The frame; what only hands out columns of Arrow (record batches, their readers) as a table of pyarrow."""
    if type(native).__module__.partition(".")[0] == "pyarrow" and type(native).__name__.startswith("RecordBatch"):
        import pyarrow

        return pyarrow.table(native)
    return native


def read_frame(path: Any, format: str, key: str) -> Frame:
    """The frame in a file, for its description. Raises InvalidRequest for what is no such file."""
    try:
        if format == "csv":
            import pyarrow.csv

            return Frame(pyarrow.csv.read_csv(path), key)
        import pyarrow.parquet

        return Frame(pyarrow.parquet.read_table(path), key)
    except ImportError:
        raise InvalidRequest(f"describing a {format} file needs pyarrow: pip install 'run-tracker[data]'", field="local_path") from None
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise InvalidRequest(f"{path} of dataset {key!r} is no readable {format} file: {error}", field="local_path") from error


def named(columns: Sequence[str], wanted: Any, field: str, key: str) -> list[str]:
    """One name or several, all of which must be columns. Raises InvalidRequest."""
    names = [] if wanted is None else list(wanted) if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
    if missing := [name for name in names if str(name) not in columns]:
        raise InvalidRequest(f"{key!r} has no column {missing[0]!r}; it has {', '.join(columns[:20])}", field=field)
    return [str(name) for name in names]


def _type_of(dtype: Any) -> str:
    name = type(dtype).__name__
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    words = {"Boolean": "boolean", "String": "string", "Categorical": "string", "Enum": "string", "Object": "string"}
    words |= {"Datetime": "datetime", "Date": "date", "Time": "time", "Duration": "duration", "Binary": "binary"}
    return words.get(name, "array" if name in ("List", "Array") else "any")


def _cell(value: Any) -> Any:
    """A value as a preview shows it."""
    try:
        value = plain(value)
    except InvalidRequest:
        value = str(value)[:PREVIEW_TEXT]
    if isinstance(value, bytes):
        value = value[:PREVIEW_TEXT].decode("utf-8", "replace")
    elif isinstance(value, (list, dict)):
        value = str(value)
    return value[:PREVIEW_TEXT] if isinstance(value, str) else value
