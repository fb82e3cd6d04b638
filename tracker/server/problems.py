"""Errors to answers, in one function: what went wrong becomes a status, a stable code, a sentence and a detail.

Only errors made for people are told. Anything else is a fault of ours: it is logged with its traceback and answered with a request id,
nothing more.
"""

import errno
import sqlite3
from typing import Any

import msgspec

from events.errors import (
    Corrupt,
    DirectoryBusy,
    DiskFull,
    EventsError,
    InvalidEvent,
    LogClosed,
    Overloaded,
    SequenceConflict,
    SequenceGap,
    VersionConflict,
)
from tracker.errors import MethodNotAllowed, OutOfRange, TrackerError, Unavailable


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One error as it goes over the wire. `headers` go beside it."""

    status: int
    code: str
    message: str
    detail: dict[str, Any] = {}
    headers: dict[str, str] = {}

    @property
    def body(self) -> dict[str, Any]:
        """The reply's body."""
        return {"error": {"code": self.code, "message": self.message, "detail": self.detail}}


def describe(error: BaseException) -> Problem:
    """The answer to an error."""
    if isinstance(error, TrackerError):
        return Problem(status=error.status, code=error.code, message=error.message, detail=error.detail, headers=_headers(error))
    if isinstance(error, EventsError):
        return _of_log(error)
    if isinstance(error, TimeoutError):
        return Problem(status=408, code="timeout", message="the request came too slowly", headers={"Connection": "close"})
    if _is_full(error):
        return _retry(507, "storage_full", "the server's disk is full: reads go on, writes have to wait", 5.0)
    return Problem(status=500, code="failed", message="the server failed to do this; its log says why, under the request's id")


def _headers(error: TrackerError) -> dict[str, str]:
    if isinstance(error, Unavailable):
        return {"Retry-After": _seconds(error.retry_after)}
    if isinstance(error, MethodNotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, OutOfRange):
        return {"Content-Range": f"bytes */{error.size}"}
    return {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}


def _of_log(error: EventsError) -> Problem:
    message = str(error)
    match error:
        case InvalidEvent():
            return Problem(status=400, code="invalid_event", message=message)
        case SequenceGap():
            detail = {"producer": error.producer, "expected": error.expected, "got": error.got}
            return Problem(status=409, code="sequence_gap", message=message, detail=detail)
        case SequenceConflict():
            return Problem(
                status=409, code="sequence_conflict", message=message, detail={"producer": error.producer, "sequence": error.sequence}
            )
        case VersionConflict():
            detail = {"stream": error.stream, "expected": error.expected, "actual": error.actual}
            return Problem(status=409, code="version_conflict", message=message, detail=detail)
        case Overloaded():
            return _retry(429, "overloaded", message, error.retry_after)
        case DiskFull():
            return _retry(507, "storage_full", "the server's disk is full: reads go on, writes have to wait", error.retry_after)
        case LogClosed():
            return _retry(503, "log_closed", "the server has stopped recording; start it again", 5.0)
        case DirectoryBusy():
            return _retry(503, "directory_busy", "the data directory is written by another process", 5.0)
        case Corrupt():
            return Problem(
                status=500, code="corrupt", message="stored bytes are damaged: run `tracker verify`", detail={"offset": error.offset}
            )
    return Problem(status=500, code="failed", message="the log failed to do this; the server's log says why")


def _retry(status: int, code: str, message: str, after: float) -> Problem:
    return Problem(status=status, code=code, message=message, detail={"retry_after": after}, headers={"Retry-After": _seconds(after)})


def _seconds(after: float) -> str:
    return str(max(1, round(after)))


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, sqlite3.OperationalError) and "full" in str(error)
