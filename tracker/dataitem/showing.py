"""Showing data to a person: rich output in a notebook, text in a terminal, never more than a screenful of something long.

A page comes into a notebook in a frame of its own without scripts' rights to the notebook: it may come from anywhere.
"""

import html
import sys
from typing import TYPE_CHECKING, Any

from tracker.dataitem.frames import FORMATS
from tracker.dataitem.urls import shown
from tracker.notebook import notebook_display

if TYPE_CHECKING:
    from tracker.dataitem.item import DataItem

MOST = 64 * 1024  # bytes of a text
MOST_MEDIA = 16 * 1024 * 1024  # bytes of a picture or page
ROWS = 20
_PICTURES = ("png", "jpg", "jpeg", "gif")
_TEXTS = ("txt", "md", "json", "jsonl", "ndjson", "yaml", "yml", "log", "py", "ini", "toml", "xml", "html", "svg", "csv")


def show(item: "DataItem", format: str = "") -> None:
    """Show the item in the notebook this is, or on the standard output."""
    item.place()
    kind = (format or item.suffix.removeprefix(".")).lower()
    display = notebook_display()
    if display is not None and (picture := _rich(item, kind, display)) is not None:
        display.display(picture)
        return
    print(_text(item, kind), file=sys.stdout)


def _rich(item: "DataItem", kind: str, display: Any) -> Any:
    if kind in _PICTURES:
        return display.Image(data=item.get(MOST_MEDIA), format=kind)
    if kind in ("html", "svg"):
        page = html.escape(item.get(MOST_MEDIA).decode("utf-8", "replace"), quote=True)
        frame = f'<iframe sandbox="allow-scripts" srcdoc="{page}" style="width:100%;height:480px;border:0"></iframe>'
        return display.HTML(f"<div>{frame}</div>")  # IPython warns of a bare one, which its own kind knows no `srcdoc` for
    if kind == "md":
        return display.Markdown(item.get(MOST).decode("utf-8", "replace"))
    if kind in FORMATS:
        return item.as_df(format=kind).head(ROWS)
    return None


def _text(item: "DataItem", kind: str) -> str:
    if kind in _TEXTS:
        data = item.get(MOST + 1)
        text = data[:MOST].decode("utf-8", "replace")
        return text if len(data) <= MOST else f"{text}\n... ({item.stat().size} bytes in all)"
    if kind in ("parquet", "pq"):
        return str(item.as_df(format=kind).head(ROWS))
    stat = item.stat()
    return f"{shown(item.artifact_url)}: {stat.content_type}, {stat.size if stat.size is not None else 'an unknown number of'} bytes"
