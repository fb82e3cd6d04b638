"""A picture of a figure: a page with the figure as PNG in it, so that one file is all there is to show."""

import base64
import io
from html import escape
from typing import Any

from tracker.artifacts.artifact import Artifact
from tracker.errors import InvalidRequest


class PlotArtifact(Artifact):
    """A matplotlib figure as an HTML page; any other `body` (a page, a picture as bytes) is kept as it is."""

    kind = "plot"

    def __init__(self, key: str = "", body: Any = None, *, title: str | None = None, **kwargs: Any) -> None:
        super().__init__(key, body, **{"viewer": "web-app", "format": "html", **kwargs})
        self.title = title

    def content(self) -> Any:
        """The page."""
        if self.body is None or isinstance(self.body, (str, bytes, bytearray, memoryview)) or callable(getattr(self.body, "read", None)):
            return self.body
        figure = self.body if callable(getattr(self.body, "savefig", None)) else getattr(self.body, "figure", None)
        if not callable(getattr(figure, "savefig", None)):
            raise InvalidRequest(
                f"plot {self.key!r} needs a matplotlib figure, a page or a picture, not {type(self.body).__name__}", field="body"
            )
        picture = io.BytesIO()
        figure.savefig(picture, format="png", bbox_inches="tight")  # type: ignore[union-attr]
        encoded, title = base64.b64encode(picture.getvalue()).decode(), escape(self.title or self.key)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
            f'<body style="margin:8px;font-family:sans-serif"><h3>{title}</h3>'
            f'<img style="max-width:100%" alt="{title}" src="data:image/png;base64,{encoded}"></body></html>\n'
        )
