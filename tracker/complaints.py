"""What the SDK says to a person about its own trouble: once for each kind, through `logging`, never by raising into the job."""

import logging

logger = logging.getLogger("tracker")


class Complaints:
    """Says each kind of trouble once, until it is over."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._said: set[str] = set()

    def say(self, kind: str, text: str) -> None:
        """Warn, unless this kind of trouble is known already."""
        if kind not in self._said:
            self._said.add(kind)
            logger.warning("tracker (%s): %s", self._uri, text)

    def over(self, kind: str, text: str) -> None:
        """The trouble of this kind has ended; say so to whom had heard of it."""
        if kind in self._said:
            self._said.discard(kind)
            logger.warning("tracker (%s): %s", self._uri, text)
