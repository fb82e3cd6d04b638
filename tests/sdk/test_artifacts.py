"""Artifacts: their bytes are kept once, under their digest, before anything names them."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

import tracker
from tests.sdk.conftest import Job, Server, until
from tracker.blobs import Blobs, Draft
from tracker.errors import InvalidRequest


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


def test_two_servers_each_get_the_bytes(server: Server, tmp_path: Path) -> None:
    """Equal bytes logged at two servers, one of them away: the other's upload takes nothing from it."""
    other = Server(tmp_path / "other")
    with tracker.get_or_create_ctx("x", project="p", uid="r1", uri=other.uri) as waiting:
        digest = waiting.log_artifact("a", body="the same").digest
        with tracker.get_or_create_ctx("x", project="p", uid="r2", uri=server.uri) as run:
            run.log_artifact("a", body="the same")
            assert run.commit()
        other.start()
        assert until(waiting.commit)
    assert other.bytes(f"/v1/blobs/{digest}") == b"the same"
    other.signal(signal.SIGKILL)


def test_a_file_is_never_whole_in_memory(server: Server, job: Job, tmp_path: Path) -> None:
    """A big file costs neither the job nor the server its size in memory."""
    with (tmp_path / "big").open("wb") as file:
        file.truncate(200_000_000)
    process = job(
        server.uri,
        f"""
        import resource, tracker
        with tracker.get_or_create_ctx("x", project="p", uid="r1") as run:
            run.log_artifact("small", body="x")
            run.commit()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            run.log_artifact("big", local_path={str(tmp_path / "big")!r})
            while not run.commit(): pass
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """,
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert int(out) < 50_000  # KiB
    assert server.process is not None
    peak = Path(f"/proc/{server.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
    assert int(peak) < 180_000


def test_the_start_of_a_server_takes_no_draft_from_a_job(tmp_path: Path) -> None:
    """What a living process is still writing among the blobs stays; what a dead one left goes."""
    blobs = Blobs(tmp_path / "blobs")
    blobs.prepare()
    draft = Draft(tmp_path / "blobs" / "tmp")
    draft.write(b"half")
    (tmp_path / "blobs" / "tmp" / "dead").write_bytes(b"left")
    blobs.prepare()
    draft.write(b" and half")
    home = tmp_path / "blobs" / draft.digest[:2] / draft.digest
    draft.finish(home)
    draft.discard()
    assert home.read_bytes() == b"half and half"
    assert not list((tmp_path / "blobs" / "tmp").iterdir())


def test_an_artifact_needs_something_to_keep(tmp_path: Path) -> None:
    """Neither content nor place: refused, and nothing is recorded."""
    with tracker.get_or_create_ctx("x", uri=tmp_path / "data") as run:
        with pytest.raises(InvalidRequest, match="a body, a local_path, or a target_path"):
            run.log_artifact("nothing")
        assert run.artifacts == {}
