"""Histories kept for ever: logs as they were stored once, byte for byte, and the rows that their views had then.

`<name>.jsonl` has a batch in each line, `<name>.rows.jsonl` a row of a view. Batches are never edited. Rows are recorded anew only when a
projection changes its mind on purpose (and raises its version):

    python -m tests.projections.test_golden LOG.db tests/golden/histories/NAME.jsonl   # takes the batches from a log
    python -m tests.projections.test_golden tests/golden/histories/NAME.jsonl          # takes the rows from the batches
"""

import json
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest
import zstandard

from events import upcast
from events.log import open_log
from events.record import Batch, New
from events.sqlite import open_sqlite
from events.types import Unknown
from events.verify import Report, verify_chain
from projections.base import Table
from projections.metrics import SERIES
from projections.reads.runs import get_run
from projections.rebuild import keep_views
from projections.registry import PROJECTIONS
from tests.oracle.histories import fold

pytestmark = pytest.mark.anyio

HISTORIES = Path(__file__).parent.parent / "golden" / "histories"
NAMES = sorted(path.name.removesuffix(".rows.jsonl") for path in HISTORIES.glob("*.rows.jsonl"))
_BINARY = ("body", "digest", "original")


def read(path: Path) -> list[Batch]:
    """The batches of a history."""
    shapes = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [Batch(**{name: bytes.fromhex(v) if name in _BINARY and v is not None else v for name, v in shape.items()}) for shape in shapes]


def shown(column: Any) -> str:
    """A column, exactly: its type, every digit of a float; of compressed bytes, the digest of what they hold."""
    if isinstance(column, bytes) and column[:4] == zstandard.FRAME_HEADER:
        plain = zstandard.ZstdDecompressor().decompress(column)  # compressed bytes are another version's matter
        return f"{len(plain)} bytes, sha256 {sha256(plain).hexdigest()}"
    return repr(column)


def rows(batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """All rows of all views, as text."""
    found = []
    with closing(fold(batches, [3])) as db:
        for table in (table for projection in PROJECTIONS for table in projection.tables):
            names = table.row.__struct_fields__
            found += [{"table": table.name, **dict(zip(names, map(shown, row), strict=True))} for row in _ordered(db, table)]
    return found


def _ordered(db: sqlite3.Connection, table: Table) -> list[Any]:
    return db.execute(f'SELECT * FROM "{table.name}" ORDER BY {", ".join(table.key)}').fetchall()


async def verified(directory: Path, batches: Sequence[Batch]) -> Report:
    """What verification says of a log that has these batches in its store."""
    last = batches[-1]
    async with open_sqlite(directory / "log.db", write=True) as store:
        await store.insert(batches, await store.head())
        assert (await store.head()).offset == last.last
        async with open_log(store) as log:
            return await verify_chain(log)


@pytest.mark.parametrize("name", NAMES)
async def test_a_history_means_for_ever_what_it_meant(tmp_path: Path, name: str) -> None:
    """Stored by an earlier version, a log verifies, and today's folds make the rows of then; new columns aside."""
    batches = read(HISTORIES / f"{name}.jsonl")
    report = await verified(tmp_path, batches)
    assert report.sound, report
    assert (report.verified.offset, report.verified.digest) == (batches[-1].last, batches[-1].digest)
    then = [json.loads(line) for line in (HISTORIES / f"{name}.rows.jsonl").read_text("utf-8").splitlines()]
    now = rows(batches)
    assert len(now) == len(then)
    for was, found in zip(then, now, strict=True):
        assert {column: found[column] for column in was} == was


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["body", "digest", "recorded_at", "stream", "actor", "sequence"])
async def test_a_history_that_was_tampered_with_does_not_verify(tmp_path: Path, name: str, part: str) -> None:
    """Whichever batch of a kept history somebody changes, and whatever of it, verification names that batch."""
    batches = read(HISTORIES / f"{name}.jsonl")
    at = len(batches) // 2
    value = getattr(batches[at], part)
    changed = value[:-1] + bytes([value[-1] ^ 1]) if isinstance(value, bytes) else value + ("x" if isinstance(value, str) else 10**6)
    shape = {field: getattr(batches[at], field) for field in Batch.__struct_fields__}
    batches[at] = Batch(**{**shape, part: changed})
    report = await verified(tmp_path, batches)
    assert report.chain is not None
    assert report.chain.offset == batches[at].offset


async def test_an_event_of_an_older_shape_is_read_as_what_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded under an old tag, never rewritten: with its steps in the table it is the present event to readers, followers and views,
    and the log verifies as before."""
    olds = [{"type": "point.taken", "at": 5 + n, "name": "loss", "y": 0.5 * n} for n in range(3)]
    async with open_sqlite(tmp_path / "log.db", write=True) as store, open_log(store) as log:
        events = [Unknown(type="point.taken", data=old) for old in olds]
        await log.append(New(stream="run/p/u", events=[*events], producer="old", sequence=1))
        stored = (await log.stored(0))[0].body
    with monkeypatch.context() as patch:
        patch.setitem(upcast.UPCASTS, "point.taken", lambda s: {"type": "metric.logged.0", "time": s["at"], "name": s["name"], "y": s["y"]})  # type: ignore[arg-type]
        patch.setitem(
            upcast.UPCASTS,  # type: ignore[arg-type]
            "metric.logged.0",
            lambda s: {"type": "metric.logged", "time": s["time"], "key": s["name"], "value": s["y"], "step": s["time"] - 5},
        )
        async with open_sqlite(tmp_path / "log.db", write=True) as store, open_log(store) as log, keep_views(log, tmp_path) as views:
            assert (await verify_chain(log)).sound
            again = New(stream="run/p/u", events=[*(await log.stored(0))[0].events], producer="old", sequence=1)
            assert (await log.append(again)).duplicates == 3
            assert await views.wait(3)
            run = await get_run(views, "p", "u")
            assert run is not None
            assert (run.metrics, run.unknown) == ({"loss": 1.0}, 0)
            (series,) = await views.select(SERIES)
            assert (series.count, list(series.tail().steps), list(series.tail().values)) == (3, [0, 1, 2], [0.0, 0.5, 1.0])
            assert (await log.stored(0))[0].body == stored


def _write(path: Path, shapes: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(shape, ensure_ascii=False) + "\n" for shape in shapes), "utf-8")


async def _batches(log: Path) -> list[dict[str, Any]]:
    async with open_sqlite(log, write=False) as store:
        found = await store.read(0, 10**6)
    columns = [{name: getattr(batch, name) for name in Batch.__struct_fields__} for batch in found]
    return [{name: v.hex() if isinstance(v, bytes) else v for name, v in column.items()} for column in columns]


if __name__ == "__main__":
    target = Path(sys.argv[-1])
    if len(sys.argv) == 3:
        _write(target, anyio.run(_batches, Path(sys.argv[1])))
    _write(target.with_suffix(".rows.jsonl"), rows(read(target)))
