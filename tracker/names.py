"""Which names are allowed, decided in one place: every name that reaches a use case came through here.

A name from outside is only ever a value in the database: never a file name, a header or a piece of SQL. The grammars are still narrow, so
that a name can stand in a URL, in a terminal and in a log line, and looks like what it is.
"""

import re
from collections.abc import Callable, Mapping

from tracker.errors import InvalidRequest

MAX_KEY = 250
MAX_ARTIFACT_KEY = 1024
MAX_PATH = 4096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# control characters, zero-width and bidi controls, line separators, lone surrogates: nothing of these can be seen, so none may be in a name
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def check_name(text: str, field: str) -> str:
    """A project, uid, producer or token id: letters, digits and ._- after a letter or digit, at most 128."""
    if not _NAME.fullmatch(text):
        raise InvalidRequest(f"{field} must be 1-128 letters, digits, '.', '_' or '-', and begin with a letter or digit", field=field)
    return text


def check_key(text: str, field: str) -> str:
    """The key of a parameter, result, metric, label or annotation: any visible text of 1-250 characters."""
    if not text or len(text) > MAX_KEY:
        raise InvalidRequest(f"{field} must have 1-{MAX_KEY} characters, it has {len(text)}", field=field)
    if _UNSEEN.search(text):
        raise InvalidRequest(f"{field} must not hold control or invisible characters", field=field)
    return text


def check_artifact_key(text: str, field: str) -> str:
    """The key of an artifact: parts of 1-255 bytes between slashes, none of them "." or "..", no backslash."""
    if not text or len(text) > MAX_ARTIFACT_KEY:
        raise InvalidRequest(f"{field} must have 1-{MAX_ARTIFACT_KEY} characters", field=field)
    if _UNSEEN.search(text) or "\\" in text:
        raise InvalidRequest(f"{field} must not hold backslashes, control or invisible characters", field=field)
    for part in text.split("/"):
        if part in ("", ".", "..") or len(part.encode()) > 255:
            raise InvalidRequest(f"{field} must be parts of 1-255 bytes between '/', none of them '.' or '..'", field=field)
    return text


def check_file_path(text: str, field: str) -> str:
    """The path of a file within an artifact of several: relative, of visible names, none of them "." or ".."."""
    for part in text.split("/"):
        if part in ("", ".", "..") or len(part.encode(errors="replace")) > 255 or _UNSEEN.search(part):
            raise InvalidRequest(f"{field} must be a relative path of visible names of 1-255 bytes, without '.' or '..'", field=field)
    if len(text) > MAX_PATH:
        raise InvalidRequest(f"{field} must have at most {MAX_PATH} characters", field=field)
    return text


def check_digest(text: str, field: str) -> str:
    """The sha256 of some bytes, 64 lower-case hex digits."""
    if not _DIGEST.fullmatch(text):
        raise InvalidRequest(f"{field} must be a sha256 of 64 lower-case hex digits", field=field)
    return text


# every parameter a path may have; a route with any other does not get into the table
PATH_PARAMETERS: Mapping[str, Callable[[str, str], str]] = {
    "project": check_name,
    "uid": check_name,
    "id": check_name,
    "key": check_artifact_key,
    "digest": check_digest,
}


def run_stream(project: str, uid: str) -> str:
    """The stream of a run."""
    return f"run/{project}/{uid}"


def project_stream(project: str) -> str:
    """The stream of a project."""
    return f"project/{project}"
