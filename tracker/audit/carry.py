"""The bytes of artifacts that an export names, carried beside it.

An export holds events; the bytes that its artifacts name lie in files by their sha256, as in a data directory: `ab/<sha256>`. Bytes are
hashed while they are copied, and kept only under the digest that they have. What is there already is not copied again.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection
from pathlib import Path

import msgspec

from events.record import Batch
from events.types import ArtifactLogged
from tracker.blobs import Blobs
from tracker.digests import digests_of
from tracker.errors import DigestMismatch


class Carried(msgspec.Struct, kw_only=True):
    """How many files came along, how many were there before; the digests of those that the source does not have, or with other bytes."""

    copied: int = 0
    present: int = 0
    missing: list[str] = []
    damaged: list[str] = []

    @property
    def whole(self) -> bool:
        """Whether all that was asked for is there now."""
        return not self.missing and not self.damaged


async def noting(batches: AsyncIterable[Batch], digests: set[str]) -> AsyncIterator[Batch]:
    """The batches as they come; the digests that their artifacts name are added to `digests`."""
    async for batch in batches:
        if ArtifactLogged in batch.kinds:
            digests.update(*(digests_of(event) for event in batch.events if isinstance(event, ArtifactLogged)))
        yield batch


async def absent(digests: Collection[str], blobs: Blobs) -> int:
    """How many of these are not there."""
    return sum([await blobs.size(digest) is None for digest in digests])


async def carry(digests: Collection[str], source: Path, target: Blobs, progress: Callable[[int], None] = lambda _: None) -> Carried:
    """Copy the files of these digests from the directory `source`; `progress` hears how many are done."""
    target.prepare()
    carried = Carried()
    for count, digest in enumerate(sorted(digests), 1):
        try:
            if await target.size(digest) is not None:
                carried.present += 1
            else:
                await target.put_file(digest, source / digest[:2] / digest)
                carried.copied += 1
        except FileNotFoundError:
            carried.missing.append(digest)
        except DigestMismatch:
            carried.damaged.append(digest)
        progress(count)
    return carried
