"""What the writer of a data directory does with the journals that other processes leave in it, alive or dead."""

import os
import socket
from pathlib import Path

from tracker.delivery import Shipper, Sink, claim, finish, requests
from tracker.journal_reader import Damage, JournalReader, is_alive, scan


class Drain:
    """Moves events from the journals in a directory into a sink. One for the life of the writer: it remembers how far it read.

    Journals of this very process are left alone while it lives; it delivers them itself."""

    def __init__(self, directory: Path, sink: Sink) -> None:
        self.damages: list[Damage] = []
        self._directory, self._sink = directory, sink
        self._readers: dict[str, JournalReader] = {}

    async def step(self) -> int:
        """Deliver what is there now; returns how many events. Raises what the sink raises; nothing is lost or skipped then."""
        found = scan(self._directory)
        for producer in self._readers.keys() - found.keys():
            self._readers.pop(producer).close()
        return sum([await self._deliver(producer, segments) for producer, segments in found.items()])

    async def _deliver(self, producer: str, segments: list[Path]) -> int:
        reader = self._readers.get(producer)
        if reader is None:
            reader = self._readers[producer] = JournalReader(segments[0])
        if reader.header.pid == os.getpid() and reader.header.host == socket.gethostname() and is_alive(segments[-1]):
            return 0
        count = 0
        with claim(segments[-1]) as dead:
            shipper = Shipper(self._sink, self._directory)
            try:
                while pieces := reader.read(dead=dead):
                    for request in requests(pieces):
                        await shipper.ship(request)
                        count += sum(piece.count for piece in request)
            except BaseException:
                self._readers.pop(producer).close()  # the next step reads it again from its first event; the log knows what it has
                raise
            if dead:
                finish(scan(self._directory).get(producer, []), reader.damages)
                self.damages += reader.damages
                self._readers.pop(producer).close()
        return count
