"""What the writer of a data directory does with the journals that other processes leave in it, alive or dead."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from tracker.delivery import Shipper, Sink, claim, finish, requests
from tracker.journal_reader import Damage, JournalReader, is_alive, scan


def leave_signs(directory: Path, producer: str, runs: Sequence[tuple[str, str]]) -> None:
    """Say beside a journal that these runs (project, uid) are alive now."""
    draft = directory / f"{producer}.signs.new"
    draft.write_bytes(msgspec.json.encode(runs))
    draft.rename(signs_path(directory, producer))


def signs_path(directory: Path, producer: str) -> Path:
    """Where a producer leaves signs of life."""
    return directory / f"{producer}.signs"


class Door(Sink, Protocol):
    """Where a drain leads."""

    def beat(self, runs: Sequence[tuple[str, str]]) -> None:
        """Take these runs (project, uid) to be alive."""
        ...


class Drain:
    """Moves events from the journals in a directory into a sink. One for the life of the writer: it remembers how far it read.

    Journals of this very process are left alone while it lives; it delivers them itself."""

    def __init__(self, directory: Path, door: Door) -> None:
        self.damages: list[Damage] = []
        self._directory, self._door = directory, door
        self._signs: dict[str, int] = {}  # when the last sign of a producer was left
        self._readers: dict[str, JournalReader] = {}

    async def step(self) -> int:
        """Deliver what is there now; returns how many events. Raises what the sink raises; nothing is lost or skipped then."""
        found = scan(self._directory)
        for producer in self._readers.keys() - found.keys():
            self._readers.pop(producer).close()
            self._signs.pop(producer, None)
        return sum([await self._deliver(producer, segments) for producer, segments in found.items()])

    async def _deliver(self, producer: str, segments: list[Path]) -> int:
        reader = self._readers.get(producer)
        if reader is None:
            reader = self._readers[producer] = JournalReader(segments[0])
        if reader.header.pid == os.getpid() and reader.header.host == socket.gethostname() and is_alive(segments[-1]):
            return 0
        count = 0
        with claim(segments[-1]) as dead:
            shipper = Shipper(self._door, self._directory, reader.header.uri)
            try:
                while pieces := reader.read(dead=dead):
                    for request in requests(pieces):
                        await shipper.ship(request)
                        count += sum(piece.count for piece in request)
            except BaseException:
                self._readers.pop(producer).close()  # the next step reads it again from its first event; the log knows what it has
                raise
            if not dead:
                self._heed(producer)
            else:
                signs_path(self._directory, producer).unlink(missing_ok=True)
                finish(scan(self._directory).get(producer, []), reader.damages)
                self.damages += reader.damages
                self._readers.pop(producer).close()
        return count

    def _heed(self, producer: str) -> None:
        path = signs_path(self._directory, producer)
        try:
            left = path.stat().st_mtime_ns
            if left != self._signs.get(producer):
                self._signs[producer] = left
                self._door.beat(msgspec.json.decode(path.read_bytes(), type=list[tuple[str, str]]))
        except (FileNotFoundError, msgspec.MsgspecError):
            return
