"""Tokens: made here, shown once, taken away."""

import secrets
from hashlib import sha256
from time import time_ns
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from events.types import TokenCreated, TokenRevoked
from tracker.directory import App
from tracker.errors import InvalidRequest, NotFound
from tracker.keys import STREAM, Token
from tracker.names import check_key


class TokenView(msgspec.Struct, kw_only=True):
    """A token as it is shown."""

    id: str
    role: str
    name: str
    expires: int
    revoked: int


class NewToken(msgspec.Struct, kw_only=True):
    """A token as it is shown once, with its secret."""

    id: str
    role: str
    name: str
    expires: int
    token: str


class CreateToken(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Make a token. `expires` in nanoseconds since the epoch, 0 = never."""

    role: Literal["viewer", "writer", "admin"]
    name: Annotated[str, Meta(max_length=250)] = ""
    expires: Annotated[int, Meta(ge=0, lt=2**63 - 1)] = 0


class TokenId(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One token."""

    id: str


class Tokens(msgspec.Struct, kw_only=True):
    """All tokens, without secrets."""

    tokens: list[TokenView]


async def create_token(app: App, request: CreateToken, actor: str) -> NewToken:
    """A new token. Its secret is in the reply and nowhere else."""
    if request.expires and request.expires <= time_ns():
        raise InvalidRequest("expires is in the past", field="expires")
    if request.name:
        check_key(request.name, "name")
    id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    digest = sha256(secret.encode()).hexdigest()
    event = TokenCreated(time=time_ns(), id=id, digest=digest, role=request.role, name=request.name, expires=request.expires)
    await app.record(STREAM, [event], actor)
    app.keys.take(event)
    return NewToken(id=id, role=request.role, name=request.name, expires=request.expires, token=f"{id}.{secret}")


async def list_tokens(app: App, _request: object) -> Tokens:
    """Every token ever made."""
    return Tokens(tokens=[_view(token) for token in app.keys.all()])


async def revoke_token(app: App, request: TokenId, actor: str) -> TokenView:
    """The token may no longer act, from the reply on. Raises NotFound."""
    token = next((token for token in app.keys.all() if token.id == request.id), None)
    if token is None:
        raise NotFound(f"there is no token {request.id}")
    if not token.revoked:
        event = TokenRevoked(time=time_ns(), id=request.id)
        await app.record(STREAM, [event], actor)
        app.keys.take(event)
    return _view(token)


def _view(token: Token) -> TokenView:
    return TokenView(id=token.id, role=token.role, name=token.name, expires=token.expires, revoked=token.revoked)
