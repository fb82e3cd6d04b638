"""Names of artifacts that are kept by the tracker: store://<artifacts|datasets|models>/<project>/<key>[#iteration][:tag][@uid][^digest].

`artifacts` stands for any kind, `datasets` and `models` only for theirs. Without anything else the newest version is meant; a tag names
another one, a uid the run that logged it, an iteration the child of the run, and a digest (or its first characters, at least six) pins
the bytes: what resolves to other bytes does not resolve. The key may have parts between slashes; what would be read as a separator
stands percent-encoded in it.
"""

import re
from urllib.parse import quote, unquote

import msgspec

from tracker.errors import InvalidRequest
from tracker.names import check_artifact_key, check_key, check_name

SCHEME = "store://"
KINDS = {"artifacts": "", "datasets": "dataset", "models": "model"}  # what the artifact's kind must be, "" = any
_PARTS = re.compile(r"(?P<key>[^#:@^]+)(?:#(?P<iteration>[^:@^]*))?(?::(?P<tag>[^@^]*))?(?:@(?P<uid>[^^]*))?(?:\^(?P<digest>.*))?")
_DIGEST = re.compile(r"[0-9a-f]{6,64}")


class StoreUri(msgspec.Struct, frozen=True):
    """One artifact, or a version of it. `str(uri)` is its text."""

    kind: str
    project: str
    key: str
    iteration: int | None = None
    tag: str = ""
    uid: str = ""
    digest: str = ""

    def __str__(self) -> str:
        text = f"{SCHEME}{self.kind}/{self.project}/{quote(self.key, safe='/ ()[]{}+,;=~!$&*')}"
        if self.iteration is not None:
            text += f"#{self.iteration}"
        for mark, part in ((":", self.tag), ("@", self.uid), ("^", self.digest)):
            text += f"{mark}{quote(part, safe='')}" if part else ""
        return text


def is_store_uri(text: str) -> bool:
    """Whether a text wants to be such a name."""
    return text.startswith(SCHEME)


def parse_store_uri(text: str) -> StoreUri:
    """The parts of a name. Raises InvalidRequest that says which part is wrong."""
    if not is_store_uri(text):
        raise InvalidRequest(f"{text[:200]!r} does not begin with {SCHEME}", field="url")
    kind, _, rest = text.removeprefix(SCHEME).partition("/")
    project, _, name = rest.partition("/")
    match = _PARTS.fullmatch(name)
    if kind not in KINDS:
        raise _wrong(text, f"its kind is {kind!r}: it must be one of {', '.join(KINDS)}")
    if not project or match is None:
        raise _wrong(text, "it has no project or no key: write store://artifacts/<project>/<key>")
    try:
        return StoreUri(
            kind=kind,
            project=check_name(project, "project"),
            key=check_artifact_key(unquote(match["key"]), "key"),
            iteration=_iteration(match["iteration"]),
            tag="" if match["tag"] is None else check_key(unquote(match["tag"]), "tag"),
            uid="" if match["uid"] is None else check_name(unquote(match["uid"]), "uid"),
            digest="" if match["digest"] is None else _digest(match["digest"]),
        )
    except InvalidRequest as error:
        raise _wrong(text, str(error)) from None


def _iteration(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidRequest(f"the iteration after '#' is {text!r}, not a number")
    return int(text)


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise InvalidRequest("the digest after '^' must be 6-64 lower-case hex digits")
    return text


def _wrong(text: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{text[:200]!r} names no artifact: {why}", field="url")
