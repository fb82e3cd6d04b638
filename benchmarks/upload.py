"""Upload: what it takes to bring a large artifact to a server over HTTP, against what the loopback itself streams.

The bytes go the way of every artifact: hashed while they are received, written, synced, and given their name only when the hash is the
promised one. The loopback's own streaming rate is the same file sent as the body of a request, by the same client, to a server of the same
HTTP library that throws it away. Beside it stands a bare socket without HTTP. All are measured in turns, and the best of a few rounds
counts: others use the machine, too, and the memory of a virtual machine is slow when it is touched for the first time.
"""

import hashlib
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import anyio
import msgspec

from benchmarks.figure import Figure, number, size
from benchmarks.serving import Server, serving
from tracker.http_transport import open_http
from tracker.settings import Settings, parse_target

ROUNDS = 4
_PIECE = 1 << 20


class Uploaded(msgspec.Struct, frozen=True):
    """One upload as its client saw it: seconds, those of them it computed, and how many MiB its peak of resident memory was above what it
    had before."""

    seconds: float
    busy: float
    grown: float


def make(path: Path, length: int, seed: int) -> str:
    """A file that nobody has uploaded yet; its sha256."""
    block, found = os.urandom(_PIECE), hashlib.sha256()
    with path.open("wb") as file:
        for i in range(0, length, _PIECE):
            piece = (b"%020d" % (seed + i) + block[20:])[: length - i]
            found.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return found.hexdigest()


DISCARD = """
import anyio, asyncio, sys
from aiohttp import web

async def discard(request):
    if request.method != "PUT":
        return web.Response(status=404 if request.method == "HEAD" else 200, body=b"\\x80")
    async for _ in request.content.iter_any():
        pass
    return web.Response()

async def main():
    server = await asyncio.get_running_loop().create_server(web.Server(discard), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await anyio.to_thread.run_sync(sys.stdin.read)

anyio.run(main, backend_options={"use_uvloop": True})
"""


def streamed(path: Path, digest: str) -> float:
    """Bytes per second of the same request, to a server that throws the body away."""
    with subprocess.Popen([sys.executable, "-c", DISCARD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        found = upload_apart(url, path, digest)
        process.communicate()
        return path.stat().st_size / found.seconds


def bare(path: Path) -> float:
    """Bytes per second of this file from one process to another, through a socket and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = str(listening.getsockname()[1])
        reading = "import socket,sys; s=socket.create_connection(('127.0.0.1', int(sys.argv[1])))\nwhile s.recv(1 << 18): pass"
        reader = subprocess.Popen([sys.executable, "-c", reading, where])
        sender, _ = listening.accept()
        began = time.perf_counter()
        with sender, path.open("rb", buffering=0) as file:
            while piece := file.read(1 << 16):
                sender.sendall(piece)
        reader.wait(60)
        return path.stat().st_size / (time.perf_counter() - began)


def peak(pid: int | str) -> float:
    """The largest resident memory of a process since `reset`, in MiB."""
    return _memory(pid, "VmHWM")


def reset(pid: int | str) -> float:
    """Forget the largest resident memory of a process; what it has now, in MiB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _memory(pid, "VmRSS")


def computed(pid: int) -> float:
    """The seconds that a process has computed, in all of its threads."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int | str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


async def upload(url: str, path: str, digest: str) -> Uploaded:
    """Upload with the SDK's own transport."""
    async with open_http(parse_target(url), Settings(uri=url)) as transport:
        await transport.ask("GET", "/v1/info")  # connected, and all imported
        before = reset("self")
        began, busy = time.perf_counter(), time.process_time()
        await transport.put_blob(digest, Path(path))
        return Uploaded(time.perf_counter() - began, time.process_time() - busy, peak("self") - before)


def upload_apart(url: str, path: Path, digest: str) -> Uploaded:
    """The same, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.upload", url, str(path), digest]
    done = subprocess.run(command, check=True, capture_output=True, timeout=300)
    return msgspec.json.decode(done.stdout, type=Uploaded)


def bodies(server: Server) -> int:
    """How many bodies of blobs the server was sent."""
    text = server.get("/metrics").decode()
    return sum(int(n) for n in re.findall(r'^tracker_requests_total\{[^}]*method="PUT"[^}]*\} (\S+)$', text, re.MULTILINE))


def run(directory: Path) -> list[Figure]:
    """A file of a gibibyte, and again the same."""
    length, digest = size(1 << 30, 1 << 20), ""
    path, data = directory / "artifact.bin", directory / "data"
    http, sockets, taken, client, grown, busy = [], [], [], [], [], []
    with serving(data) as server:
        for i in range(ROUNDS):
            if i:
                (data / "blobs" / digest[:2] / digest).unlink()
            digest = make(path, length, i << 40)
            http.append(streamed(path, digest))
            sockets.append(bare(path))
            had, before = reset(server.pid), computed(server.pid)
            found = upload_apart(server.url, path, digest)
            taken.append(length / found.seconds)
            client.append(found.grown)
            grown.append(peak(server.pid) - had)
            busy.append((found.busy, computed(server.pid) - before))
        sent = bodies(server)
        again = upload_apart(server.url, path, digest)
        sent = bodies(server) - sent
    mib, rate = f"{length / 2**20:,.0f} MiB", max(taken)
    kept = f"{mib} by the SDK's transport until they are hashed and synced: {number(rate / 1e6)} MB/s, best of {ROUNDS}"
    sender, receiver = busy[taken.index(rate)]
    kept += f"; the client computed for {sender:.2f} s, the server for {receiver:.2f} s"
    return [
        Figure(
            verb="upload",
            name="of an artifact over HTTP",
            value=rate / max(http) * 100,
            unit="% of the loopback",
            target=60,
            better="more",
            method=kept,
            beside=f"its body thrown away: {number(max(http) / 1e6)} MB/s; a bare socket: {number(max(sockets) / 1e6)} MB/s",
        ),
        _memory_figure("the client", max(client), mib),
        _memory_figure("the server", max(grown), mib),
        Figure(
            verb="upload",
            name="bodies sent by a second upload of the same",
            value=sent,
            unit="",
            target=0,
            method=f"by the server's own count; it takes {number(again.seconds * 1e3)} ms",
        ),
    ]


def _memory_figure(who: str, grown: float, mib: str) -> Figure:
    method = f"the peak of resident memory while {mib} are uploaded, less what it had before, the most of {ROUNDS} rounds"
    return Figure(verb="upload", name=f"{who} grows by", value=grown, unit="MiB", target=64, method=method)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(anyio.run(upload, sys.argv[1], sys.argv[2], sys.argv[3])))
