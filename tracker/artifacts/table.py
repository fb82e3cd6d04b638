"""A table for people: rows as CSV, with a header, from a frame or from text."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from tracker.artifacts.artifact import Artifact, Described
from tracker.errors import InvalidRequest


class TableArtifact(Artifact):
    """A table as CSV: of a frame (`df`), of rows (`body`, a list of lists), or CSV text as it is (`body`)."""

    kind = "table"
    header = Described[list[str]](list)

    def __init__(
        self,
        key: str = "",
        body: Any = None,
        df: Any = None,
        viewer: str | None = None,
        visible: bool = False,
        header: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        shown = viewer or ("table" if visible or df is not None or header else "")
        super().__init__(key, body, **{"viewer": shown, "format": "csv", **kwargs})
        self.df = df
        if header is not None:
            self.header = [str(name) for name in header]

    def describe(self) -> None:
        """See Artifact."""
        if self.header:
            return
        if self.df is not None:
            from tracker.artifacts.frames import Frame

            self.header = Frame(self.df, self.key).header
        elif isinstance(self.body, str) and self.body:
            self.header = next(csv.reader(self.body.splitlines()), [])
        elif isinstance(self.body, list) and self.body and isinstance(self.body[0], (list, tuple)):
            self.header = [str(name) for name in self.body[0]]

    def has_content(self) -> bool:
        """See Artifact."""
        return self.df is not None or super().has_content()

    def content(self) -> Any:
        """The CSV text."""
        if self.df is not None:
            from tracker.artifacts.frames import Frame

            file = io.BytesIO()
            Frame(self.df, self.key).write(file, "csv")
            return file.getvalue()
        return self._of_rows(self.body) if isinstance(self.body, list) else self.body

    def _of_rows(self, rows: list[Any]) -> str:
        """The rows under the header, which may be the first of them already."""
        if self.header and (not rows or [str(name) for name in rows[0]] != self.header):
            rows = [self.header, *rows]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for number, row in enumerate(rows):
            if not isinstance(row, (list, tuple)) or len(row) != len(rows[0]):
                raise InvalidRequest(f"row {number} of table {self.key!r} is not a list of {len(rows[0])} values", field="body")
            writer.writerow(row)
        return text.getvalue()

    def let_go(self) -> None:
        """See Artifact."""
        super().let_go()
        self.df = None
