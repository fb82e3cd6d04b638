"""Files as fsspec opens them, made to behave: two readers are apart, a directory is never an empty file, what a web server gives in one
piece only can be sought in all the same, and what is written appears when it is whole.
"""

import errno
import io
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

CHUNK = 4 * 1024 * 1024  # bytes that are moved at once


def open_file(system: Any, path: str) -> Any:
    """A file, of which exactly what is read is fetched. Raises IsADirectoryError also where a directory opens as an empty file."""
    if "memory" in system.protocol:
        system.open(path, "rb")  # for its errors: what it opens is the one object that everybody reads
        return io.BytesIO(system.cat_file(path))
    file = system.open(path, "rb", cache_type="none")
    details = getattr(file, "details", None)
    if isinstance(details, dict) and details.get("type") == "directory":
        file.close()
        raise IsADirectoryError(errno.EISDIR, "this is a directory", path)
    return file


def open_web(system: Any, path: str, whole: bool) -> tuple[Any, bool]:
    """A file of a web server, and whether it can be sought in, which it can where the server gives parts of it: only the answer to a
    request for the last byte tells. Otherwise its bytes are read as they come."""
    if not whole:
        info = system.info(path)
        size = info.get("size") or 0
        if size and info.get("partial", True):
            file = system.open(path, "rb", size=size, cache_type="none")
            with suppress(ValueError):
                file.seek(size - 1)
                if file.read(1):
                    file.seek(0)
                    return file, True
    return system.open(path, "rb", block_size=0), False


def seekable_of(file: Any, seekable: bool) -> Any:
    """The file, or a copy of it on the disk, which goes when it is closed."""
    if seekable:
        return file
    with file:
        copy = tempfile.SpooledTemporaryFile(CHUNK)  # noqa: SIM115 - the caller closes it
        shutil.copyfileobj(file, copy, CHUNK)
        copy.seek(0)
        return copy


def skip(file: IO[bytes], start: int) -> None:
    """Go to a byte; by reading, where the place cannot do otherwise."""
    if not start:
        return
    try:
        file.seek(start)
    except (ValueError, OSError, RuntimeError):
        while start > 0 and (data := file.read(min(CHUNK, start))):
            start -= len(data)


def give_up(file: Any) -> None:
    """Close a file that is not whole, so that nobody ever sees it where that can be had."""
    with suppress(Exception):
        if callable(discard := getattr(file, "discard", None)):
            discard()
            file.closed = True
        else:
            file.close()


def replace(path: Path, chunks: Iterable[bytes]) -> None:
    """Write beside, then take the file's place: readers see the old or the new. Devices and pipes are written as they are."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            file.writelines(chunks)
        return
    beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")
    try:
        with beside.open("xb") as file:
            file.writelines(chunks)
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
