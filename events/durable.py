"""What fsync of a file leaves out: its name. After a power cut a new or renamed file is found only if its directory was synced, too."""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make the entries of a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
