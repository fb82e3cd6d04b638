"""Data items for code in an event loop: the blocking ones, worked on in worker threads.

Long transfers end soon after their task is cancelled, and leave nothing half done. A property does no I/O: what only the tracker knows of a
store:// name (`meta`, and the `url`, `kind` and `suffix` of the bytes) stands in it after the first use of the item, or `await item`.
"""

import os
from collections.abc import Generator, Mapping
from typing import Any

import anyio

from tracker.dataitem import item as blocking
from tracker.dataitem.place import Stat
from tracker.dataitem.resolving import Stored
from tracker.threads import in_thread


class DataItem:
    """Bytes, or a directory of them. Made by `get_dataitem`, `Context.get_input` and their kind."""

    def __init__(self, item: "blocking.DataItem | str | os.PathLike[str]") -> None:
        self.blocking = item if isinstance(item, blocking.DataItem) else blocking.DataItem(item)

    def __repr__(self) -> str:
        return repr(self.blocking)

    def __str__(self) -> str:
        return str(self.blocking)

    def __await__(self) -> Generator[Any, None, "DataItem"]:
        return self.resolve().__await__()

    @property
    def key(self) -> str:
        """The name of the input this is, "" when it is none."""
        return self.blocking.key

    @property
    def url(self) -> str:
        """Where the bytes are: the URL as given, or the place that an artifact was logged with."""
        return self.blocking.url

    @property
    def artifact_url(self) -> str:
        """The name of the artifact, when it is one, or the URL."""
        return self.blocking.artifact_url

    @property
    def kind(self) -> str:
        """The scheme: file, memory, http, s3 ...; "store" for what the tracker keeps."""
        return self.blocking.kind

    @property
    def suffix(self) -> str:
        """The last suffix of the file's name, as ".csv"; that of an artifact is known once it is resolved, until then its key's."""
        return self.blocking.known()[0]

    @property
    def meta(self) -> Stored | None:
        """The artifact's version: kind, digest, size, labels ...; None for other data, and until it is resolved."""
        return self.blocking.known()[1]

    async def resolve(self) -> "DataItem":
        """Find out what a store:// name stands for, if that is not done; returns the item. Raises NotFound."""
        await in_thread(lambda _: self.blocking.resolve(), traceless=True)
        return self

    async def get(self, size: int | None = None, offset: int = 0, encoding: str | None = None) -> Any:
        """The bytes, or `size` of them from `offset`; text with an `encoding`. Raises FileNotFoundError."""
        return await in_thread(lambda check: self.blocking.get(size, offset, encoding, check=check), traceless=True)

    async def open(self, mode: str = "rb", **options: Any) -> "anyio.AsyncFile[Any]":
        """An open file, async; `options` are encoding, errors and newline of text. Parent directories are made for writing."""
        return anyio.wrap_file(await in_thread(lambda _: self.blocking.open(mode, **options)))

    async def download(self, target_path: str | os.PathLike[str]) -> None:
        """Copy to a file of this machine, which appears when it is whole; a directory with all that is in it."""
        await in_thread(lambda check: self.blocking.download(target_path, check=check))

    async def stat(self) -> Stat:
        """`.size`, `.modified` (seconds UTC) and `.content_type`. Raises FileNotFoundError."""
        return await in_thread(lambda _: self.blocking.stat(), traceless=True)

    async def ls(self) -> list[str]:
        """The names in a directory, directories with a slash behind; the files of an artifact of several."""
        return await in_thread(lambda _: self.blocking.ls(), traceless=True)

    async def listdir(self) -> list[str]:
        """`ls`."""
        return await self.ls()

    async def file(self, path: str) -> "DataItem":
        """What is at a path below this directory, or in this artifact of several files."""
        return DataItem(await in_thread(lambda _: self.blocking.file(path), traceless=True))

    async def as_df(
        self,
        columns: list[str] | None = None,
        df_module: Any = None,
        format: str = "",
        time_column: str | None = None,
        start_time: Any = None,
        end_time: Any = None,
        **options: Any,
    ) -> Any:
        """The rows, as a frame of `df_module` (pandas by default, or polars, or pyarrow; the module or its name).

        `format` is csv, parquet, json or jsonl; by default what the suffix says. Of `time_column`, only rows from `start_time` up to and
        without `end_time` are taken. `options` go to the module's own reader. Raises InvalidRequest for what cannot be read as that.
        """
        times = (time_column, start_time, end_time)
        return await in_thread(lambda _: self.blocking.as_df(columns, df_module, format, *times, **options), traceless=True)

    async def show(self, format: str = "") -> None:
        """Show it: a picture, table or page in a notebook, text in a terminal."""
        await in_thread(lambda _: self.blocking.show(format))

    async def local(self) -> str:
        """The path of a file of this machine with the bytes: the file itself, or a copy that goes with the item or the process."""
        return await in_thread(lambda _: self.blocking.local())

    async def remove_local(self) -> None:
        """Remove the copy that `local` made, if it did."""
        await in_thread(lambda _: self.blocking.remove_local())

    async def put(self, data: str | bytes, append: bool = False) -> None:
        """Have these bytes (text as UTF-8) there, or behind what is there; parent directories are made."""
        await in_thread(lambda check: self.blocking.put(data, append, check=check))

    async def upload(self, src_path: str | os.PathLike[str]) -> None:
        """Copy a file of this machine there. Raises FileNotFoundError."""
        await in_thread(lambda check: self.blocking.upload(src_path, check=check))

    async def delete(self, recursive: bool = False) -> None:
        """Remove the file; a directory only when `recursive`. Raises FileNotFoundError."""
        await in_thread(lambda _: self.blocking.delete(recursive))


def get_dataitem(url: str | os.PathLike[str], secrets: Mapping[str, Any] | None = None) -> DataItem:
    """The data at a path, a URL or a store:// name; `secrets` are credentials by the names of the environment. No I/O."""
    return DataItem(blocking.get_dataitem(url, secrets))
