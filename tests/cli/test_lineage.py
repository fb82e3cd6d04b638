"""Where data came from and where it went, and how a job is stopped, from the terminal."""

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from events import types as t
from events.log import open_log
from events.record import New
from events.sqlite import open_sqlite
from tests.cli.conftest import Tracker

MODEL = "digits/model"


async def write(data: Path) -> None:
    """A run that reads the model another run made, and goes on running."""
    read = t.InputRead(time=2, key="net", url="store://artifacts/digits/model", artifact=MODEL, version=1, digest="6390162f391e")
    events: list[t.Event | t.Unknown] = [
        t.RunCreated(time=1, name="predict"),
        t.AttemptStarted(time=1, attempt="a"),
        read,
        t.ArtifactLogged(time=3, key="answers", uri="s3://bucket/answers", spec={}),
        t.NotificationSent(time=4, name="team", kind="slack", state="running", status="error", reason="no answer"),
    ]
    async with open_sqlite(data / "log.db", write=True) as store, open_log(store) as log:
        await log.append(New(stream="run/digits/cccc3333", producer="p3", sequence=1, events=events))


@pytest.fixture
def data(data: Path) -> Path:
    """With a reader of the model."""
    anyio.run(write, data)
    return data


def test_lineage_of_a_run_and_of_an_artifact(run: Tracker, uri: str) -> None:
    """A run shows what it read, who made that, and what it made; an artifact shows its maker and its readers."""
    page = run("lineage", "digits/cccc3333", "--uri", uri).stdout
    for part in (MODEL, "v1", "net", "aaaa1111", "train", "digits/answers"):
        assert part in page, part
    page = run("lineage", MODEL, "--uri", uri).stdout
    for part in ("made by", "aaaa1111", "read by", "cccc3333", "predict"):
        assert part in page, part
    found = json.loads(run("lineage", MODEL, "--version", "1", "--json", "--uri", uri).stdout)
    assert [one["reader"]["uid"] for one in found["read_by"]] == ["cccc3333"]
    assert (found["maker"]["uid"], found["made_from"]) == ("aaaa1111", [])
    assert "cccc3333" in run("lineage", "digits/cccc", "--uri", uri).stdout
    run("lineage", MODEL, "--version", "9", "--uri", uri, code=1)
    assert "no run nothing" in run("lineage", "digits/nothing", "--uri", uri, code=2).stderr


def test_notifications_are_shown_with_their_run(run: Tracker, uri: str) -> None:
    """`tracker show` tells who was told what, and what went wrong with it; `tracker replay` tells when."""
    assert "team by slack, that it is running: error: no answer" in run("show", "digits/cccc3333", "--uri", uri).stdout
    assert "notification team by slack" in run("replay", "digits/cccc3333", "--speed", "1000", "--uri", uri).stdout


def test_a_run_is_aborted(run: Tracker, uri: str) -> None:
    """A running run ends as aborted with the reason; one that has ended cannot be."""
    assert "digits/cccc3333 is aborted" in run("abort", "digits/cccc3333", "--reason", "wrong data", "--uri", uri).stdout
    found = json.loads(run("show", "digits/cccc3333", "--json", "--uri", uri).stdout)["run"]
    assert (found["state"], found["error"]) == ("aborted", "wrong data")
    assert "has ended: it is aborted" in run("abort", "digits/cccc3333", "--uri", uri, code=1).stderr
    assert "has ended: it is completed" in run("abort", "digits/aaaa1111", "--uri", uri, code=1).stderr


def test_a_run_is_aborted_in_a_directory_that_another_holds(run: Tracker, data: Path, server: str) -> None:
    """A directory that a job or a server writes takes the abort as it takes what jobs say."""
    words = ["abort", "digits/cccc3333", "--reason", "wrong data", "--uri", str(data)]
    command = [sys.executable, "-c", "from tracker.cli.main import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "digits/cccc3333 is aborted\n"), done.stderr
    assert json.loads(run("show", "digits/cccc3333", "--json", "--uri", server).stdout)["run"]["error"] == "wrong data"


async def write_search(data: Path) -> None:
    """Two iterations that made artifacts of the same key, and one that the project does not know."""
    events: list[t.Event | t.Unknown] = [
        t.RunCreated(time=1, name="search"),
        *(t.IterationStarted(time=2, iteration=i) for i in (1, 2)),
        *(t.ArtifactLogged(time=3, iteration=i, key="net", uri=f"s3://bucket/{i}") for i in (1, 2)),
        t.ArtifactLogged(time=4, key="own", uri="s3://bucket/own", registered=False),
    ]
    async with open_sqlite(data / "log.db", write=True) as store, open_log(store) as log:
        await log.append(New(stream="run/digits/dddd4444", producer="p4", sequence=1, events=events))


def test_artifacts_of_iterations_are_told_apart(run: Tracker, data: Path) -> None:
    """The page of a run says of which iteration an artifact is, which version has which tag, and gives none to what only the run knows."""
    anyio.run(write_search, data)
    page = run("show", "digits/dddd4444", "--uri", str(data)).stdout
    table = [row.split() for row in page.partition("artifacts\n")[2].splitlines()]
    assert table[0] == ["#", "kind", "size", "version", "sha256", "tags"]
    assert [(row[0], row[1]) for row in table[1:3]] == [("net", "1"), ("net", "2")]
    assert ("latest" in table[1], table[2][-1]) == (False, "latest")
    assert table[3][0] == "own"
    assert not {"0", "1", "latest"} & set(table[3][1:2] + table[3][3:])
