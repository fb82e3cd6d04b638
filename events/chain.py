"""The hash chain: each batch commits to all before it.

    digest = sha256(previous digest || header || sha256(body))

The header is the msgpack array of offset, count, stream, version, recorded_at, actor, producer and sequence. The chain goes over the body's
digest, not the body, so that after a lawful redaction (the body changes, its first digest stays in `original`) it still verifies.
A chain finds damage and key-less rewriting; against its own author, or for a cut tail, it takes a checkpoint kept elsewhere.
"""

from hashlib import sha256

import msgspec

from events.errors import Corrupt
from events.record import Batch, Head

_header = msgspec.msgpack.Encoder()


def seal(previous: bytes, batch: Batch, body_digest: bytes) -> bytes:
    """The digest of a batch that follows `previous`, whatever it has for one; `body_digest` is of its body as first written."""
    header = (batch.offset, batch.count, batch.stream, batch.version, batch.recorded_at, batch.actor, batch.producer, batch.sequence)
    return sha256(previous + _header.encode(header) + body_digest).digest()


def check(head: Head, batch: Batch) -> Head:
    """The head after `batch`, when it truly follows `head`. Raises Corrupt naming the offset."""
    if batch.offset != head.offset + 1:
        raise Corrupt(f"offset {head.offset + 1} is missing: the log goes on at {batch.offset}", head.offset + 1)
    expected = seal(head.digest, batch, batch.original or sha256(batch.body).digest())
    if expected != batch.digest:
        raise Corrupt(f"the batch at offset {batch.offset} is not what was written", batch.offset)
    return Head(offset=batch.last, digest=batch.digest, recorded_at=batch.recorded_at, epoch=head.epoch)
