"""Tokens: who may act, and in which role. Only digests of secrets are known. A token once revoked stays revoked."""

import msgspec

from events.record import Batch
from events.types import TokenCreated, TokenRevoked
from projections.base import Rows, Table
from projections.values import fit

STREAM = "access/tokens"


class TokenRow(msgspec.Struct, kw_only=True):
    """A token as it stands. Times are nanoseconds; `expires` and `revoked` are 0 for never and not."""

    id: str
    digest: str = ""
    role: str = ""
    name: str = ""
    created_at: int = 0
    expires: int = 0
    revoked: int = 0


TOKENS = Table("tokens", TokenRow, key=("id",), indexes=(("digest",),))


class Access:
    """The projection of tokens."""

    name = "access"
    version = 1
    tables = (TOKENS,)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """See Projection."""
        if batch.stream != STREAM:
            return
        for event in batch.events:
            if isinstance(event, TokenCreated):
                row = rows.get(TOKENS, event.id) or TokenRow(id=event.id)
                row.digest, row.role, row.name = event.digest, event.role, event.name
                row.created_at, row.expires = fit(event.time), fit(event.expires)
                rows.put(TOKENS, row)
            elif isinstance(event, TokenRevoked):
                row = rows.get(TOKENS, event.id) or TokenRow(id=event.id)
                row.revoked = row.revoked or fit(event.time) or 1
                rows.put(TOKENS, row)
