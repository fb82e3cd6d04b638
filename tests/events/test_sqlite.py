"""The SQLite file: what it refuses, how it ends when the disk does, and what it leaves untouched."""

import hashlib
import json
import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing, suppress
from pathlib import Path

import anyio
import pytest

from events import sqlite
from events.errors import Corrupt, DiskFull, InvalidEvent, NewerFormat
from events.log import EventLog, open_log, open_reader
from events.record import New
from events.redaction import STREAM
from events.schema import FORMAT
from events.sqlite import open_sqlite
from events.types import ConsoleWritten, Redacted
from events.verify import verify_chain

pytestmark = pytest.mark.anyio

Make = Callable[..., New]
OpenLog = Callable[[], AbstractAsyncContextManager[EventLog]]


def fingerprints(directory: Path) -> dict[str, str]:
    """Every file of a directory with the digest of its bytes."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in directory.iterdir()}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM batch",
        "DELETE FROM batch WHERE offset = 1",
        "UPDATE batch SET body = x'90'",
        "UPDATE batch SET body = x'90', original = NULL",
        "UPDATE batch SET stream = 'run/p/b'",
        "UPDATE batch SET offset = offset + 1000",
        "UPDATE batch SET recorded_at = recorded_at + 1, original = zeroblob(32)",
        "UPDATE batch SET digest = zeroblob(32), original = zeroblob(32)",
        "INSERT OR REPLACE INTO batch SELECT * FROM batch",
        "REPLACE INTO batch SELECT offset + 100, count, stream, version, 0, '', producer, sequence, x'90', digest, NULL FROM batch",
        "DELETE FROM head",
        "UPDATE head SET offset = 0",
        "UPDATE head SET epoch = 0",
        "INSERT INTO head VALUES (2, 0, zeroblob(32), 0, 0)",
        "REPLACE INTO head VALUES (1, 0, zeroblob(32), 0, 0)",
    ],
)
async def test_the_database_itself_refuses_to_change_history(opened: OpenLog, path: Path, labels: Make, statement: str) -> None:
    """Whoever opens the file with whatever tool, UPDATE and DELETE on the log are refused, and nothing changes."""
    async with opened() as log:
        await log.append(labels(1, 2))
        await log.append(labels(3, 2))
        before = await log.stored(0)
    with closing(sqlite3.connect(path)) as db:
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)
        db.rollback()
    async with opened() as log:
        assert await log.stored(0) == before
        assert (await verify_chain(log)).sound


async def test_a_directory_of_a_newer_version_is_left_untouched(opened: OpenLog, path: Path, labels: Make) -> None:
    """A log of a later format is refused before one byte of it, or one file beside it, changes."""
    async with opened() as log:
        await log.append(labels())
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    before = fingerprints(path.parent)
    for write in (True, False):
        with pytest.raises(NewerFormat, match="upgrade") as caught:
            async with open_sqlite(path, write=write):
                pass
        assert (caught.value.found, caught.value.known) == (FORMAT + 1, FORMAT)
        assert fingerprints(path.parent) == before


@pytest.mark.parametrize(
    "content", [b"not a database, and long enough to be looked at" * 100, b"\x00" * 8192, b"SQLite format 3\x00" + b"\xff" * 4080]
)
async def test_a_file_that_is_no_log_is_left_untouched(path: Path, content: bytes) -> None:
    """Another file in the log's place is refused and not overwritten."""
    path.write_bytes(content)
    with pytest.raises(Corrupt):
        async with open_sqlite(path, write=True):
            pass
    assert path.read_bytes() == content


async def test_a_foreign_database_is_left_untouched(path: Path) -> None:
    """A SQLite database of some other program is refused and not added to."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (x)")
    before = fingerprints(path.parent)
    with pytest.raises(Corrupt, match="not a run tracker's log"):
        async with open_sqlite(path, write=True):
            pass
    assert fingerprints(path.parent) == before


async def test_a_start_that_was_killed_is_started_again(path: Path) -> None:
    """A file without a schema, as a start leaves it that died early, becomes a log."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
    async with open_sqlite(path, write=True) as store:
        assert (await store.head()).offset == 0


async def test_the_wal_stays_small(opened: OpenLog, path: Path, console: Make) -> None:
    """However much is written, the WAL is bounded, and a closed log is one file."""
    wal = path.with_name("log.db-wal")
    async with opened() as log:
        for n in range(150):
            await log.append(console(n + 1, hashlib.shake_256(b"%d" % n).digest(200_000)), checked=True)
            assert wal.stat().st_size < 8_000_000
    assert [file.name for file in path.parent.iterdir()] == ["log.db"]
    assert path.stat().st_size > 30_000_000


async def test_a_full_disk_refuses_and_loses_nothing(opened: OpenLog, path: Path, console: Make) -> None:
    """Without space an append is refused, whole, while reads go on; with space again the same append is recorded, and nothing is lost."""
    data = hashlib.shake_256(b"x").digest(50_000)
    async with open_sqlite(path, write=True) as store, open_log(store) as log:
        assert store._writer
        await log.append(console(1, data))
        await store._writer.run(lambda db: db.execute("PRAGMA max_page_count = 200"))
        recorded = 1
        with suppress(DiskFull):
            while recorded < 1000:
                recorded = (await log.append(console(recorded + 1, data))).offset
        for _ in range(3):
            with pytest.raises(DiskFull, match="make space"):
                await log.append(console(recorded + 1, data))
        assert log.head.offset == recorded == len(await log.stored(0)) > 5
        assert log.failure is None
        await store._writer.run(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
        assert (await log.append(console(recorded + 1, data))).offset == recorded + 1
        assert (await log.redact(1, reason="asked for")).offset == recorded + 2
    async with opened() as log:
        assert log.head.offset == recorded + 2
        assert (await verify_chain(log)).sound


async def test_a_redaction_without_space_to_tidy_up_is_still_done(path: Path, console: Make) -> None:
    """When a redaction is committed and only the emptying of the WAL finds no space, the log goes on, and empties it later."""
    secret = hashlib.shake_256(b"secret").digest(9_000)
    async with open_sqlite(path, write=True) as store, open_log(store) as log:
        await log.append(console(1, secret))
        await log.append(console(2, b"other"))
        checkpoint = store._checkpoint

        def full(db: sqlite3.Connection) -> None:  # a disk that is full just between the commit and the checkpoint
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        store._checkpoint = full  # type: ignore[method-assign]
        assert (await log.redact(1, reason="asked for")).offset == 3
        store._checkpoint = checkpoint  # type: ignore[method-assign]
        assert (await log.append(console(3, b"more"))).offset == 4
        assert secret[100:200] not in path.read_bytes() + path.with_name("log.db-wal").read_bytes()
        assert (await verify_chain(log)).sound


FILL = """
import anyio, hashlib, json, sys, resource
from pathlib import Path
from events.errors import LogClosed
from events.log import open_log
from events.record import New
from events.sqlite import open_sqlite
from events.types import ConsoleWritten

async def main():
    acknowledged, refused = 0, 0
    async with open_sqlite(Path(sys.argv[1]), write=True) as store, open_log(store) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
        while refused < 3:
            n = acknowledged + 1
            events = [ConsoleWritten(time=n, data=hashlib.shake_256(b"%d" % n).digest(20_000))]
            try:
                acknowledged = (await log.append(New(stream="run/p/a", events=events, producer="p", sequence=n))).offset
            except LogClosed as error:
                refused += 1
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(json.dumps(acknowledged))

anyio.run(main)
"""


@pytest.mark.parametrize("limit", [300_000, 1_000_003, 5_000_000])
async def test_a_write_the_disk_refuses_ends_the_log(opened: OpenLog, path: Path, limit: int) -> None:
    """A write error of the operating system, in the WAL or in a checkpoint, ends the log for good; every acknowledged event is there."""
    done = await anyio.run_process([sys.executable, "-c", FILL, str(path), str(limit)], check=True)
    acknowledged = json.loads(done.stdout)
    async with opened() as log:
        assert acknowledged > 5
        assert log.head.offset in (acknowledged, acknowledged + 1)  # the last one's outcome was not known
        assert (await verify_chain(log)).sound


async def test_a_redacted_content_is_in_no_file(opened: OpenLog, path: Path, console: Make, labels: Make) -> None:
    """After a redaction the secret's bytes are nowhere in the data directory, and the log verifies and says who removed what."""
    secret = hashlib.shake_256(b"secret").digest(30_000)
    async with opened() as log:
        await log.append(labels(1, 2))
        mixed = [*labels(3, 1).events, ConsoleWritten(time=7, data=secret), *labels(5, 1).events]
        await log.append(New(stream="run/p/a", events=mixed, producer="p", sequence=3))
        await log.append(console(6, b"after"))
        receipt = await log.redact(4, reason="personal data", actor="ann")
        assert receipt.offset == 7
        (batch,) = await log.stored(2, limit=1)
        assert batch.events == [mixed[0], Redacted(time=7, was="console.written"), mixed[2]]
        (notice,) = await log.stored(0, stream=STREAM)
        assert (notice.actor, notice.events[0].offset, notice.events[0].reason) == ("ann", 4, "personal data")  # type: ignore[union-attr]
        assert [b.events for b in await log.stored(0)] == [b.events async for b in log.read()]
        report = await verify_chain(log)
        assert report.sound
        assert report.redacted == 1
        for file in path.parent.iterdir():
            content = file.read_bytes()
            assert not any(secret[i : i + 16] in content for i in range(0, len(secret) - 16, 16)), file
        again = New(stream="run/p/a", events=mixed, producer="p", sequence=3)
        assert (await log.append(again)).duplicates == 3
    async with opened() as log:
        assert (await verify_chain(log)).sound


async def test_a_range_goes_with_one_notice(opened: OpenLog, labels: Make) -> None:
    """Events that follow each other in one batch are redacted at once, and more of the batch later; all of it is on the record."""
    async with opened() as log:
        await log.append(labels(1, 6))
        await log.append(labels(7, 2))
        assert (await log.redact(2, count=3, reason="a")).offset == 9
        for offset, count in ((1, 2), (4, 2), (5, 3), (5, 0), (5, -1)):
            with pytest.raises(InvalidEvent):
                await log.redact(offset, count=count, reason="b")
        await log.redact(6, reason="c")
        (batch,) = await log.stored(0, limit=1)
        assert [isinstance(event, Redacted) for event in batch.events] == [False, True, True, True, False, True]
        report = await verify_chain(log)
        assert (report.sound, report.redacted) == (True, 4)


async def test_what_may_not_be_redacted(log: EventLog, labels: Make) -> None:
    """There is no redaction of what is not there, of what is gone already, or of the record of redactions."""
    await log.append(labels())
    await log.redact(1, reason="a")
    for offset in (-1, 0, 1, 2, 3):
        with pytest.raises(InvalidEvent):
            await log.redact(offset, reason="b")
    assert log.head.offset == 2
    assert (await log.append(labels(2))).offset == 3


async def test_a_reader_writes_no_file_content(opened: OpenLog, path: Path, labels: Make) -> None:
    """Reading a log that nobody writes leaves its file as it is."""
    async with opened() as log:
        await log.append(labels())
    before = fingerprints(path.parent)["log.db"]
    async with open_sqlite(path, write=False) as store, open_reader(store) as reader:
        assert (await verify_chain(reader)).sound
    assert fingerprints(path.parent)["log.db"] == before


@pytest.mark.parametrize("rare", [0, 3, 10_000], ids=["common", "some rare", "rare"])
async def test_a_prefix_is_read_the_same_wherever_it_is(
    opened: OpenLog, path: Path, metrics: Make, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    """Rare or common, near or far: a read by prefix gives exactly the batches of its streams, from any offset."""
    monkeypatch.setattr(sqlite, "RARE", rare)
    monkeypatch.setattr(sqlite, "SCAN", 4)
    dice = random.Random(rare)
    names = ["run/p/a", "run/p/b", "run/p", "run/pq/a", "run/é/a", "run/p/\U0001f600", "other"]
    async with opened() as log:
        for n in range(60):
            name = dice.choice(names[:3] if 20 < n < 40 else names)
            at = await log.position(name)
            await log.append(metrics(at + 1, dice.choice([1, 1, 3]), stream=name, producer=name))
        end = log.head.offset
    async with open_sqlite(path, write=False) as store:
        everything = await store.read(0, 1000)
        for prefix in ("run/p/", "run/p", "run/é/", "run/pq/", "other", "run/p/\U0001f600", "none", ""):
            for after in range(0, end + 2, 5):
                found, at = [], after
                while page := await store.read(at, 2, prefix=prefix):
                    found += page
                    at = page[-1].last
                assert found == [batch for batch in everything if batch.stream.startswith(prefix) and batch.last > after]


async def test_a_metric_takes_few_bytes(opened: OpenLog, path: Path, metrics: Make) -> None:
    """A point of a series costs at most 25 bytes of disk in the log."""
    async with opened() as log:
        for n in range(50):
            await log.append(metrics(n * 1000 + 1, 1000))
    assert path.stat().st_size / 50_000 <= 25
