"""Which bytes an event names: those of an artifact, and of each of its files.

An artifact of several files names the bytes of each beside those of their list. Whoever sends, keeps, proves or removes the bytes of
artifacts asks here which they are, of an event or of its plain shape (in a journal, an export, or of a later version); what does not look
like a digest is none.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from events.codec import AnyEvent
from events.types import ArtifactLogged, Unknown

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TAG = ArtifactLogged.__struct_config__.tag


def digests_of(event: AnyEvent) -> set[str]:
    """The digests an event names. Of an event of a later version, what looks like them."""
    if isinstance(event, ArtifactLogged):
        return {digest for digest in (event.digest, *(file.digest for file in event.files)) if _DIGEST.fullmatch(digest)}
    return set(_within(event.data)) if isinstance(event, Unknown) else set()


def digests_in(shape: Mapping[str, Any]) -> set[str]:
    """The digests that the plain shape of an event names, if it is of an artifact."""
    return set(_within(shape)) if shape.get("type") == _TAG else set()


def _within(shape: Mapping[str, Any]) -> Iterator[str]:
    files = shape.get("files")
    for named in (shape, *(files if isinstance(files, list | tuple) else ())):
        digest = named.get("digest") if isinstance(named, Mapping) else None
        if isinstance(digest, str) and _DIGEST.fullmatch(digest):
            yield digest
