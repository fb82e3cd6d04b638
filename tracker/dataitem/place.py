"""A place where bytes are, as fsspec reaches it: files of this machine, memory, http, s3, and every scheme that is installed.

All methods block; the async twin of a data item calls them in worker threads. Bytes come and go in chunks, never as a whole. What is
written appears at once and complete, or not at all, wherever the place allows it; a failed or cancelled write leaves what was there.
Nothing of a file system is kept between calls (fsspec keeps instances by their options, per process), so that a place survives a fork.
"""

import errno
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import msgspec

from tracker.dataitem.credentials import Credentials
from tracker.dataitem.files import CHUNK, give_up, open_file, open_web, replace, seekable_of, skip
from tracker.dataitem.telling import named, words_of
from tracker.dataitem.urls import path_of, scheme_of, shown
from tracker.errors import InvalidRequest, TrackerError

AHEAD = 1024 * 1024  # bytes that a file of text asks for at least
_WITH_DIRECTORIES = frozenset({"file", "local", "memory", "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "dbfs", "arrow_hdfs"})
_WEB = frozenset({"http", "https"})


class Stat(msgspec.Struct, frozen=True):
    """What is known of some bytes: their size (None when the place does not tell), when they changed (seconds UTC), their type."""

    size: int | None
    modified: float | None = None
    content_type: str = ""


class Place:
    """Bytes, or a directory of them, at a URL or path."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.url, self._credentials = url, credentials
        self.kind = scheme_of(url)
        self._archive: Any = None

    @property
    def name(self) -> PurePosixPath:
        """The path, of which the last part is the name of the file."""
        return path_of(self.url)

    def stat(self) -> Stat:
        """Size, time and type. Raises FileNotFoundError."""
        with self._telling():
            system, path = self._reach()
            system.invalidate_cache()
            info = system.info(path)
            return Stat(_size(info), _modified(info), _content_type(info, self.name))

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to but without `end`, in pieces of at most 4 MiB."""
        with self._telling():
            system, path = self._reach()
            whole = start == 0 and end is None
            with open_web(system, path, whole)[0] if self.kind in _WEB else open_file(system, path) as file:
                skip(file, start)
                left = CHUNK if end is None else end - start
                while left > 0 and (data := file.read(min(CHUNK, left))):
                    left -= len(data) if end is not None else 0
                    yield data

    def open(self, mode: str = "rb", **options: Any) -> IO[Any]:
        """An open file; parent directories are made for writing. `options` are encoding, errors and newline of text."""
        with self._telling(mode):
            system, path = self._reach()
            if self.kind in _WEB and mode in ("r", "rt", "rb"):
                file = seekable_of(*open_web(system, path, whole=False))
                return file if mode == "rb" else io.TextIOWrapper(file, **options)
            if "r" not in mode:
                self._make_parents(system, path)
                return system.open(path, mode, **options)  # type: ignore[no-any-return]
            if "+" in mode:
                return system.open(path, mode, **options)  # type: ignore[no-any-return]
            file = open_file(system, path)
            return file if "b" in mode else io.TextIOWrapper(io.BufferedReader(file, AHEAD), **options)

    def write(self, chunks: Iterable[bytes], append: bool = False) -> None:
        """Have these bytes there, or behind what is there."""
        if self.kind in ("file", "local") and not append:
            with self._telling("wb"):
                replace(Path(self._reach()[1]), chunks)
            return
        if self.kind == "memory" and not append:
            chunks = [b"".join(chunks)]  # such a file appears when it is opened
        file = self.open("ab" if append else "wb")
        with self._telling("wb"):
            try:
                for chunk in chunks:
                    file.write(chunk)
                file.close()
            except BaseException:
                give_up(file)
                raise

    def names(self) -> list[str]:
        """What is in the directory, in order, directories with a slash behind; a file is alone. Raises FileNotFoundError."""
        with self._telling():
            system, path = self._reach()
            system.invalidate_cache()
            found = system.ls(path, detail=True)
            own = str(path).rstrip("/")
            items = [(str(item["name"]).rstrip("/"), item.get("type") == "directory") for item in found]
            return sorted(name.rpartition("/")[2] + ("/" if folder else "") for name, folder in items if name != own or not folder)

    def delete(self, recursive: bool = False) -> None:
        """Remove the file; a directory only when `recursive`. Raises FileNotFoundError."""
        with self._telling("delete"):
            system, path = self._reach()
            system.invalidate_cache()
            if system.info(path).get("type") == "directory" and not recursive:
                raise IsADirectoryError(errno.EISDIR, "this is a directory: delete(recursive=True) removes all that is in it", self.url)
            system.rm(path, recursive=recursive)

    def local(self) -> Path | None:
        """The path, if this is a file of this machine."""
        return Path(self._reach()[1]) if self.kind in ("file", "local") else None

    def at(self, path: str) -> "Place":
        """What is at a path below this directory."""
        return Place(f"{self.url.rstrip('/')}/{path}", self._credentials)

    def _reach(self) -> tuple[Any, str]:
        """The file system, and the path in it. Raises InvalidRequest when nobody here speaks the scheme."""
        import fsspec

        if "://" not in self.url and "::" not in self.url.partition("/")[0]:
            return fsspec.filesystem("file"), str(Path(self.url).expanduser().absolute())
        try:
            found: tuple[Any, str] = fsspec.url_to_fs(self.url, **self._credentials.options(self.kind))
        except ImportError as error:
            extra = "pip install 'run-tracker[s3]'" if self.kind in ("s3", "s3a") else str(error)
            raise ModuleNotFoundError(f"{shown(self.url)} needs a library that is not installed: {extra}", name=error.name) from error
        except ValueError as error:
            raise InvalidRequest(f"{shown(self.url)} cannot be reached: {self._credentials.mask(str(error))}", field="url") from error
        if "::" in self.url:
            self._archive = found[0]  # it closes when nobody has it any more, and its files with it
        return found

    def _make_parents(self, system: Any, path: str) -> None:
        if self.kind in _WITH_DIRECTORIES and (parent := path.rpartition("/")[0]):
            system.makedirs(parent, exist_ok=True)

    @contextmanager
    def _telling(self, mode: str = "rb") -> Iterator[None]:
        """Errors name the place, and nothing that is secret."""
        try:
            yield
        except (TrackerError, ModuleNotFoundError):
            raise
        except Exception as error:  # the libraries behind the schemes have errors of their own
            url = shown(self.url)
            told = self._told(error, url, mode)
            if told is error:
                raise
            raise told from (error if url == self.url else None)  # the cause would spell the URL out

    def _told(self, error: Exception, url: str, mode: str) -> Exception:
        text = self._credentials.mask(words_of(error))
        if isinstance(error, OSError):
            return named(error, url, text, mode)
        if isinstance(error, RuntimeError) and not str(error) and "r" not in mode:  # the word for what a file system does not do
            return InvalidRequest(f"{url} cannot be written: {self.kind} is for reading", field="url")
        return OSError(f"{url}: {type(error).__name__}: {text.replace(self.url, url)}")


def _size(info: dict[str, Any]) -> int | None:
    return None if info.get("size") is None else int(info["size"])


def _modified(info: dict[str, Any]) -> float | None:
    for name in ("mtime", "LastModified", "last_modified", "modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        if value is not None and callable(stamp := getattr(value, "timestamp", None)):
            return float(stamp())
    return None


def _content_type(info: dict[str, Any], name: PurePosixPath) -> str:
    import mimetypes

    if info.get("type") == "directory":
        return "inode/directory"
    told = info.get("ContentType") or info.get("mimetype") or info.get("contentType")
    return str(told or mimetypes.guess_type(name.name)[0] or "application/octet-stream")
