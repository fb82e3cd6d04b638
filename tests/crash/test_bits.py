"""Bits that change by themselves, and files cut short: found and located, or refused; never a shorter history without a word."""

import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from events.errors import EventsError
from events.record import Recorded
from events.verify import verify_chain
from tests.crash.checker import History
from tests.crash.load import Server, batch, users
from tests.crash.nursery import PATIENCE, Nursery, run
from tests.crash.proof import prove
from tracker.audit.verify import verify
from tracker.cli.files import reading, views_file
from tracker.journal import Journal
from tracker.journal_reader import JournalReader, Piece, array_head

pytestmark = pytest.mark.anyio
FLIPS = int(os.environ.get("TRACKER_FLIPS", "120"))
BLOB = b"weights " * 5000
DIGEST = sha256(BLOB).hexdigest()


@pytest.fixture
async def whole(nursery: Nursery, history: History, tmp_path: Path) -> Path:
    """A data directory at rest: a log, its views, a blob, no WAL."""
    server = Server(nursery, tmp_path / "whole")
    await server.start()
    async with users(server, history, producers=0, tails=0, seed=0) as them:
        async with them.session.put(f"{server.url}/v1/blobs/{DIGEST}", data=BLOB) as response:
            assert response.status < 300, await response.text()
        artifact = {"type": "artifact.logged", "time": 1, "key": "model", "digest": DIGEST, "size": len(BLOB)}
        await them.deliver({"stream": "run/p/r", "producer": "artist", "sequence": 1, "events": [artifact]})
        for first in range(1, 2000, 40):
            for producer in ("one", "two"):
                await them.deliver(batch(producer, first, 40))
    assert await server.end(signal.SIGTERM) == 0
    for file in server.data.glob("*.db"):
        with closing(sqlite3.connect(file)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return server.data


def flips(file: Path, seed: int, count: int = FLIPS) -> Iterator[int]:
    """Turn one random bit of a file after the other, each alone; gives its position."""
    chance = random.Random(seed)
    original = file.read_bytes()
    for _ in range(count):
        position = chance.randrange(len(original))
        changed = bytearray(original)
        changed[position] ^= 1 << chance.randrange(8)
        file.write_bytes(changed)
        yield position
    file.write_bytes(original)


async def read_all(data: Path) -> list[Recorded]:
    """The events as every reader of the product gets them."""
    async with reading(data) as log:
        return [event async for found in log.read() for event in found.recorded()]


async def test_a_flipped_bit_of_the_log_is_found(whole: Path) -> None:
    """A bit of the log flips: a reader gets every event or an error, never fewer; and if what it gets is not what was written, verify
    says from which offset."""
    true = await read_all(whole)
    located = 0
    for position in flips(whole / "log.db", seed=random.SystemRandom().getrandbits(32)):
        try:
            found: list[Recorded] | None = await read_all(whole)
        except EventsError:
            found = None
        assert found is None or len(found) == len(true), f"bit at {position}: {len(found or ())} of {len(true)} events, and no error"
        try:
            async with reading(whole) as log:
                report = await verify_chain(log)
        except EventsError:
            continue  # refused on open
        located += report.chain is not None
        assert not report.sound or found == true, f"bit at {position} of the log is not noticed"
    assert located > FLIPS / 4


async def test_a_flipped_bit_of_the_views_is_found(whole: Path) -> None:
    """A bit of the views' file flips: verify says that the views are not what the log says, unless every row and index is."""
    file = views_file(whole)
    for position in flips(file, seed=random.SystemRandom().getrandbits(32), count=FLIPS // 2):
        try:
            async with reading(whole) as log:
                answers = await verify(log, whole, file)
        except EventsError:
            continue
        (views,) = [answer for answer in answers if answer.question == "views"]
        assert views.holds is False or _sound(file), f"bit at {position} of the views is not noticed: {views}"


def _sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
            return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except sqlite3.DatabaseError:
        return False


async def test_a_changed_or_missing_artifact_is_found(whole: Path) -> None:
    """An artifact's bytes change, are cut, or vanish: verify names the artifact."""
    blob = whole / "blobs" / DIGEST[:2] / DIGEST
    damages: list[Any] = [(blob.write_bytes, BLOB[:-1]), (blob.write_bytes, b"W" + BLOB[1:]), (lambda _: blob.unlink(), None)]
    for damage, content in damages:
        damage(content)
        async with reading(whole) as log:
            answers = await verify(log, whole, views_file(whole))
        (artifacts,) = [answer for answer in answers if answer.question == "artifacts"]
        assert artifacts.holds is False
        assert "model" in artifacts.faults[0]


async def test_a_log_cut_short_is_found(whole: Path) -> None:
    """The log's file is cut anywhere: it is refused or located, never taken for a shorter log."""
    size = (whole / "log.db").stat().st_size
    chance = random.Random()
    for _ in range(25):
        cut = whole.with_name("cut")
        shutil.copytree(whole, cut)
        os.truncate(cut / "log.db", chance.randrange(1, size))
        try:
            async with reading(cut) as log:
                assert not (await verify_chain(log)).sound
        except (EventsError, sqlite3.DatabaseError):
            pass
        shutil.rmtree(cut)


# -- journals -------------------------------------------------------------------------------------------------------------

EVENTS = 120


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal of a process that died, of two runs."""
    journal = Journal(tmp_path / "journals", "http://127.0.0.1:9", "producer")
    for number in range(1, EVENTS + 1):
        journal.append(b"run/p/a" if number % 5 else b"run/p/b", 1, _point(number))
    journal.sync()
    journal.abandon()
    return journal.path


def _point(number: int) -> bytes:
    return msgspec.msgpack.encode({"type": "metric.logged", "time": number, "key": "m", "value": number / 3, "step": number})


def _read(path: Path) -> tuple[list[Piece], JournalReader]:
    reader = JournalReader(path)
    pieces: list[Piece] = []
    while more := reader.read(dead=True):
        pieces += more
    reader.close()
    return pieces, reader


def _events(pieces: list[Piece]) -> dict[int, bytes]:
    raws = msgspec.msgpack.Decoder(list[msgspec.Raw])
    return {piece.sequence + i: bytes(raw) for piece in pieces for i, raw in enumerate(raws.decode(array_head(piece.count) + piece.events))}


def test_a_flipped_bit_of_a_journal_is_found(journal: Path) -> None:
    """A bit of a journal flips: what can be read is read as it was, in order; what cannot is named, and stands as refused in the log."""
    for position in flips(journal, seed=random.SystemRandom().getrandbits(32), count=3 * FLIPS):
        pieces, reader = _read(journal)
        events = _events(pieces)
        assert list(events) == list(range(1, len(events) + 1)), position
        wrong = [number for number, event in events.items() if event != _point(number)]
        assert all(b"event.refused" in events[number] for number in wrong), position
        if wrong or len(events) < EVENTS:
            assert any(damage.path == str(journal) for damage in reader.damages), f"bit at {position} of the journal is not noticed"
        assert len(events) >= EVENTS - 1, f"bit at {position}: only {len(events)} events are accounted for"


def test_a_journal_cut_short_gives_what_it_holds(journal: Path) -> None:
    """A journal is cut at any byte: all frames before the cut are read, a torn one is named, and nothing else is made of it."""
    whole = journal.read_bytes()
    ends = {0}
    for length in range(len(whole), len(whole) - 400, -1):
        journal.write_bytes(whole[:length])
        pieces, reader = _read(journal)
        events = _events(pieces)
        assert events == {number: _point(number) for number in range(1, len(events) + 1)}
        assert len(events) > EVENTS - 8
        if reader.damages:
            assert reader.damages[-1].reason.startswith("torn")
        else:
            ends.add(len(events))
    assert len(ends) > 3


async def test_sync_delivers_a_damaged_journal_and_says_so(nursery: Nursery, tmp_path: Path, journal: Path) -> None:
    """`tracker sync` delivers what a damaged journal still holds, says where it is damaged, exits with 1, and keeps the file."""
    server = Server(nursery, tmp_path / "data")
    await server.start()
    damaged = bytearray(journal.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    journal.write_bytes(damaged)
    synced = run("sync", "--uri", server.url, str(journal.parent))
    assert synced.returncode == 1, synced.stdout + synced.stderr
    assert "cannot be read" in synced.stdout.replace("\n", " ")
    assert list(journal.parent.glob("*.damaged"))
    again = run("sync", "--uri", server.url, str(journal.parent))
    assert again.returncode == 0
    assert await server.end(signal.SIGTERM) == 0
    async with reading(server.data) as log:
        events = [event async for found in log.read() for event in found.recorded()]
    assert [event.sequence for event in events] == list(range(1, EVENTS + 1))


async def test_a_server_starts_on_damaged_views(nursery: Nursery, history: History, whole: Path) -> None:
    """Views are disposable: whatever has happened to their file, a server starts, and answers with what the log says."""
    server = Server(nursery, whole)
    file = views_file(whole)
    damages = [b"", b"no database at all " * 1000, bytes(len(file.read_bytes()))]
    original = bytearray(file.read_bytes())
    original[100:8192] = os.urandom(8092)
    for damage in [*damages, bytes(original)]:
        file.write_bytes(damage)
        await server.start()
        async with users(server, history, producers=0, tails=0, seed=0) as them:
            health = await them.health()
            assert health["status"] == "ok"
            with anyio.fail_after(PATIENCE):
                while health["views"] < health["offset"]:
                    await anyio.sleep(0.01)
                    health = await them.health()
        assert await server.end(signal.SIGTERM) == 0
        file = views_file(whole)
    assert await prove(whole) == []
