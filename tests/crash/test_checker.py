"""The judge can find fault: on servers that are broken on purpose, and on histories that claim too much."""

import random
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.crash.checker import History, judge
from tests.crash.load import Server, batch, made, users
from tests.crash.nursery import Nursery

pytestmark = pytest.mark.anyio
ROUNDS = 8  # kills until a broken server must have been found out


async def _life(server: Server, history: History) -> None:
    chance = random.Random(7)
    await server.start()
    async with users(server, history, producers=4, tails=2, seed=7) as them:
        for _ in range(ROUNDS):
            await them.more(chance.choice((1, 50, 500)))
            await server.end(signal.SIGKILL)
            await server.start()
    assert await server.end(signal.SIGTERM) == 0


async def test_a_server_that_acknowledges_before_it_commits_is_found_out(nursery: Nursery, history: History, tmp_path: Path) -> None:
    """The kill test fails on a server that says `stored` before the commit: so it would notice if ours ever did."""
    server = Server(nursery, tmp_path / "data", broken="acknowledge before commit")
    with suppress(ExceptionGroup):  # a producer goes on after what it believes stored, and is told of a gap
        await _life(server, history)
    faults = judge(server.data, history, made, ended=False)
    assert any(fault.startswith("lost:") for fault in faults), faults


async def test_a_server_that_records_twice_what_is_sent_twice_is_found_out(nursery: Nursery, history: History, tmp_path: Path) -> None:
    """The judge notices events that are stored twice."""
    server = Server(nursery, tmp_path / "data", broken="forget producers")
    await server.start()
    async with users(server, history, producers=0, tails=0, seed=0) as them:
        for _ in range(2):
            await them.deliver(batch("producer-0", 1, 20))
    assert await server.end(signal.SIGTERM) == 0
    assert any(fault.startswith(("content:", "invented:")) for fault in judge(server.data, history, made))


async def test_a_tail_that_skips_is_found_out(nursery: Nursery, history: History, tmp_path: Path) -> None:
    """The judge notices a tail that resumes one batch too late."""
    server = Server(nursery, tmp_path / "data", broken="skip in tails")
    await server.start()
    async with users(server, history, producers=2, tails=2, seed=7, patient=False) as them:
        for _ in range(ROUNDS):
            await them.more(500)
            await server.end(signal.SIGKILL)
            await server.start()
        await them.more(500)
    faults = judge(server.data, history, made, ended=False)
    assert any(fault.startswith("tail:") for fault in faults), faults


@pytest.fixture
async def told(nursery: Nursery, history: History, tmp_path: Path) -> Path:
    """A small log and its true history."""
    server = Server(nursery, tmp_path / "data")
    await server.start()
    async with users(server, history, producers=0, tails=1, seed=0) as them:
        for number in (1, 31):
            await them.deliver(batch("producer-0", number, 30))
            await them.deliver(batch("producer-1", number, 30))
    assert await server.end(signal.SIGTERM) == 0
    assert judge(server.data, history, made) == []
    return server.data


async def test_claims_beyond_the_log_are_found_out(told: Path, history: History) -> None:
    """The judge notices an acknowledgement of what is not stored, an event nobody sent, and a tail that ended early."""
    history.note("attempt", producer="producer-0", first=61, count=5)
    history.note("acknowledged", producer="producer-0", first=61, count=5, offset=125)
    history.note("tail", tail="late")
    faults = judge(told, history, made)
    assert [fault.partition(":")[0] for fault in faults] == ["lost", "tail"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("DELETE FROM batch WHERE offset = 61", "chain"),
        ("DELETE FROM batch WHERE offset = (SELECT max(offset) FROM batch)", "lost"),
        ("UPDATE batch SET sequence = sequence + 1 WHERE offset = 61", "order"),
        ("UPDATE batch SET version = version + 1 WHERE offset = 61", "versions"),
        ("UPDATE batch SET body = (SELECT body FROM batch WHERE offset = 61) WHERE offset = 1", "content"),
        ("UPDATE head SET offset = offset - 1", "head"),
    ],
)
async def test_a_log_changed_behind_the_products_back_is_found_out(told: Path, history: History, change: str, kind: str) -> None:
    """The judge notices rows that were removed, moved, renumbered or rewritten."""
    _change(told, change)
    faults = judge(told, history, made)
    assert kind in {fault.partition(":")[0] for fault in faults}, faults


def _change(data: Path, statement: str, parameters: tuple[Any, ...] = ()) -> None:
    with closing(sqlite3.connect(data / "log.db")) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(statement, parameters)
        db.commit()
