"""Artifacts by their store:// names, over a directory and over a server, and what runs read."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pandas
import pytest

import tracker
import tracker.aio
from tests.dataitem.conftest import BIG_TEXT, Serving
from tracker.connection import PROCESS
from tracker.dataitem.item import get_dataitem
from tracker.errors import DigestMismatch, InvalidRequest, NotFound


@pytest.fixture(params=["directory", "server"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where is recorded: a directory, or a server in another process."""
    uri = str(tmp_path / "tracker") if request.param == "directory" else request.getfixturevalue("tracker_server")
    monkeypatch.setenv("TRACKER_URI", uri)
    return uri


def reads(project: str, uid: str) -> list[dict[str, Any]]:
    """The events of a run that say what it read."""
    import anyio

    from tracker.transport import open_transport

    tracker.flush()
    uri = os.environ["TRACKER_URI"]
    PROCESS.end()

    async def ask() -> list[dict[str, Any]]:
        async with open_transport(uri) as transport:
            found = [item async for item in transport.stream("/v1/events", {"stream": f"run/{project}/{uid}", "limit": "1000"})]
        return [item["event"] for item in found if item["event"]["type"] == "input.read"]

    return anyio.run(ask)


def test_an_artifact_is_read_by_its_name(target: str, tmp_path: Path) -> None:
    """What one run logged, another reads: whole, in parts, as a file, as a frame; and it is recorded which version it was."""
    with tracker.get_or_create_ctx("make", project="p") as maker:
        maker.log_artifact("text", body=BIG_TEXT, format="txt")
        maker.log_dataset("rows", df=pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}))
    with tracker.get_or_create_ctx("read", project="p") as reader:
        item = reader.get_input("words", "store://artifacts/p/text")
        assert item.key == "words"
        assert item.get(5, 10_000_000) == BIG_TEXT[10_000_000:10_000_005].encode()
        assert item.get(encoding="utf-8") == BIG_TEXT
        assert item.get(offset=len(BIG_TEXT) + 5) == b""
        assert (item.kind, item.suffix, item.stat().size) == ("store", ".txt", len(BIG_TEXT))
        assert item.meta is not None
        assert (item.meta.version, item.meta.uid, item.meta.key) == (1, maker.uid, "text")
        item.download(tmp_path / "out" / "text.txt")
        assert (tmp_path / "out" / "text.txt").read_text() == BIG_TEXT
        with item.open("r") as file:
            assert file.readline() == BIG_TEXT.partition("\n")[0] + "\n"
        with item.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            assert file.read() == BIG_TEXT[-4:].encode()
        assert Path(item.local()).read_text() == BIG_TEXT
        assert item.ls() == [item.meta.path]
        frame = reader.get_dataitem("store://datasets/p/rows").as_df(columns=["b"])
        assert frame.to_dict("list") == {"b": ["x", "y", "z"]}
    assert [(e["key"], e["url"], e.get("artifact", ""), e.get("version", 0)) for e in reads("p", reader.uid)] == [
        ("words", "store://artifacts/p/text", "", 0),
        ("words", "store://artifacts/p/text", "p/text", 1),
        ("rows", "store://datasets/p/rows", "p/rows", 1),
    ]


def test_every_part_of_a_name_counts(target: str) -> None:
    """Newest, tag, run, iteration and digest each name the version they say; what names none is told so, with the name."""
    with tracker.get_or_create_ctx("one", project="p") as one:
        one.log_artifact("k", body="first", tag="good")
        child = one.get_child_context()
        child.log_artifact("k", body="of the child")
        child.commit(completed=True)
        one.log_artifact("private", body="own", db_key=False)
    with tracker.get_or_create_ctx("two", project="p") as two:
        two.log_artifact("k:1@2#3", body="odd")
        last = two.log_artifact("k", body="last")

        def body(rest: str) -> str:
            return str(two.get_dataitem(f"store://artifacts/p/k{rest}").get(encoding="utf-8"))

        assert body("") == "last"
        assert body(":good") == "first"
        assert body(f"@{one.uid}") in ("first", "of the child")
        assert body(f"#1@{one.uid}") == "of the child"
        assert body(f"#0@{one.uid}") == "first"
        assert body(f"^{last.digest[:12]}") == "last"
        assert two.get_dataitem("store://artifacts/p/k%3A1%402%233").get() == b"odd"
        assert two.get_dataitem(f"store://artifacts/p/private@{one.uid}").get() == b"own"
        for name, words in (
            ("artifacts/p/nothing", "nothing"),
            ("artifacts/other/k", "other"),
            ("artifacts/p/k:none", "does not resolve"),
            ("artifacts/p/k@nobody", "does not resolve"),
            ("artifacts/p/k#7", "does not resolve"),
            ("artifacts/p/private", "does not resolve"),
            ("artifacts/p/k^012345", "digest"),
            ("models/p/k", "store://artifacts/p/k"),
        ):
            with pytest.raises(NotFound, match=words) as caught:
                two.get_dataitem(f"store://{name}").get()
            assert f"store://{name}" in str(caught.value)


def test_artifacts_are_not_changed_through_items(target: str, tmp_path: Path) -> None:
    """Writing to a version of an artifact, and deleting it, are refused with what to do instead."""
    with tracker.get_or_create_ctx("one", project="p") as run:
        run.log_artifact("k", body="x")
        item = run.get_dataitem("store://artifacts/p/k")
        (tmp_path / "f").write_text("y")
        for work in (lambda: item.put("y"), item.delete, lambda: item.open("w"), lambda: item.upload(tmp_path / "f")):
            with pytest.raises(InvalidRequest, match="log_artifact"):
                work()
        assert item.get() == b"x"


def test_artifacts_of_several_files(target: str, tmp_path: Path) -> None:
    """A directory that was logged is listed, read file by file, and downloaded as a directory."""
    for name, text in (("a.txt", "A"), ("sub/b.csv", "x\n1\n")):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    with tracker.get_or_create_ctx("one", project="p") as run:
        run.log_artifact("tree", local_path=tmp_path / "tree", upload=True)
        item = run.get_dataitem("store://artifacts/p/tree")
        assert item.ls() == ["a.txt", "sub/b.csv"]
        assert item.file("a.txt").get() == b"A"
        assert item.file("sub/b.csv").as_df().to_dict("list") == {"x": [1]}
        item.download(tmp_path / "back")
        assert (tmp_path / "back" / "sub" / "b.csv").read_text() == "x\n1\n"
        with pytest.raises(IsADirectoryError, match=r"a\.txt"):
            item.get()
        with pytest.raises(FileNotFoundError, match=r"no file 'c'"):
            item.file("c")


def test_places_of_ones_own_are_followed(target: str, tmp_path: Path) -> None:
    """An artifact that only names its place is read from there."""
    (tmp_path / "far.csv").write_text("a\n1\n")
    with tracker.get_or_create_ctx("one", project="p") as run:
        run.log_artifact("far", target_path=str(tmp_path / "far.csv"))
        item = run.get_dataitem("store://artifacts/p/far")
        assert item.as_df().to_dict("list") == {"a": [1]}
        assert (item.kind, item.suffix, item.url, item.artifact_url) == (
            "file",
            ".csv",
            str(tmp_path / "far.csv"),
            "store://artifacts/p/far",
        )


def test_a_place_stands_in_for_what_the_tracker_lost(tmp_path: Path) -> None:
    """When only the place of one's own still has the bytes they are read there; others than were logged are not handed out."""
    with tracker.get_or_create_ctx("one", project="p") as run:
        artifact = run.log_artifact("k", body="what was logged", artifact_path=str(tmp_path / "mine"))
        tracker.flush()
        kept = [path for path in (tmp_path / "tracker").rglob(f"*{artifact.digest[8:]}*") if path.is_file()]
        assert kept
        for path in kept:
            path.unlink()
        item = run.get_dataitem("store://artifacts/p/k")
        assert (item.get(), item.kind) == (b"what was logged", "file")
        Path(artifact.target_path).chmod(0o644)
        Path(artifact.target_path).write_text("something else")
        with pytest.raises(DigestMismatch, match="other bytes"):
            item.get()
        with pytest.raises(DigestMismatch, match="other bytes"):
            item.download(tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_resources_and_parameters(target: str) -> None:
    """`get_store_resource` gives the artifact with its content, `get_project_param` what the project says, or the default."""
    with tracker.get_or_create_ctx("one", project="p") as run:
        run.log_model("m", body=b"weights", model_file="m.bin", metrics={"auc": 0.9}, labels={"team": "a"})
        model = run.get_store_resource("store://models/p/m")
        assert (model.key, model.kind, model.version, model.labels) == ("m", "model", 1, {"team": "a"})
        assert model.to_dataitem().key == ""
        with pytest.raises(InvalidRequest, match="store://"):
            run.get_store_resource("s3://b/k")
        with pytest.raises(NotFound, match="does not resolve"):
            run.get_store_resource("store://models/p/none")
        tracker.flush()
        PROCESS.connection().ask("PATCH", "/v1/projects/p", body={"parameters": {"rate": [1, 2]}}).result(10)
        assert run.get_project_param("rate") == [1, 2]
        run.get_project_param("rate").append(3)
        assert (run.get_project_param("rate"), run.get_project_param("no", 5), run.get_project_param("no")) == ([1, 2], 5, None)
    assert [(e["key"], e["artifact"]) for e in reads("p", run.uid)] == [("m", "p/m")]


def test_what_only_the_tracker_knows_is_asked_for(target: str) -> None:
    """The suffix and the version of a name are there for code that waits, before anything is read; a name of nothing is refused."""
    with tracker.get_or_create_ctx("make", project="p") as run:
        run.log_artifact("text", body="abc", format="txt")
        assert run.get_dataitem("store://artifacts/p/text").suffix == ".txt"
        meta = run.get_input("in", "store://artifacts/p/text").meta
        assert meta is not None
        assert (meta.size, meta.uid) == (3, run.uid)
        with pytest.raises(NotFound, match="store://artifacts/p/nothing"):
            _ = run.get_dataitem("store://artifacts/p/nothing").meta


@pytest.mark.anyio
async def test_the_async_context_reads_the_same(target: str) -> None:
    """Inputs, items, resources and parameters of an async context; awaiting an item resolves it."""
    async with tracker.aio.get_or_create_ctx("one", project="p") as run:
        await run.log_artifact("k", body="abc", format="txt")
        item = run.get_input("in", "store://artifacts/p/k")
        assert (item.suffix, item.meta) == ("", None)  # nobody was asked yet
        assert await item.get(2, 1) == b"bc"
        assert item.meta is not None
        assert (item.suffix, item.meta.key) == (".txt", "k")
        assert (await run.get_dataitem("store://artifacts/p/k")).suffix == ".txt"
        assert await (await item.open("r")).read() == "abc"
        resource = await run.get_store_resource("store://artifacts/p/k")
        assert await resource.to_dataitem().get() == b"abc"
        assert await run.get_project_param("x", 7) == 7
        assert list(run.inputs) == ["in"]
        assert await run.inputs["in"].get(encoding="ascii") == "abc"
        with pytest.raises(NotFound, match="does not resolve"):
            await run.get_dataitem("store://artifacts/p/nope")


def test_a_run_without_a_context_reads_from_the_ambient_target(tmp_path: Path) -> None:
    """`get_dataitem` of the package resolves names where the ambient run is recorded."""
    with tracker.get_or_create_ctx("one", project="p", uri=tmp_path / "elsewhere") as run:
        run.log_artifact("k", body="here")
        assert get_dataitem("store://artifacts/p/k").get() == b"here"


def test_a_server_that_is_away_for_a_moment_is_waited_for(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is killed and started again in the middle of a read costs time, not the read."""
    monkeypatch.setenv("TRACKER_URI", serving.uri)
    with tracker.get_or_create_ctx("one", project="p") as run:
        run.log_artifact("k", body=BIG_TEXT)
        with run.get_dataitem("store://artifacts/p/k").open("rb") as file:
            first = file.read(1000)
            serving.kill()
            serving.start()
            assert first + file.read() == BIG_TEXT.encode()


def test_a_directory_that_another_process_holds_is_read(tmp_path: Path) -> None:
    """While one process records to a directory, another reads what it logged, and records that it did."""
    program = """
        import sys
        import tracker
        with tracker.get_or_create_ctx("make", project="p") as run:
            run.log_artifact("k", body="from the other", tag="v1")
            tracker.flush()
            print("there", flush=True)
            sys.stdin.readline()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        with tracker.get_or_create_ctx("read", project="p") as run:
            assert run.get_input("k", "store://artifacts/p/k:v1").get() == b"from the other"
        process.communicate("\n", timeout=30)
    assert [e.get("version", 0) for e in reads("p", run.uid)] == [0, 1]


def test_what_was_read_is_lineage(target: str) -> None:
    """The tracker tells which runs read which version of an artifact, and which artifacts a run read."""
    with tracker.get_or_create_ctx("make", project="p") as maker:
        maker.log_artifact("k", body="1", db_key="registered")
        maker.log_artifact("k", body="2", db_key="registered")
    with tracker.get_or_create_ctx("read", project="p") as reader:
        assert reader.get_input("in", "store://artifacts/p/registered").get() == b"2"
        reader.get_store_resource("store://artifacts/p/registered")
    tracker.flush()
    ask = PROCESS.connection().ask
    assert reader.uid in str(ask("GET", "/v1/projects/p/artifacts/registered/lineage").result(10))
    told = str(ask("GET", f"/v1/projects/p/runs/{reader.uid}/lineage").result(10))
    assert "registered" in told
    assert maker.uid in told


def test_the_package_has_both_items() -> None:
    """`tracker` and `tracker.aio` name the data items of their kind."""
    assert tracker.DataItem is type(tracker.get_dataitem("x"))
    assert tracker.aio.DataItem is type(tracker.aio.get_dataitem("x"))
    assert tracker.DataItem is not tracker.aio.DataItem
