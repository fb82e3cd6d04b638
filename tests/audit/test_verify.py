"""What verify says is true: it proves a sound directory, and finds and names each kind of damage."""

import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest

from events import types as t
from events.checkpoint import new_key, open_checkpoint, sign
from events.log import open_log, open_reader
from events.record import New
from events.sqlite import open_sqlite
from events.verify import Anchor
from projections.registry import PROJECTIONS
from projections.views import open_views
from tracker.audit.verify import Answer, verify

pytestmark = pytest.mark.anyio
BYTES = b"model"
DIGEST = sha256(BYTES).hexdigest()


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A directory with a run, a blob, and views that have folded all of it."""
    events: list[t.Event | t.Unknown] = [
        t.RunCreated(time=1, name="r", parameters={"lr": 0.1}),
        t.AttemptStarted(time=2, attempt="a"),
        *(t.MetricLogged(time=3 + i, key="loss", value=1 / (i + 1), step=i) for i in range(2000)),
        t.ConsoleWritten(time=4000, data=b"hello\n"),
        t.ArtifactLogged(time=4001, key="model", digest=DIGEST, size=len(BYTES)),
        t.StateChanged(time=4002, state="completed"),
    ]
    async with open_sqlite(tmp_path / "log.db", write=True) as store, open_log(store) as log:
        for i, event in enumerate(events, 1):
            if i < 4 or i > 2000:
                await log.append(New(stream="run/p/u", producer="p1", sequence=i, events=[event]))
            elif i == 4:
                await log.append(New(stream="run/p/u", producer="p1", sequence=4, events=events[3:2000]))
        async with open_views(tmp_path / "views.db", PROJECTIONS, write=True) as views:
            await views.apply([batch async for batch in log.read()])
    blob = tmp_path / "blobs" / DIGEST[:2] / DIGEST
    blob.parent.mkdir(parents=True)
    blob.write_bytes(BYTES)
    return tmp_path


async def answers(data: Path, *anchors: Anchor) -> dict[str, Answer]:
    """What verify says, by question."""
    async with open_sqlite(data / "log.db", write=False) as store, open_reader(store) as log:
        return {answer.question: answer for answer in await verify(log, data, data / "views.db", anchors)}


def damage(path: Path, *statements: str) -> None:
    """Change a database as somebody could who may write the file."""
    with sqlite3.connect(path) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
    db.close()


async def test_a_sound_directory_is_proved(data: Path) -> None:
    """All questions but the anchor's are answered with yes; without a checkpoint nothing is claimed about an author."""
    found = await answers(data)
    assert {name: answer.holds for name, answer in found.items()} == {
        "chain": True,
        "streams": True,
        "producers": True,
        "redactions": True,
        "store": True,
        "views": True,
        "artifacts": True,
        "anchor": None,
    }, found


async def test_a_changed_event_is_located(data: Path) -> None:
    """One changed byte breaks the chain at its offset; what rests on the log is then not claimed."""
    damage(data / "log.db", "UPDATE batch SET recorded_at = recorded_at + 1 WHERE offset = 2")
    found = await answers(data)
    assert found["chain"].holds is False
    assert "offset 2" in found["chain"].faults[0]
    assert found["views"].holds is None


async def test_a_changed_view_is_named(data: Path) -> None:
    """A row somebody changed, added or removed behind the log's back is named with its key and columns."""
    damage(data / "views.db", "UPDATE runs SET state = 'error' WHERE iteration = 0", "DELETE FROM run_values")
    found = await answers(data)
    assert found["views"].holds is False
    assert any("uid 'u'" in fault and "state differ" in fault for fault in found["views"].faults)
    assert any("missing in the views" in fault for fault in found["views"].faults)


@pytest.mark.parametrize("content", [b"other", b"", None])
async def test_a_changed_or_missing_blob_is_named(data: Path, content: bytes | None) -> None:
    """An artifact whose bytes are not those its event names is named by its run and key."""
    blob = data / "blobs" / DIGEST[:2] / DIGEST
    blob.unlink() if content is None else blob.write_bytes(content)
    found = await answers(data)
    assert found["artifacts"].holds is False
    assert "p/u model" in found["artifacts"].faults[0]


async def test_a_cut_tail_is_seen_only_against_a_checkpoint(data: Path) -> None:
    """A log whose tail was cut off with care looks whole; against a signed checkpoint it does not."""
    secret, public = new_key("ada")
    async with open_sqlite(data / "log.db", write=False) as store, open_reader(store) as log:
        anchor = open_checkpoint(sign(log.head, secret), public).anchor
    assert (await answers(data, anchor))["anchor"].holds is True
    damage(
        data / "log.db",
        "DELETE FROM batch WHERE offset > 3",
        "UPDATE head SET (offset, digest, recorded_at) = (SELECT offset, digest, recorded_at FROM batch WHERE offset = 3)",
    )
    found = await answers(data, anchor)
    assert found["chain"].holds is True
    assert found["anchor"].holds is False


async def test_a_stopped_projection_is_not_hidden(data: Path) -> None:
    """Views of which a part stands still are not called equal."""
    damage(data / "views.db", "UPDATE checkpoint SET error = 'KeyError: x', failed_at = 2006, offset = 5 WHERE projection = 'metrics'")
    assert any("metrics stopped" in fault for fault in (await answers(data))["views"].faults)
