"""Who may do what: tokens, made here, shown once, kept as the sha256 of their secret.

A token is `<id>.<secret>`. As long as none was ever made, whoever reaches a loopback server is its admin; from the first one on every
request but those for anyone needs one, on loopback too, and revoking the last does not open the door again.
"""

import hmac
import secrets
from hashlib import sha256
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from events.types import TokenCreated, TokenRevoked
from tracker.errors import InvalidRequest, NotFound, Unauthorized
from tracker.service.names import check_name

if TYPE_CHECKING:
    from tracker.app import App

ROLES = {"viewer": 1, "writer": 2, "admin": 3}
STREAM = "access/tokens"
_ABSENT = sha256(b"no such token").hexdigest()


class Principal(msgspec.Struct, frozen=True):
    """Who sent a request: the name for the log's `actor`, and a role."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether this one may do what `role` may."""
        return ROLES[self.role] >= ROLES[role]


OWNER = Principal("", "admin")  # whoever owns the data directory, or reaches an open loopback server


class Token(msgspec.Struct, kw_only=True):
    """A token without its secret. Times are nanoseconds, 0 = never."""

    id: str
    role: str
    name: str = ""
    digest: str = ""
    expires: int = 0
    revoked: int = 0

    @property
    def principal(self) -> Principal:
        """Who acts with it."""
        return Principal(f"token:{self.id}", self.role)


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


class Keys:
    """The tokens there are, in memory: the log's writer keeps them as it records them."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    @property
    def required(self) -> bool:
        """Whether requests need a token."""
        return bool(self._tokens)

    def all(self) -> list[Token]:
        """Every token ever made, by id."""
        return [self._tokens[id] for id in sorted(self._tokens)]

    def take(self, event: object) -> None:
        """Fold an event of the tokens' stream."""
        if isinstance(event, TokenCreated) and event.role in ROLES:
            self._tokens[event.id] = Token(id=event.id, role=event.role, name=event.name, digest=event.digest, expires=event.expires)
        elif isinstance(event, TokenRevoked) and event.id in self._tokens:
            self._tokens[event.id].revoked = event.time

    def principal(self, text: str) -> Principal:
        """Who holds a token. Raises Unauthorized; an unknown id takes the same path as a wrong secret."""
        id, _, secret = text.partition(".")
        token = self._tokens.get(id)
        same = hmac.compare_digest(sha256(secret.encode()).hexdigest(), token.digest if token else _ABSENT)
        if not same or token is None or token.revoked or (token.expires and token.expires <= time_ns()):
            raise Unauthorized("the token is not valid")
        return token.principal


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


async def create_token(app: "App", request: CreateToken, actor: str) -> NewToken:
    """A new token. Its secret is in the reply and nowhere else."""
    if request.expires and request.expires <= time_ns():
        raise InvalidRequest("expires is in the past", field="expires")
    id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    digest = sha256(secret.encode()).hexdigest()
    event = TokenCreated(time=time_ns(), id=id, digest=digest, role=request.role, name=request.name, expires=request.expires)
    await app.record(STREAM, [event], actor)
    app.keys.take(event)
    return NewToken(id=id, role=request.role, name=request.name, expires=request.expires, token=f"{id}.{secret}")


async def list_tokens(app: "App", _request: object) -> Tokens:
    """Every token ever made."""
    return Tokens(tokens=[_view(token) for token in app.keys.all()])


async def revoke_token(app: "App", request: TokenId, actor: str) -> TokenView:
    """The token may no longer act, from the reply on. Raises NotFound."""
    check_name(request.id, "id")
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
