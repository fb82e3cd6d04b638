"""Requests addressed elsewhere, sent by foreign pages, or readable in two ways."""

import pytest

from tests.http.conftest import Client, Serving
from tests.http.test_edge import status_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("faultless")]

HOSTS_OF_OTHERS = [
    *(
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "evil.example.127.0.0.1:{port}",
        "127.0.0.1@evil.example:{port}",
    ),
    *("localhost.:{port}", "localhost..:{port}", "127.0.0.1.:{port}", "localhost.evil:{port}", "xlocalhost:{port}", "localhostx:{port}"),
    *(
        "2130706433:{port}",
        "0x7f000001:{port}",
        "0x7f.0.0.1:{port}",
        "0177.0.0.1:{port}",
        "017700000001:{port}",
        "127.1:{port}",
        "127.0.1:{port}",
    ),
    *(
        "127.0.0.01:{port}",
        "127.0.0.2:{port}",
        "0.0.0.0:{port}",
        "0:{port}",
        "[::]:{port}",
        "[::ffff:127.0.0.1]:{port}",
        "[::ffff:7f00:1]:{port}",
    ),
    *(
        "::1:{port}",
        "[::1%25lo]:{port}",
        "[::1%evil]:{port}",
        "[[::1]]:{port}",
        "[::1:{port}",
        "::1]:{port}",
        "[127.0.0.1]:{port}",
        "[localhost]:{port}",
    ),
    *(
        "127.0.0.1",
        "localhost",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:1",
        "127.0.0.1:80",
        "127.0.0.1:999999",
        "127.0.0.1:-1",
        "127.0.0.1:{port}0",
    ),
    *(
        "127.0.0.1:{port}:{port}",
        "127.0.0.1 :{port}",
        "127.0.0.1: {port}",
        "127.0.0.1:{port} evil",
        "127.0.0.1:{port},evil",
        "127.0.0.1:{port}/evil",
    ),
    *(
        "127.0.0.1:{port}#",
        "127.0.0.1:{port}?x",
        "http://127.0.0.1:{port}",
        "//127.0.0.1:{port}",
        "127.0.0.1:{port}%00",
        "127.0.0.1:\u0663",
        "*",
        "*:{port}",
    ),
    *(
        "user@127.0.0.1:{port}",
        "user:{port}@127.0.0.1",
        "",
        ".",
        ":",
        ":{port}",
        "localhost%2e:{port}",
        "\u017focalhost:{port}",
        "\xff:{port}",
    ),
]
OWN_HOSTS = ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}", "tracker.example", "TRACKER.example:8443"]


def get(*headers: bytes, target: bytes = b"/health", version: bytes = b"HTTP/1.1") -> bytes:
    """A request with exactly these headers."""
    return b"\r\n".join([b"GET " + target + b" " + version, *headers, b"Connection: close", b"", b""])


HOST = b"Host: 127.0.0.1:{port}"


@pytest.mark.parametrize("host", HOSTS_OF_OTHERS)
async def test_hosts_of_others(serving: Serving, host: str) -> None:
    """Every way of writing a Host that is not one of ours, or not quite, is refused before anything is looked at."""
    async with serving() as client:
        for target in (b"/health", b"/v1/info", b"/nothing"):
            answer = await client.raw(get(b"Host: " + host.encode(), target=target))
            assert status_of(answer) in (400, 421), answer


async def test_hosts_of_ours(serving: Serving) -> None:
    """The names of the server are its own in any case, and those the operator added at any port."""
    async with serving(hosts=("tracker.example",)) as client:
        for host in OWN_HOSTS:
            assert status_of(await client.raw(get(b"Host: " + host.encode()))) == 200, host


async def test_hosts_of_an_open_server(serving: Serving) -> None:
    """A server that others reach answers to addresses, which no name service can turn, and to no foreign name."""
    async with serving(host="0.0.0.0", open_access=True) as client:
        for host in (b"127.0.0.1:{port}", b"10.1.2.3:{port}", b"[fe80::1]:{port}"):
            assert status_of(await client.raw(get(b"Host: " + host))) == 200, host
        for host in (
            b"evil.example:{port}",
            b"[10.1.2.3]:{port}",
            b"[fe80::1%evil]:{port}",
            b"10.1.2.3",
            b"10.1.2.3.evil:{port}",
            b"167837955:{port}",
        ):
            assert status_of(await client.raw(get(b"Host: " + host))) in (400, 421), host


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ([], {400}),
        ([HOST, HOST], {400}),
        ([HOST, b"Host: evil"], {400}),
        ([HOST, b"host: 127.0.0.1:{port}"], {400}),
        ([b"Host : 127.0.0.1:{port}"], {400}),
        ([b" Host: 127.0.0.1:{port}"], {400}),
        ([HOST, b"X-Forwarded-Host: evil"], {200}),
        ([HOST, b"Authorization: Bearer a", b"Authorization: Bearer b"], {400}),
        ([HOST, b"Origin: http://127.0.0.1:{port}", b"Origin: http://evil"], {400}),
        ([HOST, b"Authorization: Bearer \xff"], {400}),
        ([HOST, b"Origin: http://\xff"], {400}),
        ([HOST, b"Origin: http://[evil"], {403}),
        ([HOST, b"Sec-Fetch-Site: \xff"], {400}),
        ([HOST, b"Accept: \xff"], {400}),
        ([HOST, b"Last-Event-ID: \xff"], {400}),
        ([HOST, b"Expect: nothing"], {417}),
        ([HOST, b"Upgrade: websocket", b"Sec-WebSocket-Key: x"], {200}),
        ([HOST, b"Upgrade: h2c", b"HTTP2-Settings: x"], {200}),
        ([HOST, b"X: " + b"x" * 9000], {400, 431}),
        ([HOST, *(b"X%d: x" % i for i in range(200))], {400, 431}),
        ([HOST, b"X: a\x00b"], {400}),
        ([HOST, b"X: a\rb"], {400}),
        ([HOST, b"X: a\r\n b"], {400}),
        ([HOST, b"no colon"], {400}),
        ([HOST, b"Content-Length: 3", b"Transfer-Encoding: chunked"], {400}),
        ([HOST, b"Content-Length: 3", b"Content-Length: 4"], {400}),
        ([HOST, b"Content-Length: -1"], {400}),
        ([HOST, b"Content-Length: +1"], {400}),
        ([HOST, b"Content-Length: 1_0"], {400}),
        ([HOST, b"Transfer-Encoding: x, chunked, x"], {400}),
    ],
)
async def test_headers_of_two_readings(serving: Serving, headers: list[bytes], statuses: set[int]) -> None:
    """A header that two readers could understand differently is refused, and the connection says so in the one form of errors."""
    async with serving() as client:
        answer = await client.raw(get(*headers))
        assert status_of(answer) in statuses, answer
        if status_of(answer) != 200:
            assert b'{"error":{"code":' in answer
        assert status_of(await client.raw(get(HOST))) == 200


@pytest.mark.parametrize(
    "version", [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3", b"HTTP/1.2", b"HTTP/11", b"http/1.1", b"HTTP/1.1 x", b""]
)
async def test_other_versions(serving: Serving, version: bytes) -> None:
    """Only HTTP/1.1 is spoken."""
    async with serving() as client:
        assert status_of(await client.raw(get(HOST, version=version))) in (0, 400)


@pytest.mark.parametrize(
    "target",
    [
        *(
            b"http://127.0.0.1:{port}/health",
            b"http://evil/health",
            b"https://127.0.0.1/health",
            b"//health",
            b"//evil/health",
            b"/\\health",
        ),
        *(
            b"health",
            b"*",
            b"127.0.0.1:80",
            b"/health#x",
            b"/..",
            b"/../health",
            b"/./health",
            b"/v1/../health",
            b"/%2e%2e/health",
            b"/health%00",
        ),
        *(b"/health/", b"//", b"/health;x", b"/%68ealth", b"/HEALTH", b"/v1/%2fevents", b"\\health", b"/health\xff", b"/" + b"a/" * 4000),
    ],
)
async def test_other_targets(serving: Serving, target: bytes) -> None:
    """A target is a plain path, written as in the table: there are no second spellings to slip past a proxy with."""
    async with serving() as client:
        assert status_of(await client.raw(get(HOST, target=target))) in (400, 404), target


FOREIGN_PAGES: list[dict[str, str]] = [
    {"Origin": origin}
    for origin in (
        *(
            "null",
            "",
            "http://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:1",
            "http://127.0.0.1:{port}.evil.example",
            "file://",
            "http://",
        ),
        *("http://127.0.0.1.evil.example:{port}", "http://evil.example:{port}", "http://localhost:{port}", "http://[::1]:{port}"),
        *(
            "ftp://127.0.0.1:{port}",
            "chrome-extension://abc",
            "127.0.0.1:{port}",
            "http://127.0.0.1:{port}/",
            "http://127.0.0.1:{port}@evil",
        ),
        *("http://evil@127.0.0.1:{port}", "http://127.0.0.1:{port} http://evil", "http:/127.0.0.1:{port}", "http://[evil"),
    )
] + [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "", "SAME-ORIGIN", "other")]
WRITES = [
    ("POST", "/v1/events"),
    ("POST", "/v1/heartbeats"),
    ("POST", "/v1/projects"),
    ("PATCH", "/v1/projects/p"),
    ("DELETE", "/v1/projects/p"),
    ("DELETE", "/v1/projects/p/runs/u"),
    ("POST", "/v1/projects/p/runs/u/restore"),
    ("PUT", "/v1/blobs/" + "0" * 64),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens/x"),
]


async def written(client: Client, method: str, path: str, headers: dict[str, str]) -> int:
    """The status of a write as a page's script sends it."""
    sent = {name: text.replace("{port}", str(client.server.port)) for name, text in headers.items()}
    return (await client.ask(method, path, data=b"{}", headers=sent))[0]


async def test_writes_of_foreign_pages(serving: Serving) -> None:
    """No write of any route can be sent by a page of another origin, with whatever it says of itself; our own origin may."""
    async with serving() as client:
        for method, path in WRITES:
            for headers in FOREIGN_PAGES:
                assert await written(client, method, path, headers) == 403, (method, path, headers)
            for own in ({"Origin": "http://127.0.0.1:{port}"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
                assert await written(client, method, path, own) != 403, (method, path, own)


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", ""])
async def test_simple_requests(serving: Serving, media: str) -> None:
    """What a form of a page can send without asking first is no body of ours, on any route that takes one."""
    async with serving() as client:
        for method, path in WRITES:
            if method != "PUT":
                assert (await client.ask(method, path, data=b"{}", headers={"Content-Type": media}))[0] == 415, (method, path)
