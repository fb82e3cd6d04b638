"""The HTTP edge: from bytes to a use case and back. The only part of the server that knows aiohttp.

Every request goes the same way: guards, who, which route, may they, the body, the parameters, the use case, the reply. Errors of any step
become an answer in one place. aiohttp's own router is not used: our table matches the raw path, so that a segment is decoded once and
checked before a handler sees it.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from time import perf_counter
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote

import anyio
import msgspec
import structlog
from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from tracker.directory import App
from tracker.errors import InvalidRequest, Unauthorized, Unexpected, Unsupported
from tracker.keys import OWNER, Principal
from tracker.server import bodies, streams
from tracker.server.guards import Names, check_headers, check_origin, check_target
from tracker.server.problems import Problem, describe
from tracker.server.ranges import requested
from tracker.server.route import READS, Match, Table, authorize, parameters
from tracker.service.replies import Content, Items
from tracker.wire import JSON, MSGPACK, accepted, decode_json, decode_msgpack, encode, media_type

logger = structlog.get_logger("tracker.http")
T = TypeVar("T")

_QUIET = frozenset({"/v1/events", "/v1/heartbeats", "/health", "/livez"})  # too many to tell of each when it went well
_ALWAYS = CIMultiDict(
    {
        "Server": "run-tracker",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
)


class Edge:
    """Serves requests to an app by a table of routes."""

    def __init__(self, app: App, table: Table, names: Names) -> None:
        self._app = app
        self._table = table
        self._names = names
        self._count = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        began = perf_counter()
        self._count += 1
        try:
            match, response = await self._serve(request)
            path = match.route.path
        except Exception as error:  # noqa: BLE001 - the one place where errors become answers
            path, response = "", self._refuse(request, error)
        if getattr(request.protocol, "taken", False):
            response.force_close()  # nothing that follows could be understood
        took = perf_counter() - began
        self._app.counters.add(request.method, path, response.status, took)
        if response.status >= 400 or path not in _QUIET:
            logger.info(
                "request",
                method=request.method[:16],
                path=request.raw_path.partition("?")[0][:512],
                status=response.status,
                ms=round(took * 1000, 2),
            )
        return response

    def _refuse(self, request: web.BaseRequest, error: Exception) -> web.StreamResponse:
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, ConnectionError):
            raise error  # the reader is gone, and with it the question
        problem = describe(error)
        if problem.status >= 500 and problem.code in ("failed", "corrupt"):
            logger.error("fault", id=f"{self._count:x}", path=request.raw_path.partition("?")[0][:512], exc_info=error)
            problem = msgspec.structs.replace(problem, detail={**problem.detail, "request_id": f"{self._count:x}"})
        if request.writer.output_size > 0:
            if request.transport is not None:
                request.transport.abort()  # an ordinary end would say that the reply is whole
            raise ConnectionResetError("a reply broke off")
        return self._problem(request, problem)

    def _problem(self, request: web.BaseRequest, problem: Problem) -> web.Response:
        headers = _ALWAYS.copy()
        headers.update(problem.headers)
        media = accepted(request.headers.get("Accept", ""))
        headers["Content-Type"] = media
        response = web.Response(status=problem.status, body=encode(problem.body, media), headers=headers)
        if problem.status in (400, 408, 413) and not request.content.is_eof():
            response.force_close()
        return response

    async def _serve(self, request: web.BaseRequest) -> tuple[Match, web.StreamResponse]:
        principal = self._guard(request)
        path, _, query = request.raw_path.partition("?")
        match = self._table.match(request.method, path)
        authorize(match.route, principal)
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise Unexpected("the only thing to expect here is 100-continue")
        work = partial(self._work, request, match, _query(query), principal or OWNER)
        return match, await (_apart(work) if match.route.apart else work())

    async def _work(self, request: web.BaseRequest, match: Match, query: Mapping[str, str], principal: Principal) -> web.StreamResponse:
        return await self._answer(request, match, await self._call(request, match, query, principal))

    def _guard(self, request: web.BaseRequest) -> Principal | None:
        headers = request.headers
        if request.version != HttpVersion11:
            raise InvalidRequest("only HTTP/1.1 is spoken here", field="version")
        host = check_headers(headers)
        check_target(request.raw_path)
        self._names.check(host)
        check_origin(request.method, host, headers.get("Origin"), headers.get("Sec-Fetch-Site"))
        return self._principal(headers)

    def _principal(self, headers: Mapping[str, str]) -> Principal | None:
        if not self._app.keys.required:
            return OWNER if self._names.loopback or self._app.settings.open_access else None
        given = headers.get("Authorization")
        if given is None:
            return None
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("the Authorization header must be `Bearer <token>`")
        return self._app.keys.principal(token.strip())

    async def _call(self, request: web.BaseRequest, match: Match, query: Mapping[str, str], principal: Principal) -> Any:
        route = match.route
        if request.method in READS:
            if route.stream and (last := request.headers.get("Last-Event-ID")):
                query = _resumed(route.request, query, last)
            return await route.handler(self._app, parameters(match, query))
        if route.raw:
            settings = self._app.settings
            async with aclosing(bodies.chunks(request, settings, settings.max_blob)) as chunks:
                return await route.handler(self._app, parameters(match, query), principal.name, chunks)
        body = await bodies.read_body(request, self._app.settings)
        media = media_type(request.headers.get("Content-Type", ""))
        if media is None and body:
            raise Unsupported(f"the Content-Type must be {JSON} or {MSGPACK}")
        if route.decode is not None:
            return await route.handler(self._app, route.decode(body, media or JSON), principal.name)
        members = None if not body else decode_msgpack(body) if media == MSGPACK else decode_json(body)
        if body and members is None:
            raise InvalidRequest("the body must be an object")
        return await route.handler(self._app, parameters(match, query, members), principal.name)

    async def _answer(self, request: web.BaseRequest, match: Match, reply: Any) -> web.StreamResponse:
        headers = _ALWAYS.copy()
        accept = request.headers.get("Accept", "")
        alive = self._app.settings.keep_alive
        if isinstance(reply, Items):
            sse = streams.wants_events(accept)
            headers["Content-Type"] = streams.EVENTS if sse else streams.NDJSON
            response = web.StreamResponse(headers=headers)
            await streams.send_items(request, response, reply, sse=sse, alive=alive)
            return response
        if isinstance(reply, Content):
            return await _send_content(request, reply, headers, accept, alive)
        if isinstance(reply, str):
            headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
            return web.Response(body=reply.encode(), headers=headers)
        media = accepted(accept)
        headers["Content-Type"] = media
        return web.Response(status=match.route.status, body=encode(reply, media), headers=headers)


async def _send_content(
    request: web.BaseRequest, content: Content, headers: CIMultiDict[str], accept: str, alive: float
) -> web.StreamResponse:
    sse = streams.wants_events(accept) and not content.ranged
    headers["Content-Type"] = streams.EVENTS if sse else content.media
    headers.update(content.headers)
    if content.filename:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(content.filename, safe='')}"
    status, span = 200, (content.start, content.end)
    if content.ranged:
        headers["Accept-Ranges"] = "bytes"
        headers["ETag"] = f'"{content.digest}"'
        status, span = requested(request.headers, content)
        if status == 206:
            headers["Content-Range"] = f"bytes {span[0]}-{(span[1] or 0) - 1}/{content.size}"
    response = web.StreamResponse(status=status, headers=headers)
    if span[1] is not None and content.exact and not sse and status != 304:
        response.content_length = span[1] - span[0]
    if status == 304:
        return web.Response(status=304, headers=headers)
    await streams.send_bytes(request, response, content, span, sse=sse, alive=alive)
    return response


async def _apart(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, in a task of its own. When a client leaves, aiohttp cancels the handler in asyncio's way, which no shield holds
    off; a task group passes it on in the way that shields do."""
    done: list[T] = []

    async def run() -> None:
        done.append(await work())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
    return done[0]


def _query(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise InvalidRequest("the query is not UTF-8, or has too many parameters", reason="bad_utf8") from None
    query = dict(pairs)
    if len(query) != len(pairs):
        raise InvalidRequest("a query parameter is given twice", reason="duplicate_key")
    return query


def _resumed(kind: type[msgspec.Struct], query: Mapping[str, str], last: str) -> Mapping[str, str]:
    """A browser that reconnects says where it was in Last-Event-ID; that goes before what its URL said at first."""
    for name in ("after", "offset"):
        if name in kind.__struct_fields__:
            return {**query, name: last}
    return query
