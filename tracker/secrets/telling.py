"""How a process tells the one that records its console what it came to hide: a secret that it found in its own environment, say.

The pipe for its result takes such values first, a line for each, before the process can print them; so whoever reads the pipe before
each piece of the console masks them in time. A program is told of the pipe in its environment, by number and inode: what inherits the
word without the pipe must not write into whatever has that number there.
"""

import os
import stat
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable
from contextlib import suppress

from tracker.secrets.store import SecretsStore, Tell

SIGN = b"*"  # a line that holds a value begins with it; no result does
CHUNK = 64 * 1024
MAX_REPLY = 64 * 1024 * 1024


def word_for(pipe: int) -> str:
    """What the environment of a program says of a pipe."""
    return f"{pipe}:{os.fstat(pipe).st_ino}"


def teller_of(word: str) -> Tell | None:
    """Tells what is hidden into the pipe that the environment speaks of, if this process has it."""
    number, _, inode = word.partition(":")
    try:
        pipe, known = int(number), int(inode)
        status = os.fstat(pipe)
    except (OSError, ValueError):
        return None
    if not stat.S_ISFIFO(status.st_mode) or status.st_ino != known:
        return None

    def tell(values: Iterable[str]) -> None:
        lines = [SIGN + b64encode(value.encode("utf-8", "surrogatepass")) + b"\n" for value in values]
        with suppress(OSError), open(pipe, "wb", closefd=False) as file:  # nobody listens any more
            file.writelines(lines)

    return tell


class Reply:
    """What comes through the pipe: values to hide from now on, then the result."""

    def __init__(self, reading: int, secrets: SecretsStore) -> None:
        os.set_blocking(reading, False)
        self._reading, self._secrets = reading, secrets
        self._data, self._lock = bytearray(), threading.Lock()

    @property
    def result(self) -> bytes:
        """The result so far."""
        return bytes(self._data)

    def drain(self) -> bool:
        """Take what is there; whether that was the end of it."""
        with self._lock:
            with suppress(BlockingIOError):
                while len(self._data) < MAX_REPLY:
                    data = os.read(self._reading, CHUNK)
                    if not data:
                        return True
                    self._data += data
            while self._data.startswith(SIGN) and (end := self._data.find(b"\n")) >= 0:
                self._secrets.hide(b64decode(self._data[1:end]).decode("utf-8", "surrogatepass"))
                del self._data[: end + 1]
            return len(self._data) >= MAX_REPLY
