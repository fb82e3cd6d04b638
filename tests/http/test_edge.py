"""What every request meets before a use case does."""

import pytest

from tests.http.conftest import Serving

pytestmark = pytest.mark.anyio

OK = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"


def status_of(answer: bytes) -> int:
    """The status of a raw answer, 0 when there is none."""
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.") else 0


async def test_ready(serving: Serving) -> None:
    """A fresh server is ready at once, alive, and says what it is."""
    async with serving() as client:
        assert (await client.get("/health"))["status"] == "ok"
        assert await client.get("/livez") == b"ok\n"
        assert (await client.get("/v1/info"))["offset"] == 0


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "127.0.0.1.evil.com:{port}",
        "localhost.:{port}",
        "user@127.0.0.1:{port}",
        "2130706433:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "",
    ],
)
async def test_foreign_host(serving: Serving, host: str) -> None:
    """A page that rebinds its own name to this address gets nothing but a refusal."""
    async with serving() as client:
        answer = await client.raw(OK.replace(b"127.0.0.1:{port}", host.encode()))
    assert status_of(answer) in (400, 421)


async def test_own_names(serving: Serving) -> None:
    """The loopback names and the names allowed by the operator are answered, in any case."""
    async with serving(hosts=("tracker.example",)) as client:
        for host in (b"LOCALHOST:{port}", b"[::1]:{port}", b"tracker.example", b"Tracker.Example:8443"):
            assert status_of(await client.raw(OK.replace(b"127.0.0.1:{port}", host))) == 200, host


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET http://127.0.0.1/health HTTP/1.1",
        b"GET //evil/health HTTP/1.1",
        b"GET /health HTTP/1.0",
        b"GET /health",
        b"OPTIONS * HTTP/1.1",
        b"TRACE /health HTTP/1.1",
        b"CONNECT 127.0.0.1:80 HTTP/1.1",
        b"BREW /health HTTP/1.1",
    ],
)
async def test_odd_targets(serving: Serving, request_line: bytes) -> None:
    """Absolute targets, other protocols and other methods are refused without a fault of ours."""
    async with serving() as client:
        answer = await client.raw(request_line + b"\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
        assert 400 <= status_of(answer) < 500 or status_of(answer) == 0, answer
        assert status_of(await client.raw(OK)) == 200


async def test_two_hosts(serving: Serving) -> None:
    """Two Host headers are refused: two readers might choose different ones."""
    async with serving() as client:
        answer = await client.raw(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil\r\nConnection: close\r\n\r\n")
    assert status_of(answer) == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example:{port}"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
async def test_foreign_pages(serving: Serving, headers: dict[str, str], status: int) -> None:
    """A web page of another origin cannot make a browser change anything here."""
    async with serving() as client:
        sent = {name: text.replace("{port}", str(client.server.port)) for name, text in headers.items()}
        got, _ = await client.ask("POST", "/v1/heartbeats", {"producer": "p", "runs": []}, headers=sent)
    assert got == status


async def test_form_posts(serving: Serving) -> None:
    """A body that is neither JSON nor msgpack is refused, as forms of foreign pages are."""
    async with serving() as client:
        for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            status, body = await client.ask("POST", "/v1/events", data=b"{}", headers={"Content-Type": media})
            assert status == 415
            assert body["error"]["code"] == "unsupported"


@pytest.mark.parametrize(
    "name",
    ["..", "..%2f..%2fetc", "%2e%2e", "a%00b", "a%0d%0ab", "a%2fb", "%c3%28", "%zz", "-x", "x" * 129, "a%5cb", "a b".replace(" ", "%20")],
)
async def test_path_parameters(serving: Serving, name: str) -> None:
    """No name outside the grammar reaches a use case, however it is encoded."""
    async with serving() as client:
        for path in (f"/v1/tokens/{name}", f"/v1/blobs/{name}"):
            answer = await client.raw(f"DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1:{{port}}\r\nConnection: close\r\n\r\n".encode())
            assert status_of(answer) in (400, 404, 405), answer
            assert b"Traceback" not in answer


async def test_unknown_parameters(serving: Serving) -> None:
    """A misspelled parameter is an error that names the right ones, and a repeated one is an error, too."""
    async with serving() as client:
        status, body = await client.ask("GET", "/v1/events?folow=true")
        assert status == 400
        assert "follow" in body["error"]["message"]
        assert body["error"]["detail"]["field"] == "folow"
        assert (await client.ask("GET", "/v1/events?after=1&after=2"))[0] == 400
        assert (await client.ask("GET", "/v1/events?after=-1"))[0] == 400
        assert (await client.ask("GET", "/v1/events?after=9223372036854775808"))[0] == 400
        assert (await client.ask("GET", "/v1/events?after=x"))[0] == 400
        assert (await client.ask("GET", "/v1/events?after=1"))[0] == 416


async def test_methods(serving: Serving) -> None:
    """A wrong method says which ones there are; HEAD is GET without its body."""
    async with serving() as client:
        async with client.session.put(client.url + "/health") as reply:
            assert reply.status == 405
            assert reply.headers["Allow"] == "GET, HEAD"
        async with client.session.head(client.url + "/health") as reply:
            assert reply.status == 200
            assert await reply.read() == b""


async def test_headers_of_all_replies(serving: Serving) -> None:
    """No reply may be framed, sniffed, cached or run by a browser, errors included."""
    async with serving() as client:
        for path in ("/health", "/nothing", "/v1/events", "/v1/blobs/" + "0" * 64):
            async with client.session.get(client.url + path) as reply:
                assert reply.headers["X-Content-Type-Options"] == "nosniff"
                assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
                assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
                assert "Access-Control-Allow-Origin" not in reply.headers


async def test_half_a_header(serving: Serving) -> None:
    """Who sends half a header, or nothing, is dropped; others do not notice."""
    async with serving(header_timeout=0.5, idle_timeout=1.0) as client:
        assert await client.raw(b"GET /health HTTP/1.1\r\nHost: ") == b""
        assert await client.raw(b"") == b""
        assert status_of(await client.raw(OK)) == 200


async def test_half_a_body(serving: Serving) -> None:
    """Who sends half a body is told so after a while, and nothing is stored."""
    async with serving(body_grace=0.3) as client:
        head = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        assert status_of(await client.raw(head, until_closed=False)) == 408
        assert (await client.get("/v1/info"))["offset"] == 0


async def test_caps(serving: Serving) -> None:
    """Beyond the cap an idle connection makes room for a new one."""
    async with serving(connections=3) as client:
        import asyncio

        idle = [await asyncio.open_connection("127.0.0.1", client.server.port) for _ in range(6)]
        assert status_of(await client.raw(OK)) == 200
        for _, writer in idle:
            writer.close()


async def test_non_loopback_needs_tokens(serving: Serving) -> None:
    """A server that others can reach refuses to start without tokens, unless told otherwise."""
    from tracker.errors import InvalidRequest

    with pytest.raises(InvalidRequest, match="tracker token create"):
        async with serving(host="0.0.0.0"):
            pass
    async with serving(host="0.0.0.0", open_access=True) as client:
        answer = await client.raw(OK)
        assert status_of(answer) == 200
