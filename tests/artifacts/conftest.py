"""A run in a data directory of this process, and what the directory says of it when asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.sdk.conftest import Server, sdk, server, until

__all__ = ["Server", "sdk", "server", "until"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[tracker.Context]:
    """A run of project p."""
    with tracker.get_or_create_ctx("train", project="p", uri=tmp_path / "data") as context:
        yield context


def ask(run: tracker.Context, path: str, **params: Any) -> Any:
    """What the target answers, everything recorded before being in it."""
    connection = run._context.connection
    return connection.ask("GET", f"/v1/projects/{run.project}{path}", {name: str(value) for name, value in params.items()}).result(15)


def versions(run: tracker.Context, key: str) -> list[dict[str, Any]]:
    """All versions of an artifact, the oldest first."""
    return list(reversed(ask(run, "/artifacts", key=key)["artifacts"]))


def blob(run: tracker.Context, digest: str) -> bytes:
    """The bytes kept under a digest."""
    return (run._context.connection.target.path / "blobs" / digest[:2] / digest).read_bytes()
