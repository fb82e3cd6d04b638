"""The files of an artifact of several count as its bytes wherever those of an artifact do: sent, proved, carried along and purged."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from events import types as t
from events.codec import AnyEvent
from events.log import EventLog, open_log, open_reader
from events.record import New
from events.sqlite import open_sqlite
from tracker.audit.carry import carry, noting
from tracker.audit.exchange import Header, Source, export, open_source
from tracker.audit.purge import purge
from tracker.audit.verify import verify
from tracker.blobs import Blobs
from tracker.delivery import Shipper, staged_path
from tracker.digests import digests_in, digests_of
from tracker.journal_reader import Piece

pytestmark = pytest.mark.anyio
ONE, TWO, SHARED = b"weights" * 100, b"{}", b"tokens of two models"


def digest(content: bytes) -> str:
    """The sha256 hex."""
    return sha256(content).hexdigest()


def directory(*contents: bytes) -> tuple[t.ArtifactLogged, dict[str, bytes]]:
    """An artifact of these files, and all its bytes by digest, their list included."""
    files = tuple(t.ArtifactFile(path=f"part/{i}.bin", digest=digest(each), size=len(each)) for i, each in enumerate(contents))
    listing = json.dumps([msgspec.to_builtins(file) for file in files]).encode()
    event = t.ArtifactLogged(time=1, key="net", kind="model", digest=digest(listing), size=sum(map(len, contents)), files=files)
    return event, {digest(each): each for each in (*contents, listing)}


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[EventLog]:
    """The log of the directory, for writing."""
    async with open_sqlite(data / "log.db", write=True) as store, open_log(store) as log:
        yield log


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """Two runs, each with a model of several files, one of them the same; the first run is in the trash."""
    mine, bytes_of_mine = directory(ONE, TWO, SHARED)
    other, bytes_of_other = directory(SHARED)
    for name, content in (bytes_of_mine | bytes_of_other).items():
        blob = tmp_path / "blobs" / name[:2] / name
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
    async with opened(tmp_path) as log:
        gone: list[AnyEvent] = [t.RunCreated(time=1, name="r"), mine, t.RunDeleted(time=2)]
        await log.append(New(stream="run/p/u", producer="p1", sequence=1, events=gone))
        await log.append(New(stream="run/p/v", producer="p2", sequence=1, events=[other]))
    return tmp_path


def kept(data: Path) -> set[bytes]:
    """The contents of all blobs."""
    return {path.read_bytes() for path in (data / "blobs").rglob("*") if path.is_file()}


async def test_a_purge_removes_the_files_that_no_other_run_has(data: Path) -> None:
    """Each file goes with its artifact, and one that another run's artifact names, too, stays."""
    async with opened(data) as log:
        receipt = await purge(log, Blobs(data / "blobs"), "p", "u", reason="no use")
    assert (receipt.blobs, receipt.kept) == (3, 1)
    assert kept(data) == set(directory(SHARED)[1].values())


async def faults(data: Path) -> list[str]:
    """What verify finds wrong with the bytes of artifacts."""
    async with open_sqlite(data / "log.db", write=False) as store, open_reader(store) as log:
        answers = {answer.question: answer for answer in await verify(log, data, data / "none.db")}
    return answers["artifacts"].faults


async def test_a_file_that_is_not_what_was_logged_is_named(data: Path) -> None:
    """A missing or changed file of an artifact is named with its path in it."""
    assert await faults(data) == []
    (data / "blobs" / digest(ONE)[:2] / digest(ONE)).unlink()
    (data / "blobs" / digest(TWO)[:2] / digest(TWO)).write_bytes(b"[]")
    found = sorted(await faults(data))
    assert len(found) == 2
    assert found[0].startswith("p/u net/part/0.bin:")
    assert "is missing" in found[0]
    assert found[1].startswith("p/u net/part/1.bin:")
    assert "has other bytes" in found[1]


async def test_files_are_carried_along(data: Path, tmp_path: Path) -> None:
    """An export notes the digest of every file, an import asks for the same ones, and they can be copied beside it."""
    noted: set[str] = set()
    async with opened(data) as log:
        header = Header(run_tracker_export=1, after=0, until=log.head.offset)
        text = b"".join([chunk async for chunk in export(noting(log.read(), noted), header)])

    async def lines() -> AsyncIterator[bytes]:
        for line in text.splitlines(keepends=True):
            yield line

    source: Source = await open_source(lines())
    assert len([line async for line in source.items()]) == 4
    assert source.digests == noted == {digest(content) for content in kept(data)}
    carried = await carry(noted, data / "blobs", Blobs(tmp_path / "copy"))
    assert (carried.copied, carried.whole) == (5, True)


class Sink:
    """A target that notes what it gets, in order."""

    def __init__(self) -> None:
        self.got: list[str] = []

    async def send(self, pieces: Sequence[Piece]) -> int:
        """Take events."""
        self.got.append(f"{sum(piece.count for piece in pieces)} events")
        return 1

    async def put_blob(self, digest: str, path: Path) -> None:
        """Take a file."""
        assert sha256(path.read_bytes()).hexdigest() == digest
        self.got.append(digest)


async def test_files_are_sent_before_the_event_that_names_them(tmp_path: Path) -> None:
    """All that was staged for an artifact of several files is at the target when its event comes, and staged no more."""
    event, contents = directory(ONE, TWO)
    for name, content in contents.items():
        staged = staged_path(tmp_path, "http://x", name)
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(content)
    sink = Sink()
    piece = Piece("run/p/u", "producer", 1, 1, msgspec.msgpack.encode(event))
    await Shipper(sink, tmp_path, "http://x").ship([piece])
    assert sink.got == [*sorted(contents), "1 events"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_does_not_look_like_a_digest_is_none() -> None:
    """Of events and their plain shapes, whatever they hold, only what looks like a sha256 is taken for the name of bytes."""
    event, contents = directory(ONE)
    shape = msgspec.to_builtins(event)
    assert digests_of(event) == digests_in(shape) == digests_of(t.Unknown(type="artifact.logged.2", data=shape)) == set(contents)
    assert digests_in({**shape, "type": "result.logged"}) == set()
    for odd in ("../../etc", "", None, 7, "A" * 64):
        assert digests_in({"type": "artifact.logged", "digest": odd, "files": [{"digest": odd}, odd]}) == set()
