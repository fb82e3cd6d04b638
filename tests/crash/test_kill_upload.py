"""kill -9 of the server while artifacts are uploaded: a blob that has a name is whole."""

import os
import random
import signal
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import aiohttp
import anyio
import pytest

from tests.crash.checker import History
from tests.crash.load import CUT, Server, users
from tests.crash.nursery import Nursery

pytestmark = pytest.mark.anyio
KILLS = int(os.environ.get("TRACKER_UPLOAD_KILLS", "25"))
SIZE = 2_000_000


async def test_an_upload_that_was_cut_off_leaves_nothing_and_one_that_was_acknowledged_is_whole(
    nursery: Nursery, history: History, tmp_path: Path
) -> None:
    """Whenever the server dies during an upload, the blob is absent or whole; an acknowledged one is there; no scraps stay."""
    chance = random.Random()
    server = Server(nursery, tmp_path / "data")
    await server.start()
    kept: set[str] = set()

    async def upload(session: aiohttp.ClientSession) -> None:
        while True:
            await server.running.wait()
            content = chance.randbytes(SIZE)
            digest = sha256(content).hexdigest()
            try:
                async with session.put(f"{server.url}/v1/blobs/{digest}", data=BytesIO(content)) as response:
                    assert response.status < 300, await response.text()
            except CUT:
                await anyio.sleep(0.005)
                continue
            kept.add(digest)

    async with users(server, history, producers=0, tails=0, seed=0) as them, anyio.create_task_group() as uploading:
        for _ in range(3):
            uploading.start_soon(upload, them.session)
        for _ in range(KILLS):
            await anyio.sleep(chance.random() * 0.1)  # no synchronisation: the moment of the kill
            await server.end(signal.SIGKILL)
            await server.start()
        uploading.cancel_scope.cancel()
    await server.end(signal.SIGKILL)
    await server.start()
    assert await server.end(signal.SIGTERM) == 0
    blobs = [path for path in (server.data / "blobs").rglob("*") if path.is_file()]
    assert [path.name for path in blobs if sha256(path.read_bytes()).hexdigest() != path.name] == []
    assert kept
    assert kept <= {path.name for path in blobs}
