"""Copying between a place and this machine: in chunks, checked against the digest where one is known, shown when it takes long.

A copy appears under its name when it is whole; what fails or is cancelled leaves nothing behind.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from tracker.dataitem.files import CHUNK
from tracker.dataitem.place import Place
from tracker.dataitem.progress import moving
from tracker.dataitem.resolving import Stored
from tracker.dataitem.stored import StoredPlace
from tracker.dataitem.urls import shown
from tracker.errors import DigestMismatch, InvalidRequest
from tracker.threads import Check


def copy_out(place: Place | StoredPlace, target: Path, check: Check, stored: Stored | None = None) -> None:
    """A file from a place."""
    if target.is_dir():
        raise IsADirectoryError(21, "this is a directory: name the file to be written", str(target))
    stat = place.stat()
    if isinstance(place, Place) and stat.content_type == "inode/directory":
        copy_tree(place, target, check)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = place.digest if isinstance(place, StoredPlace) else stored.digest if stored else ""
    beside = target.with_name(f".{target.name[:200]}.{secrets.token_hex(6)}")
    try:
        with beside.open("xb") as file, moving(f"download {shown(place.url)}", stat.size) as step:
            seen = hashlib.sha256() if digest else None
            for chunk in place.chunks():
                check()
                file.write(chunk)
                if seen is not None:
                    seen.update(chunk)
                step(len(chunk))
        if seen is not None:
            _verify(place.url, digest, seen.hexdigest())
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def verify(url: str, digest: str, chunks: Iterable[bytes]) -> None:
    """Raises DigestMismatch when these are not the bytes that were logged, where it is known what was."""
    if digest:
        seen = hashlib.sha256()
        for chunk in chunks:
            seen.update(chunk)
        _verify(url, digest, seen.hexdigest())


def _verify(url: str, digest: str, found: str) -> None:
    if digest != found:
        raise DigestMismatch(f"{shown(url)} holds other bytes than were logged", digest=digest, found=found)


def copy_tree(place: Place | StoredPlace, target: Path, check: Check) -> None:
    """A directory, or an artifact of several files, from a place."""
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(20, "a directory is copied to a directory, and this is a file", str(target))
    target.mkdir(parents=True, exist_ok=True)
    for name in place.names():
        parts = name.rstrip("/").split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise InvalidRequest(f"{shown(place.url)} holds a file {name!r}, which is not a path below it", field="url")
        copy_out(place.at(name.rstrip("/")), target.joinpath(*parts), check)


def copy_in(source: Path, place: Place | StoredPlace, check: Check) -> None:
    """A file, or a directory with all that is in it, to a place."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_symlink() and not path.resolve().is_relative_to(source.resolve()):
                raise InvalidRequest(f"{path} is a link to what is outside {source}: upload that by itself", field="src_path")
            if path.is_file():
                copy_in(path, place.at(path.relative_to(source).as_posix()), check)
        return
    with source.open("rb") as file, moving(f"upload {shown(place.url)}", os.fstat(file.fileno()).st_size) as step:

        def chunks() -> Iterator[bytes]:
            while data := file.read(CHUNK):
                check()
                yield data
                step(len(data))

        place.write(chunks())
