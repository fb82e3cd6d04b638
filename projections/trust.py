"""Whether a views file may be believed, though it was written without fsync.

A process that dies leaves all it wrote with the operating system: the file is whole. A machine that loses power does not. So beside
each open file stands a note with the machine's boot; a clean end syncs the file and then notes that. A file whose note names
an earlier boot, or that has none, may be damaged in ways no check finds: it is built again from the log.
"""

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from events.durable import sync_directory

_CLEAN = "closed and synced"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def note_of(path: Path) -> Path:
    """The note beside a views file."""
    return path.with_name(path.name + ".trust")


def believed(path: Path) -> bool:
    """Whether the file is whole."""
    with suppress(OSError):
        return note_of(path).read_text("ascii") in {_CLEAN, _boot()}
    return False


def opened(path: Path) -> None:
    """Note that the file is about to be written. Durable on return."""
    _write(note_of(path), _boot())


def closed(path: Path) -> None:
    """Sync the file and note that it is whole. All connections of this process to it must be closed by now: closing
    another descriptor of the file would drop their locks."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _write(note_of(path), _CLEAN)


def remove(path: Path) -> None:
    """Delete a views file with all that stands beside it; the note goes first."""
    for each in (note_of(path), path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        each.unlink(missing_ok=True)


def _boot() -> str:
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return uuid4().hex  # a system that does not tell: only clean ends are believed


def _write(note: Path, text: str) -> None:
    fresh = note.with_name(note.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(note)
    sync_directory(note.parent)
