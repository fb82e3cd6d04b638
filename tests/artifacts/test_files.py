"""Files, texts and directories as artifacts: every argument of log_artifact does what it says."""

import hashlib
import os
from pathlib import Path

import pytest

import tracker
from tests.artifacts.conftest import Server, ask, blob, until, versions
from tracker.errors import Conflict


def test_what_is_said_is_what_is_recorded(run: tracker.Context) -> None:
    """Tag, labels, viewer, format and name stand in the artifact, in the context's memory and in the project."""
    logged = run.log_artifact("notes", "grüß", local_path="notes.md", tag="v1", labels={"a": 1}, viewer="markdown", format="md")
    [shown] = versions(run, "notes")
    assert (shown["path"], shown["labels"], shown["viewer"], shown["format"]) == ("notes.md", {"a": "1"}, "markdown", "md")
    assert shown["tags"] == ["latest", "v1"]
    assert (shown["content_type"], shown["size"], shown["kind"]) == ("text/markdown", 6, "artifact")
    assert logged.get_body() == "grüß".encode()
    assert logged.uri == f"store://artifacts/p/notes@{run.uid}" == logged.target_path
    assert run.artifacts["notes"].labels == {"a": "1"}
    assert run.artifacts["notes"].to_dict()["digest"] == shown["digest"]


def test_a_page_is_shown_as_one(run: tracker.Context) -> None:
    """The format html names the file and its viewer."""
    page = run.log_artifact("page", body="<b>hi</b>", format="html")
    assert (page.viewer, page.path, page.content_type) == ("web-app", "page.html", "text/html")


def test_the_same_key_again_is_a_new_version(run: tracker.Context) -> None:
    """Nothing is overwritten: both versions can be read, and latest names the second."""
    first, second = run.log_artifact("a", body="one").digest, run.log_artifact("a", body="two").digest
    assert [(row["version"], row["digest"]) for row in versions(run, "a")] == [(1, first), (2, second)]
    assert (blob(run, first), blob(run, second)) == (b"one", b"two")
    assert run.get_dataitem("store://artifacts/p/a").get() == b"two"


def test_names_in_the_project(run: tracker.Context) -> None:
    """db_key is the name in the project; False keeps an artifact with its run only."""
    run.log_artifact("a", body="x", db_key="public")
    hidden = run.log_artifact("b", body="hidden", db_key=False)
    assert run.get_dataitem("store://artifacts/p/public").get() == b"x"
    assert [row["key"] for row in ask(run, "/artifacts")["artifacts"] if row["version"]] == ["a"]
    assert hidden.get_body() == b"hidden"
    assert {row["key"] for row in ask(run, f"/runs/{run.uid}/artifacts")["artifacts"]} == {"a", "b"}


def test_a_place_of_ones_own_gets_the_bytes_too(run: tracker.Context, tmp_path: Path) -> None:
    """artifact_path puts a copy where nothing is ever overwritten; the tracker keeps the bytes as well."""
    places = [Path(run.log_artifact("a", body=body, local_path="a.txt", artifact_path=str(tmp_path / "out")).target_path) for body in "xyx"]
    assert [place.read_text() for place in places] == ["x", "y", "x"]
    assert places[0] == places[2] != places[1]
    assert places[0].is_relative_to(tmp_path / "out")
    assert places[0].name == "a.txt"
    assert [blob(run, row["digest"]) for row in versions(run, "a")] == [b"x", b"y", b"x"]


def test_templates_and_places_below(tmp_path: Path) -> None:
    """+/ is below the run's out_path; the run and the project are filled in; a path of the store becomes part of the name."""
    out = tmp_path / "out"
    attrs = {"metadata": {"name": "r", "project": "p"}, "spec": {"out_path": str(out)}}
    with tracker.Context.from_dict(attrs, rundb=str(tmp_path / "data")) as run:
        below = run.log_artifact("a", body="x", artifact_path="+/{{run.uid}}/{{project}}")
        plain = run.log_artifact("b", body="x")
    assert Path(below.target_path).is_relative_to(out / run.uid / "p")
    assert Path(plain.target_path).is_relative_to(out)
    with tracker.get_or_create_ctx("s", project="p", uri=tmp_path / "data2") as run:
        assert (
            run.log_artifact("c", body="x", local_path="c.txt", artifact_path=run.artifact_subpath("data", "raw")).path == "data/raw/c.txt"
        )


def test_a_target_is_recorded_and_written_when_asked(run: tracker.Context, tmp_path: Path) -> None:
    """target_path alone is a place that is only known; upload=True puts the bytes there, but not over others."""
    assert run.log_artifact("far", target_path="s3://bucket/key").target_path == "s3://bucket/key"
    target = tmp_path / "deep" / "file.txt"
    run.log_artifact("a", body="one", target_path=str(target))
    assert not target.exists()
    run.log_artifact("a", body="one", target_path=str(target), upload=True)
    run.log_artifact("a", body="one", target_path=str(target), upload=True)
    assert target.read_text() == "one"
    with pytest.raises(Conflict, match="nothing is overwritten"):
        run.log_artifact("a", body="two", target_path=str(target), upload=True)
    assert target.read_text() == "one"
    assert len(versions(run, "a")) == 3


def test_a_file_can_be_only_pointed_to(run: tracker.Context, tmp_path: Path) -> None:
    """upload=False records where a file is; a URL is recorded as it is."""
    file = tmp_path / "big.bin"
    file.write_bytes(b"big")
    logged = run.log_artifact("big", local_path=file, upload=False)
    assert (logged.target_path, logged.digest) == (str(file), "")
    assert logged.get_body() == b"big"
    assert run.log_artifact("url", local_path="https://example.org/data.csv?x=1").path == "data.csv"
    assert run.log_artifact("old", src_path=file).size == 3


def test_a_directory_is_kept_file_by_file(run: tracker.Context, tmp_path: Path) -> None:
    """Each file is kept once under its own digest, whatever version of the directory it is in; the list has a digest, too."""
    home = tmp_path / "set"
    (home / "sub").mkdir(parents=True)
    (home / "a.txt").write_text("a")
    (home / "sub" / "b.txt").write_text("b")
    (home / "link.txt").symlink_to("a.txt")
    first = run.log_artifact("set", local_path=home)
    assert [(file.path, file.size) for file in first.files] == [("a.txt", 1), ("link.txt", 1), ("sub/b.txt", 1)]
    assert first.size == 3
    assert first.is_dir
    assert hashlib.sha256(blob(run, first.digest)).hexdigest() == first.digest
    assert [blob(run, file.digest) for file in first.files] == [b"a", b"a", b"b"]
    (home / "a.txt").write_text("other")
    second = run.log_artifact("set", local_path=home)
    assert second.digest != first.digest
    assert second.files[2] == first.files[2]
    assert run.log_artifact("again", local_path=home).digest == second.digest


def test_a_directory_goes_to_a_place_of_ones_own(run: tracker.Context, tmp_path: Path) -> None:
    """The files lie there as they lay in the directory."""
    home = tmp_path / "set"
    (home / "sub").mkdir(parents=True)
    (home / "sub" / "b.txt").write_text("b")
    logged = run.log_artifact("set", local_path=home, artifact_path=str(tmp_path / "out"))
    assert Path(logged.target_path, "sub", "b.txt").read_text() == "b"


def test_a_directory_arrives_whole_at_a_server(server: Server, tmp_path: Path) -> None:
    """Every file and their list are uploaded before the event that names them."""
    home = tmp_path / "set"
    home.mkdir()
    for i in range(20):
        (home / f"{i:02}.bin").write_bytes(os.urandom(1000))
    with tracker.get_or_create_ctx("a", project="p", uri=server.uri) as run:
        logged = run.log_artifact("set", local_path=home)
        assert until(run.commit)
    for file in logged.files:
        assert server.bytes(f"/v1/blobs/{file.digest}") == (home / file.path).read_bytes()
    assert server.bytes("/v1/projects/p/artifacts/set/content?path=07.bin") == (home / "07.bin").read_bytes()


def test_an_artifact_of_ones_own_can_be_logged_again(run: tracker.Context) -> None:
    """An object keeps what it was made of, and gets what came of it; a key's content is let go of."""
    artifact = tracker.Artifact("notes", body="x", labels={"a": "b"})
    assert run.log_artifact(artifact) is artifact
    assert artifact.uri
    run.log_artifact(artifact, labels={"c": "d"})
    assert [row["labels"] for row in versions(run, "notes")] == [{"a": "b"}, {"a": "b", "c": "d"}]
    assert run.log_artifact("other", body="x").body is None
    assert run.artifacts["notes"].body is None
