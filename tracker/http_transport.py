"""Recording to, and asking, a server over HTTP. One pooled session; bodies are msgpack."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tracker.errors import InvalidRequest, MethodNotAllowed, NotFound, Unauthorized, Unreachable, from_wire
from tracker.journal_reader import Piece, append_of
from tracker.settings import Settings, Target
from tracker.wire import MSGPACK

CONNECT = 5.0  # seconds
ANSWER = 30.0  # seconds without a byte from the server
CHUNK = 256 * 1024
PIECE = 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode


class Http:
    """A transport over one aiohttp session."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session, self._base = session, base

    async def send(self, pieces: Sequence[Piece]) -> int:
        """Record events in order, exactly once; returns the log's offset that holds all of them."""
        try:
            reply = await self.ask("POST", "/v1/events", body=append_of(pieces))
        except (NotFound, MethodNotAllowed) as error:
            raise Unreachable(f"{self._base} is not the address of a tracker ({error})") from error
        return int(reply["offset"])

    async def ask(self, method: str, path: str, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """The reply of the native API as plain values."""
        data = None if body is None else _encode(body)
        headers = {"Accept": MSGPACK} if data is None else {"Accept": MSGPACK, "Content-Type": MSGPACK}
        async with self._request(method, path, params=params, data=data, headers=headers) as response:
            content = await response.read()
            return msgspec.msgpack.decode(content) if content else None

    async def stream(self, path: str, params: Mapping[str, str] | None = None) -> AsyncGenerator[Any, None]:
        """Plain values from NDJSON; chunks of bytes from anything else."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=None)
        async with self._request("GET", path, params=params, headers={"Accept": "*/*"}, timeout=timeout) as response:
            if response.content_type != "application/x-ndjson":
                async for chunk in response.content.iter_chunked(CHUNK):
                    yield chunk
                return
            async for line in _lines(response):
                yield msgspec.json.decode(line)

    async def put_blob(self, digest: str, path: Path) -> None:
        """Upload a file under its sha256; sends no body when the server has it."""
        where = f"/v1/blobs/{digest}"
        async with self._session.head(self._url(where), allow_redirects=False) as known:
            if known.status == 200:
                return
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=ANSWER)
        with path.open("rb", buffering=0) as file:
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(os.fstat(file.fileno()).st_size)}
            async with self._request("PUT", where, data=_pieces(file.fileno()), headers=headers, timeout=timeout):
                pass

    async def get_blob(self, digest: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a blob from `start` up to but without `end`."""
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=ANSWER)
        async with self._request("GET", f"/v1/blobs/{digest}", headers=headers, timeout=timeout) as response:
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk

    async def beat(self, producer: str, runs: Sequence[tuple[str, str]]) -> float:
        """Say that these runs (project, uid) are alive; returns how long silence may last, in seconds."""
        subjects = [{"project": project, "uid": uid} for project, uid in runs]
        reply = await self.ask("POST", "/v1/heartbeats", body={"producer": producer, "runs": subjects})
        return float(reply["lost_after"])

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """One exchange; everything but a 2xx reply is raised as the error it stands for."""
        try:
            async with self._session.request(method, self._url(path), allow_redirects=False, **options) as response:
                if response.status >= 300:
                    raise await _error(response, self._base)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{self._base} does not answer ({_cause(error)})") from error

    def _url(self, path: str) -> "aiohttp.typedefs.StrOrURL":
        from yarl import URL

        return URL(self._base + path, encoded=True)


async def _pieces(descriptor: int) -> AsyncGenerator[bytes, None]:
    """A file in pieces of a mebibyte; the next one is read by a thread while one is sent."""
    position, reading = 0, _read(descriptor, 0)
    while piece := await reading:
        position += len(piece)
        reading = _read(descriptor, position)
        yield piece


def _read(descriptor: int, position: int) -> "asyncio.Future[bytes]":
    """What is read may be waited for by nobody any more: then its error is nobody's, too."""
    reading = asyncio.get_running_loop().run_in_executor(None, os.pread, descriptor, PIECE, position)
    reading.add_done_callback(lambda done: done.cancelled() or done.exception())
    return reading


def _cause(error: Exception) -> str:
    """What went wrong, in the words of the system where there are any."""
    system = getattr(error, "os_error", error)
    if isinstance(system, TimeoutError):
        return "timed out"
    if isinstance(system, OSError) and system.errno and not isinstance(system, (socket.gaierror, ssl.SSLError)):
        return os.strerror(system.errno)
    return str(getattr(system, "strerror", "") or system or type(system).__name__)


async def _error(response: aiohttp.ClientResponse, base: str) -> Exception:
    content = await response.content.read(65536)
    try:
        packed = response.content_type != "application/json"
        error = (msgspec.msgpack if packed else msgspec.json).decode(content)["error"]
        code, message, detail = str(error["code"]), str(error["message"]), dict(error.get("detail") or {})
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        code, message, detail = "", f"{base} answered {response.status} {response.reason}: is it a tracker?", {}
    if after := response.headers.get("Retry-After", ""):
        detail.setdefault("retry_after", float(after) if after.isdigit() else 1.0)
    if code == Unauthorized.code:
        sent = "Authorization" in response.request_info.headers
        message = f"{base}: the token in TRACKER_TOKEN is not valid" if sent else f"{base} wants a token: put one into TRACKER_TOKEN"
    return from_wire(response.status, code, message, detail)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines of any length; the session's own line reader has a limit."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


@asynccontextmanager
async def open_http(target: Target, settings: Settings) -> AsyncIterator[Http]:
    """A transport to a server. Nothing is sent yet."""
    if not (settings.token.isascii() and settings.token.isprintable()):
        raise InvalidRequest("the token in TRACKER_TOKEN holds characters that no token has, a line break perhaps", field="TRACKER_TOKEN")
    headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=ANSWER)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, auto_decompress=True, trust_env=False) as session:
        yield Http(session, target.uri)
