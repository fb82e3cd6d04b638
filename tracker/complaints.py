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
            self._tell(text)

    @property
    def open(self) -> bool:
        """Whether there is trouble that is not over."""
        return bool(self._said)

    def over(self, kind: str, text: str) -> None:
        """The trouble of this kind has ended; say so to whom had heard of it."""
        if kind in self._said:
            self._said.discard(kind)
            self._tell(text)

    def _tell(self, text: str) -> None:
        about = "" if self._uri in text else f" ({self._uri})"
        logger.warning("tracker%s: %s", about, text)
