"""A journal that cannot be written costs the job nothing, and what is missing is counted."""

from tests.sdk.conftest import Job, Server

# A limit on the size of files is a full disk that any user can make.
FULL = """
    import resource, signal, tracker
    from tracker.connection import PROCESS
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with tracker.get_or_create_ctx("job", project="p", uid="r1") as run:
        run.log_metric("m", 1.0, step=0)
        print(run.commit())
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        for step in range(1, 30_001):
            run.log_metric("m", 1.0, step=step)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        run.log_result("after", 1)
        run.log_metric("after", 1.0)
"""


def test_a_full_disk_is_survived_and_counted(server: Server, job: Job) -> None:
    """The job goes on at full speed, is told once, and the events that found no place are stored as a number, in their place."""
    process = job(server.uri, FULL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == "True\n"
    assert err.count("cannot be written") == 1
    events = [e["event"] for e in server.events("r1")]
    steps = [e.get("step", 0) for e in events if e["type"] == "metric.logged" and e["key"] == "m"]
    (missed,) = (e for e in events if e["type"] == "events.missed")
    assert steps == list(range(len(steps)))
    assert 1000 < len(steps) < 30_001
    assert len(steps) + missed["count"] == 30_001
    stored = server.run("r1")
    assert (stored["state"], stored["results"], stored["missed"]) == ("completed", {"after": 1}, missed["count"])


def test_a_journal_that_cannot_even_begin(server: Server, job: Job) -> None:
    """No directory for journals: the job works as if nothing was wrong, and says that something was."""
    process = job(
        server.uri,
        'import tracker\nwith tracker.get_or_create_ctx("x", project="p") as run: run.log_metric("m", 1)',
        TRACKER_JOURNALS="/dev/null/x",
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "cannot be written" in err
