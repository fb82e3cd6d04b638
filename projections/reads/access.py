"""Tokens, for those who administrate them. Secrets are not here: only their digests are."""

from projections.access import TOKENS, TokenRow
from projections.views import Views


async def list_tokens(views: Views) -> list[TokenRow]:
    """All tokens ever made, the oldest first."""
    return await views.select(TOKENS, "ORDER BY created_at, id")
