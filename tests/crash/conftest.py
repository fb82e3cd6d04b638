"""A nursery of processes for all crash tests, a history for each, and the proof of the product itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.checker import History
from tests.crash.nursery import Nursery


@pytest.fixture(scope="session")
def _nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("nursery") / "errors")
    yield nursery
    nursery.close()


@pytest.fixture
def nursery(_nursery: Nursery) -> Iterator[Nursery]:
    """Where processes come from; none outlives its test, and none may have died of a fault of its own."""
    before = _nursery.errors.stat().st_size
    yield _nursery
    for child in list(_nursery.children):
        child.close()
    said = _nursery.errors.read_bytes()[before:].decode(errors="replace")
    assert "Traceback" not in said, said


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """The history of one test, outside of every data directory."""
    history = History(tmp_path / "history.jsonl")
    yield history
    history.close()
