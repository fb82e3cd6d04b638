"""What can go wrong with the log. Conditions, not modules:

EventsError
+-- InvalidEvent        a wanted event cannot be encoded, or its stream or producer name is not allowed
+-- SequenceGap         a producer skipped events; `.expected` says where to go on
+-- SequenceConflict    a producer sent other events under sequences it had already used
+-- VersionConflict     the stream was not at the version the caller expected; `.actual` says where it is
+-- Overloaded          the queue of waiting appends is full; try again after `.retry_after` seconds
+-- DiskFull            nothing of this was recorded, for want of space; the log itself goes on
+-- LogClosed           the log stopped (closed, fenced, or its disk failed); nothing more is recorded here
+-- Fenced              another writer took the directory over; this one may write nothing more
+-- DirectoryBusy       another process writes this directory; `.holder` says which
+-- NewerFormat         the directory was written by a newer version; it was left untouched
+-- BadCheckpoint       a checkpoint or a key is malformed, or its signature does not fit
+-- Corrupt             stored bytes are not what was written; `.offset` says from where
"""


class EventsError(Exception):
    """Root of all errors of the log."""


class InvalidEvent(EventsError):
    """A wanted event cannot be recorded as it is."""


class SequenceGap(EventsError):
    """A producer skipped events."""

    def __init__(self, producer: str, expected: int, got: int) -> None:
        super().__init__(f"producer {producer!r} sent sequence {got}, expected {expected}: send the missing events first")
        self.producer, self.expected, self.got = producer, expected, got


class SequenceConflict(EventsError):
    """A producer sent other events under sequences it had already used."""

    def __init__(self, producer: str, sequence: int) -> None:
        super().__init__(
            f"producer {producer!r} already recorded another event as sequence {sequence}: "
            "a producer id must not be shared or copied; start a new one"
        )
        self.producer, self.sequence = producer, sequence


class VersionConflict(EventsError):
    """The stream was not at the version the caller expected."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream!r} is at version {actual}, not {expected}: read it again and decide anew")
        self.stream, self.expected, self.actual = stream, expected, actual


class Overloaded(EventsError):
    """The queue of waiting appends is full."""

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__(f"too many events are waiting to be committed: send them again in {retry_after:g} s")
        self.retry_after = retry_after


class DiskFull(EventsError):
    """There is no space for what was to be recorded; none of it was. Reads go on, and so do appends once there is space."""

    def __init__(self, path: str, retry_after: float = 5.0) -> None:
        super().__init__(f"the disk that holds {path} is full: nothing of this was recorded, reads go on; make space")
        self.path, self.retry_after = path, retry_after


class LogClosed(EventsError):
    """The log stopped; nothing more is recorded by this process."""


class Fenced(LogClosed):
    """Another writer took the directory over."""


class DirectoryBusy(EventsError):
    """Another process writes this directory."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(f"{path} is being written by {holder}: stop it, or use its server")
        self.path, self.holder = path, holder


class NewerFormat(EventsError):
    """The directory was written by a newer version of the tracker."""

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(f"{path} has format {found}, this version knows up to {known}: upgrade run-tracker; nothing was changed")
        self.path, self.found, self.known = path, found, known


class BadCheckpoint(EventsError):
    """A checkpoint or a key is malformed, or its signature does not fit."""


class Corrupt(EventsError):
    """Stored bytes are not what was written."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset
