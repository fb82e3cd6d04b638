"""Bytes of artifacts: in, out, in parts, and never anything else."""

import hashlib
import io
from pathlib import Path

import pytest

from tests.http.conftest import Client, Serving

pytestmark = pytest.mark.anyio

BODY = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(BODY).hexdigest()
PATH = f"/v1/blobs/{DIGEST}"


async def put(client: Client, body: bytes = BODY, path: str = PATH) -> int:
    """Upload; the status."""
    async with client.session.put(client.url + path, data=io.BytesIO(body)) as reply:
        await reply.read()
        return reply.status


async def test_there_and_back(serving: Serving, tmp_path: Path) -> None:
    """What was uploaded comes back byte for byte, is stored once, and only its owner can read the file."""
    async with serving() as client:
        assert (await client.session.head(client.url + PATH)).status == 404
        assert await put(client) == 200
        assert await put(client) == 200
        async with client.session.get(client.url + PATH) as reply:
            assert await reply.read() == BODY
            assert reply.headers["ETag"] == f'"{DIGEST}"'
            assert reply.headers["Content-Disposition"].startswith("attachment")
            assert "sandbox" in reply.headers["Content-Security-Policy"]
        async with client.session.head(client.url + PATH) as reply:
            assert reply.status == 200
            assert reply.headers["Content-Length"] == str(len(BODY))
    files = [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [DIGEST]
    assert files[0].stat().st_mode & 0o777 == 0o600


async def test_other_bytes(serving: Serving, tmp_path: Path) -> None:
    """Bytes that do not have the digest, or break off, leave nothing behind."""
    async with serving() as client:
        assert await put(client, BODY + b"x") == 422
        head = f"PUT {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{{port}}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
        import asyncio

        _, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        writer.write(head.replace(b"{port}", str(client.server.port).encode()) + BODY[:70_000])
        await writer.drain()
        writer.close()
        assert (await client.session.head(client.url + PATH)).status == 404
    async with serving():
        assert not [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]


async def test_too_many_bytes(serving: Serving) -> None:
    """An upload beyond the limit is refused."""
    async with serving(max_blob=1000) as client:
        assert await put(client) == 413


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=10-19", 206, (10, 20)),
        ("bytes=1279999-", 206, (1_279_999, 1_280_000)),
        ("bytes=-5", 206, (1_279_995, 1_280_000)),
        ("bytes=-99999999", 206, (0, 1_280_000)),
        ("bytes=100-99999999999", 206, (100, 1_280_000)),
        ("bytes=1280000-", 416, None),
        ("bytes=5-4", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=0-1,5-6", 416, None),
        ("bytes=a-b", 416, None),
        ("lines=0-1", 416, None),
    ],
)
async def test_ranges(serving: Serving, asked: str, status: int, span: tuple[int, int] | None) -> None:
    """One range comes exactly; none, several and nonsense are refused with the size."""
    async with serving() as client:
        await put(client)
        async with client.session.get(client.url + PATH, headers={"Range": asked}) as reply:
            assert reply.status == status
            if span:
                assert await reply.read() == BODY[span[0] : span[1]]
                assert reply.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/{len(BODY)}"
            else:
                assert reply.headers["Content-Range"] == f"bytes */{len(BODY)}"


async def test_unchanged(serving: Serving) -> None:
    """Who has the bytes already is told so without them."""
    async with serving() as client:
        await put(client)
        async with client.session.get(client.url + PATH, headers={"If-None-Match": f'"{DIGEST}"'}) as reply:
            assert reply.status == 304
            assert await reply.read() == b""


async def test_names_are_digests(serving: Serving, tmp_path: Path) -> None:
    """Nothing but 64 hex digits names bytes; a planted link is not followed."""
    async with serving() as client:
        for name in ("x", DIGEST.upper(), DIGEST[:63], DIGEST + "0", "%2e%2e%2flog.db", "..%2f..%2f..%2fetc%2fpasswd"):
            assert await put(client, path=f"/v1/blobs/{name}") in (400, 404)
        fake = "ab" * 32
        folder = tmp_path / "data" / "blobs" / "ab"
        folder.mkdir()
        (folder / fake).symlink_to("/etc/hostname")
        status, _ = await client.ask("GET", f"/v1/blobs/{fake}")
        assert status == 404


async def test_content_of_artifacts(serving: Serving) -> None:
    """An artifact's bytes come by run and by project, by key with slashes, version and tag; one that lives elsewhere is never fetched."""
    async with serving() as client:
        await put(client)
        logged = {
            "type": "artifact.logged",
            "key": "models/best",
            "digest": DIGEST,
            "size": len(BODY),
            "path": "a/../ü\r\n.html",
            "tag_name": "good",
        }
        away = {"type": "artifact.logged", "key": "away", "uri": "file:///etc/passwd"}
        await client.record("run/p/u", [{"type": "run.created", "name": "n"}, logged, away])
        for path in ("/v1/projects/p/runs/u/artifacts/models%2Fbest", "/v1/projects/p/artifacts/models%2Fbest"):
            assert (await client.get(path))["digest"] == DIGEST
            for query in ("", "?version=1", "?tag=good", "?tag=latest"):
                async with client.session.get(client.url + path + "/content" + query) as reply:
                    assert await reply.read() == BODY, query
                    assert reply.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%0D%0A.html"
            assert (await client.ask("GET", path + "/content?version=2"))[0] == 404
            assert (await client.ask("GET", path + "?tag=bad"))[0] == 404
        status, body = await client.ask("GET", "/v1/projects/p/runs/u/artifacts/away/content")
        assert status == 404
        assert body["error"]["detail"]["uri"] == "file:///etc/passwd"
        rows = (await client.get("/v1/projects/p/runs/u/artifacts"))["artifacts"]
        assert {row["key"]: row["tags"] for row in rows} == {"models/best": ["good", "latest"], "away": ["latest"]}
