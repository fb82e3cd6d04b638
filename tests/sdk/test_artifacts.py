"""Artifacts: their bytes are kept once, under their digest, before anything names them."""

import hashlib
import os
from pathlib import Path

import tracker
from tests.sdk.conftest import Server


def test_bytes_come_back_as_they_were_logged(server: Server, tmp_path: Path) -> None:
    """Text, bytes, open files and files on disk arrive whole at the server, whatever their size."""
    big = tmp_path / "model.bin"
    big.write_bytes(os.urandom(3_000_000))
    with tracker.get_or_create_ctx("a", project="p", uri=server.uri) as run:
        run.log_artifact("text", body="grüß")
        run.log_artifact("bytes", body=b"\x00\x01", format="raw", tag="v1", labels={"k": "v"})
        with big.open("rb") as file:
            run.log_artifact("open", body=file)
        logged = run.log_artifact("model", local_path=big)
        run.log_artifact("elsewhere", target_path="s3://bucket/key")
    assert tracker.flush()
    digest = hashlib.sha256(big.read_bytes()).hexdigest()
    assert (logged.digest, logged.size, logged.path) == (digest, 3_000_000, "model.bin")
    assert server.bytes(f"/v1/blobs/{digest}") == big.read_bytes()
    events = {e["event"]["key"]: e["event"] for e in server.events(run.uid) if e["event"]["type"] == "artifact.logged"}
    assert server.bytes(f"/v1/blobs/{events['text']['digest']}").decode() == "grüß"
    assert (events["bytes"]["tag_name"], events["bytes"]["labels"], events["bytes"]["format"]) == ("v1", {"k": "v"}, "raw")
    assert events["open"]["digest"] == digest
    assert (events["elsewhere"]["uri"], events["elsewhere"].get("digest", "")) == ("s3://bucket/key", "")
    assert not [path for path in (tmp_path / "journals" / "blobs").rglob("*") if path.is_file()]


def test_known_content_is_not_sent_again(server: Server, tmp_path: Path) -> None:
    """A second artifact with the same bytes costs the server no upload."""
    with tracker.get_or_create_ctx("a", project="p", uri=server.uri) as run:
        for number in range(3):
            run.log_artifact(f"copy{number}", body=b"same bytes")
            assert run.commit()
    log = (tmp_path / "server.log").read_text()
    assert log.count('"method":"PUT"') == 1


def test_a_directory_keeps_artifacts_among_its_blobs(tmp_path: Path) -> None:
    """With a data directory as target the bytes go straight to their place."""
    data = tmp_path / "data"
    with tracker.get_or_create_ctx("a", project="p", uri=str(data)) as run:
        logged = run.log_artifact("text", body="hello")
    assert (data / "blobs" / logged.digest[:2] / logged.digest).read_text() == "hello"
    assert not list((data / "blobs" / "tmp").iterdir())
