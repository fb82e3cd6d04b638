"""Tokens, for those who administrate them. Secrets are not here: only their digests are."""

from projections.access import TOKENS, TokenRow
from projections.views import Views


async def get_token(views: Views, id: str) -> TokenRow | None:
    """The token, or None."""
    found: TokenRow | None = await views.get(TOKENS, id)
    return found


async def list_tokens(views: Views) -> list[TokenRow]:
    """All tokens ever made, the oldest first."""
    return await views.select(TOKENS, "ORDER BY created_at, id")
