"""Who may do what: tokens, kept as the sha256 of their secret.

A token is `<id>.<secret>`. As long as none was ever made, whoever reaches a loopback server is its admin; from the first one on every
request but those for anyone needs one, on loopback too, and revoking the last does not open the door again.
"""

import hmac
from hashlib import sha256
from time import time_ns

import msgspec

from events.types import TokenCreated, TokenRevoked
from tracker.errors import Unauthorized

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
