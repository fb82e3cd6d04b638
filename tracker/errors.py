"""What a user of the tracker can run into, told the same way in process and over the wire.

TrackerError
+-- InvalidRequest      a value is not allowed; `.field` names it
|   +-- InvalidFilter   search text is malformed; `.column` says where
|   +-- InvalidExpression  a condition or selector is malformed; its `column` says where
+-- Unauthorized        no token, or not a valid one
+-- Forbidden           the token's role does not allow this
+-- NotFound            no such project, run, artifact, route ...
+-- MethodNotAllowed    the path exists, but not for this method; `.allowed` lists them
+-- Conflict            the subject is not in the state that this needs
+-- OutOfRange          a byte range or offset beyond the end; `.size` says where the end is
+-- TooLarge            more bytes than the limit
+-- Unsupported         a content type, encoding or protocol that is not spoken here
+-- Unexpected          an Expect header that asks for what there is not
+-- DigestMismatch      the bytes are not those their digest names
+-- Misdirected         the Host or Origin of the request is not one this server answers to
+-- Unavailable         not now; try again after `.retry_after` seconds
+-- StorageFull         the disk is full: reads go on, writes have to wait
+-- Unreachable         the server did not answer
+-- RunFailed           a run that was waited for ended otherwise than completed; `.run` is it
+-- RunTimeout          a run did not end in time (also a TimeoutError)
+-- Failed              the server had a fault of its own; nothing is known of the outcome

Each has a `code` (stable, for programs) and a `status` (HTTP). `from_wire` turns an error body back into the error that was raised,
those of the log included, so that code above a transport cannot tell whether the server is in its own process.
"""

from typing import Any, ClassVar

from events.errors import DirectoryBusy, EventsError, InvalidEvent, LogClosed, Overloaded, SequenceConflict, SequenceGap, VersionConflict


class TrackerError(Exception):
    """Root of the tracker's errors."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.detail = {name: value for name, value in detail.items() if value is not None}


class InvalidRequest(TrackerError):
    """A value is not allowed."""

    code = "invalid_request"
    status = 400

    @property
    def field(self) -> str:
        """The parameter or field at fault, "" when it is the request as a whole."""
        return str(self.detail.get("field", ""))


class InvalidFilter(InvalidRequest):
    """Search text is malformed; `column` counts its characters from 1."""

    code = "invalid_filter"


class InvalidExpression(InvalidRequest):
    """A condition or selector is malformed; `column` counts its characters from 1."""

    code = "invalid_expression"


class Unauthorized(TrackerError):
    """No token, or not a valid one."""

    code = "unauthorized"
    status = 401


class Forbidden(TrackerError):
    """The token's role does not allow this."""

    code = "forbidden"
    status = 403


class NotFound(TrackerError):
    """There is no such thing."""

    code = "not_found"
    status = 404


class MethodNotAllowed(TrackerError):
    """The path exists, but not for this method."""

    code = "method_not_allowed"
    status = 405

    @property
    def allowed(self) -> list[str]:
        """The methods the path has."""
        return list(self.detail.get("allowed", []))


class Conflict(TrackerError):
    """The subject is not in the state that this needs."""

    code = "conflict"
    status = 409


class TooLarge(TrackerError):
    """More bytes than the limit."""

    code = "too_large"
    status = 413


class Unsupported(TrackerError):
    """A content type, encoding or protocol that is not spoken here."""

    code = "unsupported"
    status = 415


class Unexpected(TrackerError):
    """An Expect header asks for what there is not."""

    code = "expectation_failed"
    status = 417


class OutOfRange(TrackerError):
    """A byte range or an offset beyond the end."""

    code = "out_of_range"
    status = 416

    @property
    def size(self) -> int:
        """Where the end is."""
        return int(self.detail.get("size", 0))


class Misdirected(TrackerError):
    """The Host or Origin of the request is not one this server answers to."""

    code = "misdirected"
    status = 421


class DigestMismatch(TrackerError):
    """The bytes are not those their digest names."""

    code = "digest_mismatch"
    status = 422


class Failed(TrackerError):
    """The server had a fault of its own."""

    code = "failed"
    status = 500


class Unavailable(TrackerError):
    """Not now."""

    code = "unavailable"
    status = 503

    @property
    def retry_after(self) -> float:
        """Seconds to wait before the next try."""
        return float(self.detail.get("retry_after", 1.0))


class StorageFull(Unavailable):
    """The disk is full: reads go on, writes have to wait."""

    code = "storage_full"
    status = 507


class Unreachable(Unavailable):
    """The server did not answer."""

    code = "unreachable"


class RunFailed(TrackerError):
    """A run ended otherwise than completed; `run` is the run as it ended."""

    code = "run_failed"

    def __init__(self, message: str, run: Any = None, **detail: Any) -> None:
        super().__init__(message, **detail)
        self.run = run


class RunTimeout(TrackerError, TimeoutError):
    """A run did not end in the time it was waited for."""

    code = "run_timeout"
    status = 504


_KINDS: dict[str, type[TrackerError]] = {
    kind.code: kind
    for kind in (
        InvalidRequest,
        InvalidFilter,
        InvalidExpression,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        TooLarge,
        Unsupported,
        Unexpected,
        OutOfRange,
        Misdirected,
        DigestMismatch,
        Failed,
        Unavailable,
        StorageFull,
    )
}


def from_wire(status: int, code: str, message: str, detail: dict[str, Any]) -> TrackerError | EventsError:
    """The error that an error body stands for."""
    match code:
        case "sequence_gap":
            return SequenceGap(str(detail.get("producer", "")), int(detail.get("expected", 0)), int(detail.get("got", 0)))
        case "sequence_conflict":
            return SequenceConflict(str(detail.get("producer", "")), int(detail.get("sequence", 0)))
        case "version_conflict":
            return VersionConflict(str(detail.get("stream", "")), int(detail.get("expected", 0)), int(detail.get("actual", 0)))
        case "overloaded":
            return Overloaded(float(detail.get("retry_after", 1.0)))
        case "invalid_event":
            return InvalidEvent(message)
        case "log_closed":
            return LogClosed(message)
        case "directory_busy":
            return DirectoryBusy(str(detail.get("path", "")), str(detail.get("holder", "")))
    kind = _KINDS.get(code) or (InvalidRequest if 400 <= status < 500 else Unavailable if status in (429, 502, 503, 504) else Failed)
    return kind(message, **{str(name): value for name, value in detail.items()})
