"""The job never waits and never dies of the tracker, and what it said arrives once."""

import shutil
import signal
import socket
import time
from pathlib import Path

import anyio
import pytest

import tracker
from tests.sdk.conftest import Job, Server, until
from tracker.connection import PROCESS
from tracker.delivery import deliver
from tracker.journal_reader import scan
from tracker.transport import open_transport

TRAIN = """
    import sys, time, tracker
    began = time.monotonic()
    slowest = 0
    with tracker.get_or_create_ctx("job", project="p", uid="r1") as run:
        print("ready", flush=True)
        for step in range(int(sys.argv[1]) if len(sys.argv) > 1 else 300):
            t = time.monotonic()
            run.log_metric("loss", 1.0, step=step)
            slowest = max(slowest, time.monotonic() - t)
            time.sleep(0.001)
        run.log_artifact("notes", body="text")
    print("slowest", slowest, "took", time.monotonic() - began, flush=True)
"""


def test_a_job_outlives_its_server(server: Server) -> None:
    """The server is killed and comes back in the middle of a run: every event is stored once, in order."""
    with tracker.get_or_create_ctx("job", project="p", uri=server.uri) as run:
        for step in range(1000):
            run.log_metric("loss", 1.0, step=step)
            if step == 300:
                run.commit()
                server.signal(signal.SIGKILL)
            if step == 600:
                server.start()
    until(lambda: tracker.flush(20))
    assert server.steps(run.uid) == list(range(1000))
    assert server.run(run.uid)["state"] == "completed"


def test_a_stopped_server_stops_nobody(server: Server) -> None:
    """While the server is frozen calls return at once; when it thaws, all is there."""
    with tracker.get_or_create_ctx("job", project="p", uri=server.uri) as run:
        run.log_metric("loss", 1.0, step=0)
        assert run.commit()
        server.signal(signal.SIGSTOP)
        began = time.monotonic()
        for step in range(1, 20_000):
            run.log_metric("loss", 1.0, step=step)
        assert time.monotonic() - began < 20
        server.signal(signal.SIGCONT)
    assert tracker.flush(30)
    assert server.steps(run.uid) == list(range(20_000))


def test_without_a_server_a_job_ends_in_time_and_says_what_is_left(server: Server, job: Job, tmp_path: Path) -> None:
    """No server at all: the job is as fast as ever, ends, and names the journal; the next job to the same server delivers it."""
    server.signal(signal.SIGTERM)
    process = job(server.uri, TRAIN)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "tracker sync" in err
    took = float(out.split()[-1])
    assert took < 15
    assert scan(tmp_path / "journals")
    server.start()
    process = job(server.uri, 'import tracker\nwith tracker.get_or_create_ctx("next", project="p", uid="r2") as run: run.commit()')
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    until(lambda: len(server.steps("r1")) == 300)
    assert server.run("r1")["state"] == "completed"
    digest = next(e["event"]["digest"] for e in server.events("r1") if e["event"]["type"] == "artifact.logged")
    assert server.bytes(f"/v1/blobs/{digest}") == b"text"
    until(lambda: not scan(tmp_path / "journals"))


def test_a_black_hole_holds_nobody(job: Job) -> None:
    """A target that takes connections and never answers: the job runs at its own pace and ends within the bound."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(64)
        process = job(f"http://127.0.0.1:{hole.getsockname()[1]}", TRAIN.replace('uid="r1"', ""), TRACKER_PATIENCE="2")
        began = time.monotonic()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert time.monotonic() - began < 30  # with the start of the process
    assert float(out.split()[-3]) < 1.8  # seconds: less than the patience
    assert "tracker sync" in err


def test_a_killed_job_is_delivered_by_sync(server: Server, job: Job, tmp_path: Path) -> None:
    """A kill -9 in the middle: what was said before it is delivered from the journal, once, by whoever comes."""
    server.signal(signal.SIGSTOP)
    process = job(server.uri, TRAIN.replace("300", "10**6").replace('uid="r1"', ""))
    assert process.stdout is not None
    process.stdout.readline()
    until(lambda: any(p.stat().st_size > 30_000 for ps in scan(tmp_path / "journals").values() for p in ps))
    process.kill()
    process.wait()
    server.signal(signal.SIGCONT)
    (segments,) = scan(tmp_path / "journals").values()
    copy = tmp_path / "copy"
    shutil.copytree(segments[0].parent, copy)

    async def sync(directory: Path) -> int:
        async with open_transport(server.uri) as transport:
            report = await deliver(scan(directory)[segments[0].name.split(".")[0]][0], transport)
            assert report is not None
            return report.delivered

    count = anyio.run(sync, tmp_path / "journals")
    assert count == anyio.run(sync, copy)  # offered again, and known
    assert not scan(tmp_path / "journals")
    uid = server.get("/v1/projects/p/runs")["runs"][0]["uid"]
    steps = server.steps(uid)
    assert steps == list(range(len(steps)))
    assert len(server.events(uid)) == count


def test_one_bad_event_does_not_hold_up_the_others(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the server refuses is put aside and counted; everything around it is stored."""
    from events.types import MetricLogged

    with tracker.get_or_create_ctx("job", project="p", uri=server.uri) as run:
        recorder = PROCESS.connection(server.uri).recorder
        for step in range(50):
            run.log_metric("loss", 1.0, step=step)
            if step == 20:
                recorder.record(f"run/p/{run.uid}".encode(), [MetricLogged(time=1, key="x" * 300, value=1.0)])
        assert run.commit()
        run.log_metric("loss", 1.0, step=50)
    assert tracker.flush()
    assert server.steps(run.uid) == list(range(51))
    (refused,) = (e["event"] for e in server.events(run.uid) if e["event"]["type"] == "event.refused")
    assert refused["was"] == "metric.logged"
    (rejected,) = (tmp_path / "journals").glob("*.rejected")
    assert len(rejected.read_text().splitlines()) == 1
    assert "1 events were refused" in caplog.text


def test_a_server_restored_from_an_older_copy_goes_on(server: Server) -> None:
    """A server that forgot what it had acknowledged takes what comes after it, with placeholders for what is gone."""
    with tracker.get_or_create_ctx("job", project="p", uri=server.uri) as run:
        run.log_metric("loss", 1.0, step=0)
        assert run.commit()
        server.signal(signal.SIGTERM)
        shutil.rmtree(server.data)
        PROCESS.connection(server.uri).recorder.journal._size = 2**40  # type: ignore[union-attr] - the next call begins a segment
        run.log_metric("loss", 1.0, step=1)
        PROCESS.connection(server.uri).recorder.journal.acknowledge(4)  # type: ignore[union-attr]
        server.start()
        until(lambda: tracker.flush(10))
    until(lambda: tracker.flush(10))
    assert [e["event"]["type"] for e in server.events(run.uid)][:3] == ["event.refused"] * 3
    assert server.steps(run.uid) == [1]
    assert server.run(run.uid)["state"] == "completed"


def test_a_journal_deleted_under_the_job(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The journal goes while the server does not answer: said once, and every event is stored in the end."""
    with tracker.get_or_create_ctx("x", project="p", uid="r1", uri=server.uri) as run:
        assert run.commit()
        server.signal(signal.SIGSTOP)
        for step in range(2000):
            run.log_metric("m", 1.0, step=step)
            if step in (500, 1500):
                until(lambda: list((tmp_path / "journals").glob("*.journal")))
                shutil.rmtree(tmp_path / "journals")
        until(lambda: list((tmp_path / "journals").glob("*.journal")))
        server.signal(signal.SIGCONT)
        assert until(run.commit)
    assert server.steps("r1") == list(range(2000))
    assert sum("was deleted" in record.getMessage() for record in caplog.records) == 1


def test_a_data_directory_deleted_under_the_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The whole target goes: it begins anew with all that the journal still has, and that is said."""
    data = tmp_path / "data"
    with tracker.get_or_create_ctx("x", project="p", uid="r1", uri=data) as run:
        run.log_result("before", 1)
        assert run.commit()
        shutil.rmtree(data)
        run.log_result("after", 2)
        assert until(run.commit)
    PROCESS.end()
    assert any("was deleted under the job" in record.getMessage() for record in caplog.records)
    with tracker.get_or_create_ctx("x", project="p", uid="r1", uri=data) as run:
        assert run.results == {"before": 1, "after": 2}
