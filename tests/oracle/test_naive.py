"""The views against an independent account of what they must say."""

import sqlite3
from typing import Any

import msgspec
from hypothesis import given

from events.codec import decode, encode
from projections.artifacts import ARTIFACTS, TAGS
from projections.lineage import READS
from projections.notifications import NOTIFICATIONS
from projections.projects import PROJECTS
from projections.runs import COUNTS, RUNS, VALUES
from projections.views import select
from tests.oracle import naive
from tests.oracle.histories import Said, batched, cuttings, fold, groupings, histories

KINDS = ("parameters", "metrics", "results", "labels", "annotations")


def exact(value: Any) -> bytes:
    """Equal for equal values and for nothing else: NaN equals itself, 1 is not 1.0, and dicts may be in any order."""
    if isinstance(value, dict):
        value = {str(key): exact(each) for key, each in value.items()}
    return msgspec.msgpack.encode(value, order="deterministic")


def told(said: list[Said]) -> naive.History:
    """The history as a reader of the log sees it."""
    return [(offset, stream, decode(encode([event]))[0]) for offset, (stream, event) in enumerate(said, 1)]


def ids_of(db: sqlite3.Connection) -> dict[int, naive.Id]:
    """Which run or iteration each row's id stands for."""
    return {row.id: (row.project, row.uid, row.iteration) for row in select(db, RUNS)}


@given(said=histories, sizes=groupings, cuts=cuttings)
def test_runs_are_what_their_events_say(said: list[Said], sizes: list[int], cuts: list[bool]) -> None:
    """Every run and iteration has the fields that a slow reading of its events gives it."""
    db = fold(batched(said, cuts), sizes)
    expected = naive.runs(told(said))
    rows = {(row.project, row.uid, row.iteration): row for row in select(db, RUNS)}
    assert rows.keys() == expected.keys()
    for each, fields in expected.items():
        found = {name: getattr(rows[each], name) for name in fields}
        assert {name: exact(value) for name, value in found.items()} == {name: exact(value) for name, value in fields.items()}


@given(said=histories, sizes=groupings, cuts=cuttings)
def test_a_search_finds_the_values_that_stand(said: list[Said], sizes: list[int], cuts: list[bool]) -> None:
    """The search index holds the last value of each key, of runs and iterations, and nothing else."""
    db = fold(batched(said, cuts), sizes)
    of = ids_of(db)
    found = {(of[row.run], KINDS[row.kind], row.key): row.value for row in select(db, VALUES)}
    expected = naive.search_values(told(said))
    assert {key: exact(value) for key, value in found.items()} == {key: exact(value) for key, value in expected.items()}
    assert all((row.child, row.project) == (int(of[row.run][2] > 0), of[row.run][0]) for row in select(db, VALUES))


@given(said=histories, sizes=groupings, cuts=cuttings)
def test_artifacts_and_tags(said: list[Said], sizes: list[int], cuts: list[bool]) -> None:
    """Every version is there with its number, and each tag names the version it should."""
    db = fold(batched(said, cuts), sizes)
    found = {
        row.id: {
            "name": (row.project, row.uid, row.iteration, row.key),
            "db_key": row.db_key,
            "version": row.version,
            "content": (row.kind, row.digest, row.size, row.files),
            **{field: getattr(row, field) for field in ("format", "viewer", "labels", "spec", "updated_at", "deleted")},
        }
        for row in select(db, ARTIFACTS)
    }
    assert exact(found) == exact(naive.artifacts(told(said)))
    assert {(row.project, row.key, row.name): row.id for row in select(db, TAGS)} == naive.tags(told(said))


@given(said=histories, sizes=groupings, cuts=cuttings)
def test_lineage_and_notifications(said: list[Said], sizes: list[int], cuts: list[bool]) -> None:
    """Every version that a run read is there once, with how often; every notification with its last word on each state."""
    db = fold(batched(said, cuts), sizes)
    for table, expected in ((READS, naive.reads(told(said))), (NOTIFICATIONS, naive.notifications(told(said)))):
        rows = {tuple(getattr(row, name) for name in table.key): row for row in select(db, table)}
        found = {key: {field: getattr(row, field) for field in expected.get(key, {})} for key, row in rows.items()}
        assert found == expected


@given(said=histories, sizes=groupings, cuts=cuttings)
def test_projects_and_tokens(said: list[Said], sizes: list[int], cuts: list[bool]) -> None:
    """Projects have their fields and their runs counted by state; a token revoked is revoked for ever."""
    db = fold(batched(said, cuts), sizes)
    expected = naive.projects(told(said))
    found = {row.name: {field: getattr(row, field) for field in expected[row.name]} for row in select(db, PROJECTS)}
    assert exact(found) == exact(expected)
    assert {(row.project, row.state): row.count for row in select(db, COUNTS)} == naive.counts(told(said))
    rows = db.execute("SELECT id, role, revoked FROM tokens").fetchall()
    assert {name: (role, revoked > 0) for name, role, revoked in rows} == naive.tokens(told(said))
