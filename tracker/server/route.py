"""Routes as data, without a web framework: a table finds the route of a path, `dispatch` reads its parameters and calls its use case.

The same dispatch serves the HTTP edge and the SDK's in-process transport, so an embedded tracker answers as a server does. Safety is
decided where a route enters the table: every route has a role, every path parameter has a grammar, and a request struct names every
parameter there is.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cache
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

import msgspec

from tracker.directory import App
from tracker.errors import Forbidden, InvalidRequest, MethodNotAllowed, NotFound, Unauthorized
from tracker.keys import ROLES, Principal
from tracker.names import PATH_PARAMETERS
from tracker.wire import MSGPACK, check_plain

Role = Literal["anyone", "viewer", "writer", "admin"]
READS = ("GET", "HEAD")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a route that has none."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. `handler(app, request)` reads; that of any other method gets the caller's name as third.

    `request` is the struct of all parameters: of the path, the query, and, but for `raw` routes, the members of the body.
    A `raw` route reads its body itself: `handler(app, request, actor, body)`, the body as a stream of chunks.
    `stream` says what comes back when it is not one struct: "items" (NDJSON or server-sent events) or "bytes".
    """

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    role: Role
    request: type[msgspec.Struct] = Nothing
    reply: Any = None
    stream: Literal["", "items", "bytes"] = ""
    body: type[msgspec.Struct] | None = None  # the struct of a body that is not made of parameters ...
    decode: Callable[[bytes, str], Any] | None = None  # ... and how to read it, from bytes and media type
    raw: bool = False
    status: int = 200

    @property
    def apart(self) -> bool:
        """Whether it keeps something open, or in order, that must be let go of properly when the client leaves. An append need not: the
        log takes it back or keeps it whole."""
        return bool(self.stream) or (self.method not in READS and self.decode is None)


class Match(msgspec.Struct, frozen=True):
    """A route found for a path, with the path's parameters, decoded once and checked."""

    route: Route
    values: dict[str, str]


class _Node:
    """One segment of the paths in a table."""

    __slots__ = ("named", "routes", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node] = {}
        self.named: tuple[str, _Node] | None = None
        self.routes: dict[str, Route] = {}


class Table:
    """All routes. `{name}` in a path is one segment, in which a slash is written %2F."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._root = _Node()
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if route.role != "anyone" and route.role not in ROLES:
            raise ValueError(f"{route.method} {route.path} has no role")
        node = self._root
        for part in route.path.strip("/").split("/"):
            name = part[1:-1] if part.startswith("{") else ""
            if name and (name not in PATH_PARAMETERS or name not in route.request.__struct_fields__):
                raise ValueError(f"{route.path}: the path parameter {name!r} has no grammar, or no field in {route.request.__name__}")
            if not name:
                node = node.static.setdefault(part, _Node())
                continue
            if node.named is None:
                node.named = (name, _Node())
            if node.named[0] != name:
                raise ValueError(f"{route.path}: the segment is called {node.named[0]!r} elsewhere")
            node = node.named[1]
        node.routes[route.method] = route

    def match(self, method: str, path: str) -> Match:
        """The route of a raw (still percent-encoded) path. Raises NotFound, MethodNotAllowed, and InvalidRequest for a bad parameter."""
        values: dict[str, str] = {}
        routes = self._find(path, values)
        route = routes.get(method) or (routes.get("GET") if method == "HEAD" else None)
        if route is None:
            allowed = sorted({*routes, *(["HEAD"] if "GET" in routes else [])})
            raise MethodNotAllowed(f"{method[:16]} is not a method of this path", allowed=allowed)
        return Match(route, values)

    def _find(self, path: str, values: dict[str, str]) -> Mapping[str, Route]:
        node = self._root
        for part in path[1:].split("/"):
            if part in node.static:
                node = node.static[part]
            elif node.named is not None:
                name, node = node.named
                values[name] = PATH_PARAMETERS[name](unquote_once(part, name), name)
            else:
                raise NotFound("there is nothing at this path")
        if not node.routes:
            raise NotFound("there is nothing at this path")
        return node.routes


_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def unquote_once(text: str, field: str) -> str:
    """Percent-decoded text, decoded exactly once. Raises InvalidRequest when it is not UTF-8."""
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise InvalidRequest(f"{field} has a broken percent escape", field=field)
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{field} is not UTF-8", field=field, reason="bad_utf8") from None


def authorize(route: Route, principal: Principal | None) -> None:
    """Refuse a caller whom the route's role does not admit. The one place where that is decided."""
    if route.role == "anyone":
        return
    if principal is None:
        raise Unauthorized("this needs a token: send it as `Authorization: Bearer ...`")
    if not principal.may(route.role):
        raise Forbidden(f"this needs the role {route.role}, the token has {principal.role}")


def parameters(match: Match, query: Mapping[str, str], members: Any = None) -> Any:
    """The request struct of a route from the path, the query and the body's members. Raises InvalidRequest naming the field."""
    kind = match.route.request
    values: dict[str, Any] = {}
    if members is not None:
        if not isinstance(members, dict):
            raise InvalidRequest("the body must be an object", field="")
        check_plain(members, "the body")
        values.update(members)
    for name, text in query.items():
        if name in values or name in match.values:
            raise InvalidRequest(f"{name[:64]} is given twice", field=name[:64])
        values[name] = "true" if text == "" and name in _flags(kind) else text  # `?follow` alone means true
    values.update(match.values)
    for name in values:
        if name not in kind.__struct_fields__:
            known = ", ".join(f for f in kind.__struct_fields__ if f not in match.values) or "none"
            raise InvalidRequest(f"there is no parameter {name[:64]!r} here; there are: {known}", field=name[:64])
    try:
        return msgspec.convert(values, kind, strict=members is not None)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$.")
        field = at.rstrip("`")
        raise InvalidRequest(f"{field}: {message}" if field else message, field=field) from None


@cache
def _flags(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.name for field in msgspec.structs.fields(kind) if field.type is bool)


async def dispatch(
    app: App, table: Table, principal: Principal, method: str, path: str, query: Mapping[str, str], members: Any = None
) -> Any:
    """Serve a request of this process: what the route's use case answers. `path` is percent-encoded, `members` plain values.
    Raises what the use case raises. Raw routes are not for this door."""
    match = table.match(method, path)
    route = match.route
    authorize(route, principal)
    if route.raw:
        raise InvalidRequest(f"{route.path} takes a stream of bytes")
    if route.decode is not None:
        request: Any = route.decode(msgspec.msgpack.encode(members), MSGPACK)
    else:
        request = parameters(match, query, members)
    return await route.handler(app, request) if method in READS else await route.handler(app, request, principal.name)
