"""A dataset: a frame as a parquet or csv file, with what a person wants to see of it without opening it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tracker.artifacts.artifact import Artifact, Described
from tracker.dataitem.urls import path_of, shown
from tracker.errors import InvalidRequest

CONTENT_TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
MAX_PREVIEW = 1_000  # rows


class DatasetArtifact(Artifact):
    """A frame of any library that narwhals knows. A file at `local_path`, when there is one, is kept instead of `df`."""

    kind = "dataset"
    family = "datasets"
    header = Described[list[str]](list)
    schema = Described[dict[str, Any]](dict)
    length = Described[int](int)
    preview = Described[list[list[Any]]](list)
    stats = Described[dict[str, Any]](dict)
    label_column = Described[str](str)
    extra_data = Described[dict[str, str]](dict)

    def __init__(
        self,
        key: str = "",
        df: Any = None,
        preview: int | None = None,
        format: str = "",
        stats: bool | None = None,
        target_path: str = "",
        extra_data: Mapping[str, Any] | None = None,
        label_column: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(key, target_path=target_path, format=format, **kwargs)
        self.df: Any = None
        self.extras: dict[str, Any] = {}  # still to be kept or pointed to
        self._rows: Any = None
        self._stats: bool | None = None
        self.take(df, preview=preview, stats=stats, extra_data=extra_data, label_column=label_column)

    def take(
        self,
        df: Any = None,
        *,
        local_path: Any = None,
        preview: int | None = None,
        stats: bool | None = None,
        extra_data: Mapping[str, Any] | None = None,
        label_column: str | None = None,
    ) -> None:
        """Set what is said of the dataset, where it is not None."""
        if df is not None:
            self.df = df
        if local_path is not None:
            self.local_path = local_path
        if preview is not None:
            self._rows = preview
        if stats is not None:
            self._stats = stats
        if extra_data is not None:
            if not isinstance(extra_data, Mapping):
                raise InvalidRequest(f"extra_data must be a dict, not {type(extra_data).__name__}", field="extra_data")
            self.extras.update(extra_data)
        if label_column:
            self.label_column = label_column

    def has_content(self) -> bool:
        """See Artifact."""
        return self.df is not None or super().has_content()

    def describe(self) -> None:
        """Say header, schema, length, preview and statistics. Raises InvalidRequest."""
        from tracker.artifacts.frames import MAX_COLUMNS, PREVIEW_ROWS, Frame, format_of, named, read_frame
        from tracker.artifacts.statistics import small, statistics

        local = str(self.local_path or "")
        source = Path(local).expanduser() if local and "://" not in local else None
        kept = source is not None and source.is_file()
        suffix = path_of(local or self.place).suffix
        self.format = format_of(self.format or suffix or "parquet")
        self.content_type = self.content_type or CONTENT_TYPES[self.format]
        if not self.path:
            self.path = path_of(local).name if local else f"{self.key.rpartition('/')[2]}.{self.format}"
        if self.df is None and not kept:
            if not self.place and "://" not in local:
                what = f"there is no file {shown(local)}, and no frame" if local else "needs a frame, or the local_path of a file"
                raise InvalidRequest(f"dataset {self.key!r}: {what}", field="local_path" if local else "df")
            return
        frame = Frame(self.df, self.key) if self.df is not None else read_frame(source, self.format, self.key)
        rows = PREVIEW_ROWS if self._rows is None or self._rows is True else self._rows
        if not isinstance(rows, int) or not 0 <= rows <= MAX_PREVIEW:
            raise InvalidRequest(f"preview is a number of rows up to {MAX_PREVIEW}, not {rows!r}", field="preview")
        header = frame.header
        named(list(dict.fromkeys([*header, *frame.columns])), self.label_column or None, "label_column", self.key)
        self.spec.update(header=header[:MAX_COLUMNS], header_original_length=len(header), schema=frame.schema(), length=frame.length)
        self.preview = frame.preview(rows)
        if self._stats or (self._stats is None and small(frame)):
            self.stats = statistics(frame)
        if not kept:
            self.df = frame.native

    def writes(self) -> bool:
        """There is a frame, and no file to be kept in its place."""
        return self.df is not None and not (self.local_path and Path(self.local_path).expanduser().is_file())

    def write(self, file: BinaryIO) -> None:
        """Write the frame."""
        from tracker.artifacts.frames import Frame

        Frame(self.df, self.key).write(file, self.format)

    def let_go(self) -> None:
        """See Artifact."""
        super().let_go()
        self.df, self.extras = None, {}
