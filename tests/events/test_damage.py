"""Damage and forgery: found, located, and never mistaken for the end of the log."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from hashlib import sha256
from pathlib import Path

import pytest

from events.errors import Corrupt
from events.log import EventLog, open_reader
from events.record import Batch, New
from events.redaction import STREAM
from events.sqlite import open_sqlite
from events.types import EventRedacted
from events.verify import Anchor, Report, verify_chain

pytestmark = pytest.mark.anyio

Make = Callable[..., New]
OpenLog = Callable[[], AbstractAsyncContextManager[EventLog]]
BATCHES = 60


@pytest.fixture
async def written(opened: OpenLog, labels: Make, console: Make) -> list[Batch]:
    """A closed log of sixty batches, some of several pages; offsets and batches differ."""
    async with opened() as log:
        sequence = 1
        for n in range(BATCHES):
            new = console(sequence, random.Random(n).randbytes(9_000)) if n % 3 == 0 else labels(sequence, 2, stream=f"run/p/{n % 5}")
            await log.append(new)
            sequence += len(new.events)
        return await log.stored(0)


async def verified(path: Path, *anchors: Anchor) -> Report:
    """The report of a log as it lies on disk."""
    async with open_sqlite(path, write=False) as store, open_reader(store) as log:
        return await verify_chain(log, anchors=anchors)


def tamper(path: Path, *statements: str) -> None:
    """Do what somebody may do who owns the file: take the triggers away, and write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            db.execute(statement)


async def test_a_flipped_bit_of_an_event_is_located(path: Path, written: list[Batch]) -> None:
    """Whichever bit of a stored body flips, the report names the batch it is in, and verifies all before it."""
    whole = path.read_bytes()
    for batch in random.Random(1).sample([b for b in written if len(b.body) < 500], 10):
        at = whole.index(batch.body)
        assert whole.count(batch.body) == 1
        position, bit = at + random.Random(2).randrange(len(batch.body)), random.Random(3).randrange(8)
        damaged = bytearray(whole)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        report = await verified(path)
        assert not report.sound
        assert report.chain
        assert report.chain.offset == batch.offset
        assert report.verified.offset == batch.offset - 1


async def test_any_flipped_bit_is_seen_or_harmless(path: Path, written: list[Batch]) -> None:
    """After a flip anywhere in the file, either something says so, or every event reads back as it was written."""
    whole = path.read_bytes()
    dice = random.Random(4)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        try:
            report = await verified(path)
            async with open_sqlite(path, write=False) as store:
                same = await store.read(0, 1000) == written and (await store.head()).digest == written[-1].digest
        except (Corrupt, sqlite3.Error):
            continue
        assert same or not report.sound


async def test_a_truncated_file_is_never_a_shorter_log(path: Path, written: list[Batch]) -> None:
    """A log whose file was cut anywhere is refused or reported, with the offset up to which it is whole."""
    whole = path.read_bytes()
    for size in (*range(4096, len(whole), 7 * 4096), len(whole) - 1, len(whole) - 4096):
        path.write_bytes(whole[:size])
        try:
            report = await verified(path)
        except Corrupt:
            continue
        assert not report.sound
        assert report.verified.offset <= written[-1].last


@pytest.mark.parametrize(
    ("statement", "located"),
    [
        ("DELETE FROM batch WHERE offset = {offset}", -1),
        ("DELETE FROM batch WHERE offset = {offset}", 20),
        ("DELETE FROM batch WHERE offset < 3", 0),
        ("UPDATE batch SET body = (SELECT body FROM batch ORDER BY offset LIMIT 1) WHERE offset = {offset}", -1),
        ("UPDATE batch SET stream = 'run/p/else' WHERE offset = {offset}", 7),
        ("UPDATE batch SET recorded_at = recorded_at + 1 WHERE offset = {offset}", 9),
        ("UPDATE batch SET actor = 'bob' WHERE offset = {offset}", 11),
        ("UPDATE batch SET original = zeroblob(32) WHERE offset = {offset}", 13),
        ("UPDATE batch SET digest = zeroblob(32) WHERE offset = {offset}", 15),
    ],
)
async def test_a_forged_row_is_located(path: Path, written: list[Batch], statement: str, located: int) -> None:
    """A batch removed or changed behind the log's back is found, at its offset."""
    tamper(path, statement.format(offset=written[located].offset))
    report = await verified(path)
    assert not report.sound
    assert report.chain
    assert report.chain.offset == written[located].offset


async def test_two_batches_exchanged_are_located(path: Path, written: list[Batch]) -> None:
    """Two batches that changed places are found at the first."""
    one, two = written[10], written[40]
    tamper(
        path,
        f"UPDATE batch SET offset = -1 WHERE offset = {one.offset}",
        f"UPDATE batch SET offset = {one.offset} WHERE offset = {two.offset}",
        f"UPDATE batch SET offset = {two.offset} WHERE offset = -1",
    )
    report = await verified(path)
    assert report.chain
    assert report.chain.offset == one.offset


async def test_a_cut_tail_with_its_head_moved_back_needs_a_checkpoint(path: Path, written: list[Batch]) -> None:
    """Who removes the last batches and corrects the head leaves a chain that verifies; a checkpoint kept elsewhere tells."""
    last, before = written[-1], written[-2]
    tamper(
        path,
        f"DELETE FROM batch WHERE offset = {last.offset}",
        f"UPDATE head SET offset = {before.last}, digest = x'{before.digest.hex()}', recorded_at = {before.recorded_at}",
    )
    assert (await verified(path)).sound
    report = await verified(path, Anchor(last.last, last.digest), Anchor(before.last, before.digest))
    assert not report.sound
    assert [fault.offset for fault in report.anchors] == [last.last]
    assert report.anchored == before.last


async def test_a_head_moved_back_is_seen(path: Path, written: list[Batch]) -> None:
    """Batches beyond what the head says are not silently left out."""
    before = written[-2]
    tamper(path, f"UPDATE head SET offset = {before.last}, digest = x'{before.digest.hex()}'")
    report = await verified(path)
    assert report.chain
    assert report.chain.offset == written[-1].offset


async def test_a_log_rewritten_from_the_start_needs_a_checkpoint(path: Path, opened: OpenLog, written: list[Batch], labels: Make) -> None:
    """A whole other log in its place verifies by itself, and not against a checkpoint."""
    anchor = Anchor(written[2].last, written[2].digest)
    path.unlink()
    async with opened() as log:
        for n in range(10):
            await log.append(labels(n + 1))
    assert (await verified(path)).sound
    assert not (await verified(path, anchor)).sound


@pytest.mark.parametrize("count", [1, 3, 10**18])
async def test_a_redaction_that_says_another_range_is_seen(opened: OpenLog, path: Path, labels: Make, count: int) -> None:
    """What is missing must be what the record says, neither more nor less, however much it says."""
    async with opened() as log:
        await log.append(labels(1, 4))
        await log.redact(1, count=2, reason="asked for")
        (batch,) = await log.stored(0, limit=1)
        forged = EventRedacted(time=1, offset=1, count=count, body=sha256(batch.body).hexdigest(), reason="")
    tamper(path, "DELETE FROM batch WHERE offset = 5", "UPDATE head SET offset = 4, digest = (SELECT digest FROM batch WHERE offset = 1)")
    async with opened() as log:
        await log.append(New(stream=STREAM, events=[forged], producer="forger", sequence=1))
        assert [fault.offset for fault in (await verify_chain(log)).redactions] == [1]


async def test_a_redaction_without_a_notice_is_seen(path: Path, opened: OpenLog, written: list[Batch]) -> None:
    """A body exchanged in the way of a redaction, without one in the log, is reported; so is a redacted body changed again."""
    async with opened() as log:
        await log.redact(written[1].offset, reason="asked for")
    assert (await verified(path)).sound
    whole = path.read_bytes()
    body, original = f"x'{written[4].body.hex()}'", f"x'{sha256(written[5].body).hexdigest()}'"
    tamper(path, f"UPDATE batch SET body = {body}, original = {original} WHERE offset = {written[5].offset}")
    report = await verified(path)
    assert report.chain is None
    assert [fault.offset for fault in report.redactions] == [written[5].offset]
    path.write_bytes(whole)
    tamper(path, f"UPDATE batch SET body = {body} WHERE offset = {written[1].offset}")
    assert [fault.offset for fault in (await verified(path)).redactions] == [written[1].offset]


async def test_damage_is_not_written_over(path: Path, opened: OpenLog, written: list[Batch], labels: Make) -> None:
    """The writer of a damaged log goes on after what it finds committed, and verify still names the old damage."""
    tamper(path, f"UPDATE batch SET actor = 'bob' WHERE offset = {written[7].offset}")
    async with opened() as log:
        await log.append(labels(1, producer="new"))
        report = await verify_chain(log)
    assert report.chain
    assert report.chain.offset == written[7].offset
