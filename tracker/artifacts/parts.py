"""The files of an artifact that has several, as they are before they are kept.

A directory is walked without following links to directories. A link to a file is read when the file lies in the directory, too; one that
leads out of it is refused, so that nothing is kept that does not belong to it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from events.types import ArtifactFile
from tracker.errors import InvalidRequest
from tracker.names import check_artifact_key
from tracker.staging import open_content, open_file

MAX_FILES = 10_000  # their list travels in an event


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A file: its path in the artifact, and its `body` or where it is. Its `source` must not lead out of `root`. What is `known` was kept
    before."""

    path: str
    body: Any = None
    source: Path | None = None
    root: Path | None = None
    known: ArtifactFile | None = None

    def open(self) -> BinaryIO:
        """The content. Raises InvalidRequest."""
        if self.source is None:
            return open_content(self.body)
        if self.root is None:
            return open_file(self.source)
        real = self.source.resolve()
        if not real.is_relative_to(self.root.resolve()):
            raise InvalidRequest(f"{self.source} is a link that leads out of {self.root}: copy the file into it", field="local_path")
        return open_file(real, follow=False)

    @property
    def size(self) -> int:
        """Bytes that are still to be read, as far as that is known."""
        if self.source is not None:
            return self.source.stat().st_size
        return len(self.body) if isinstance(self.body, (str, bytes, bytearray, memoryview)) else 0


def file_part(path: Path) -> Part:
    """One file, under its name. Raises InvalidRequest for what cannot be read."""
    open_file(path).close()
    return Part(path=path.name, source=path)


def parts_of(directory: Path) -> list[Part]:
    """The files below a directory, in order. Raises InvalidRequest."""
    found: list[Part] = []
    for path in _walk(directory):
        if len(found) == MAX_FILES:
            raise InvalidRequest(f"{directory} has more than {MAX_FILES} files: log it in parts, or as an archive", field="local_path")
        name = path.relative_to(directory).as_posix()
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(f"{name!r} in {directory} is no name in UTF-8", field="local_path") from None
        found.append(Part(path=check_artifact_key(name, f"the path {name!r} in {directory}"), source=path, root=directory))
    if not found:
        raise InvalidRequest(f"the directory {directory} has no files", field="local_path")
    return sorted(found, key=lambda part: part.path)


def _walk(directory: Path) -> Iterator[Path]:
    def raised(error: OSError) -> None:
        raise InvalidRequest(f"the directory cannot be read: {error}", field="local_path") from None

    for home, folders, files in os.walk(directory, onerror=raised):
        for name in folders:
            if (path := Path(home, name)).is_symlink():
                raise InvalidRequest(
                    f"{path} is a link to a directory, which is not followed: copy it, or log its target", field="local_path"
                )
        yield from (Path(home, name) for name in files)
