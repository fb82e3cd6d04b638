"""Data items, for code that waits: one handle for bytes and frames at a path, a URL, or under an artifact's store:// name.

Making one does no I/O; a store:// name is resolved by the first use, once, and told to whoever asked to hear of it: so do `suffix` and
`meta`, which only the tracker knows. The async twin of `tracker.aio` does the same work in worker threads.
"""

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tracker import ambient
from tracker.connection import PROCESS, Connection
from tracker.dataitem.credentials import Credentials
from tracker.dataitem.place import Place, Stat
from tracker.dataitem.resolving import Stored, resolve
from tracker.dataitem.store_uri import StoreUri, is_store_uri, parse_store_uri
from tracker.dataitem.stored import StoredPlace
from tracker.dataitem.transfer import copy_in, copy_out, copy_tree, verify
from tracker.dataitem.urls import check_url, path_of, scheme_of, shown
from tracker.errors import InvalidRequest
from tracker.threads import NOBODY, Check

OnResolved = Callable[[Stored], None]


class DataItem:
    """Bytes, or a directory of them. Made by `get_dataitem`, `Context.get_input` and their kind."""

    def __init__(
        self,
        url: str | os.PathLike[str],
        key: str = "",
        *,
        credentials: Credentials | None = None,
        connection: Connection | None = None,
        on_resolved: OnResolved | None = None,
    ) -> None:
        self._given, self._key = check_url(url), key
        self._credentials = credentials or Credentials()
        self._connection, self._on_resolved = connection, on_resolved
        self._name: StoreUri | None = parse_store_uri(self._given) if is_store_uri(self._given) else None
        self._place: Place | StoredPlace | None = None if self._name else Place(self._given, self._credentials)
        self._stored: Stored | None = None
        self._lock = threading.Lock()
        self._copy: weakref.finalize[..., DataItem] | None = None
        self._copied = Path()
        self.view: dict[str, Any] = {}  # the artifact as the tracker told it, once resolved

    def __repr__(self) -> str:
        return f"DataItem({shown(self._given)!r})"

    def __str__(self) -> str:
        return shown(self._given)

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """The name of the input this is, "" when it is none."""
        return self._key

    @property
    def url(self) -> str:
        """Where the bytes are: the URL as given, or the place that an artifact was logged with."""
        return self._place.url if self._place else self._given

    @property
    def artifact_url(self) -> str:
        """The name of the artifact, when it is one, or the URL."""
        return self._given

    @property
    def kind(self) -> str:
        """The scheme: file, memory, http, s3 ...; "store" for what the tracker keeps."""
        return self._place.kind if self._place else scheme_of(self._given)

    @property
    def suffix(self) -> str:
        """The last suffix of the file's name, as ".csv"; that of an artifact is asked for."""
        return self.resolve().known()[0]

    @property
    def meta(self) -> Stored | None:
        """The artifact's version, which is asked for: kind, digest, size, labels ...; None for other data."""
        return self.resolve().known()[1]

    def known(self) -> tuple[str, Stored | None]:
        """`suffix` and `meta`, as far as they are known without asking."""
        suffix = self._place_name().suffix
        return suffix or (f".{self._stored.format}" if self._stored and self._stored.format else ""), self._stored

    def resolve(self) -> "DataItem":
        """Find out what a store:// name stands for, if that is not done; returns the item. Raises NotFound."""
        self.place()
        return self

    def place(self) -> Place | StoredPlace:
        """Where the bytes are."""
        with self._lock:
            if self._place is None:
                self._place = self._resolved()
            return self._place

    # -- reading -----------------------------------------------------------------------------------------------------

    def get(self, size: int | None = None, offset: int = 0, encoding: str | None = None, *, check: Check = NOBODY) -> Any:
        """The bytes, or `size` of them from `offset`; text with an `encoding`. Raises FileNotFoundError."""
        if offset < 0 or (size is not None and size < 0):
            raise InvalidRequest("size and offset must not be negative", field="offset" if offset < 0 else "size")
        if size == 0:
            data = b""
        else:
            place, chunks = self.place(), []
            for chunk in place.chunks(offset, None if size is None else offset + size):
                check()
                chunks.append(chunk)
            if offset == 0 and size is None and self._stored and isinstance(place, Place):
                verify(place.url, self._stored.digest, chunks)
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return data if encoding is None else data.decode(encoding)

    def open(self, mode: str = "rb", **options: Any) -> IO[Any]:
        """An open file; `options` are encoding, errors and newline of text. Parent directories are made for writing."""
        if not mode or not set(str(mode)) <= set("rwabtx+"):
            raise InvalidRequest(f"the mode {mode!r} is none that files have", field="mode")
        if "b" not in mode:
            options.setdefault("encoding", "utf-8")
        return self.place().open(mode, **options)

    def download(self, target_path: str | os.PathLike[str], *, check: Check = NOBODY) -> None:
        """Copy to a file of this machine, which appears when it is whole; a directory with all that is in it."""
        place = self.place()
        if isinstance(place, StoredPlace) and place.stat().content_type == "inode/directory":
            copy_tree(place, Path(target_path), check)
        else:
            copy_out(place, Path(target_path), check, self._stored)

    def stat(self) -> Stat:
        """`.size`, `.modified` (seconds UTC) and `.content_type`. Raises FileNotFoundError."""
        return self.place().stat()

    def ls(self) -> list[str]:
        """The names in a directory, directories with a slash behind; the files of an artifact of several."""
        return self.place().names()

    def listdir(self) -> list[str]:
        """`ls`."""
        return self.ls()

    def file(self, path: str) -> "DataItem":
        """What is at a path below this directory, or in this artifact of several files."""
        parts = path.split("/")
        if not path or ".." in parts or path.startswith("/"):
            raise InvalidRequest(f"{path!r} is not a path below {shown(self._given)}", field="path")
        found = DataItem(self._given, self._key, credentials=self._credentials, connection=self._connection)
        found._name, found._stored, found.view = None, self._stored, self.view
        found._place = self.place().at(path)
        return found

    def as_df(
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
        from tracker.dataitem.frames import read_frame

        return read_frame(self, columns, df_module, format, (time_column, start_time, end_time), options)

    def show(self, format: str = "") -> None:
        """Show it: a picture, table or page in a notebook, text in a terminal."""
        from tracker.dataitem.showing import show

        show(self, format)

    def local(self) -> str:
        """The path of a file of this machine with the bytes: the file itself, or a copy that goes with the item or the process."""
        import shutil
        import tempfile

        if (path := self.place().local()) is not None:
            return str(path)
        if self._copy is None or not self._copy.alive:
            directory = Path(tempfile.mkdtemp(prefix="tracker-"))
            self._copy = weakref.finalize(self, shutil.rmtree, directory, True)  # noqa: FBT003 - ignore_errors
            self._copied = directory / (self._place_name().name or "data")
            self.download(self._copied)
        return str(self._copied)

    def remove_local(self) -> None:
        """Remove the copy that `local` made, if it did."""
        if self._copy is not None:
            self._copy()

    # -- writing -----------------------------------------------------------------------------------------------------

    def put(self, data: str | bytes, append: bool = False, *, check: Check = NOBODY) -> None:
        """Have these bytes (text as UTF-8) there, or behind what is there; parent directories are made."""
        if isinstance(data, str):
            data = data.encode()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise InvalidRequest(f"put takes text or bytes, not {type(data).__name__}", field="data")
        check()
        self.place().write([bytes(data)], append)

    def upload(self, src_path: str | os.PathLike[str], *, check: Check = NOBODY) -> None:
        """Copy a file of this machine there. Raises FileNotFoundError."""
        copy_in(Path(src_path), self.place(), check)

    def delete(self, recursive: bool = False) -> None:
        """Remove the file; a directory only when `recursive`. Raises FileNotFoundError."""
        self.place().delete(recursive)

    # -- resolving ---------------------------------------------------------------------------------------------------

    def _place_name(self) -> PurePosixPath:
        if self._place is not None:
            return self._place.name
        return path_of(self._name.key if self._name else self._given)

    def _resolved(self) -> Place | StoredPlace:
        assert self._name is not None
        connection = self._connection or _connection()
        self._stored, self.view = resolve(connection, self._name)
        if self._on_resolved is not None:
            self._on_resolved(self._stored)
        kept = StoredPlace(self._given, connection, self._stored)
        elsewhere = self._stored.uri
        if elsewhere and not is_store_uri(elsewhere) and not self._stored.files and not (self._stored.digest and kept.here()):
            return Place(elsewhere, self._credentials)
        return kept


def get_dataitem(url: str | os.PathLike[str], secrets: Mapping[str, Any] | None = None) -> DataItem:
    """The data at a path, a URL or a store:// name; `secrets` are credentials by the names of the environment. No I/O."""
    return DataItem(url, credentials=Credentials(secrets))


def _connection() -> Connection:
    run = ambient.current()
    return run.connection if run is not None else PROCESS.connection()
