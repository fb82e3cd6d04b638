"""Many processes, threads and tasks record to one target, or one run, and nothing is lost, doubled or stuck."""

import threading
from collections import Counter
from pathlib import Path

import tracker
from tests.sdk.conftest import Job, Server, until
from tracker.journal_reader import scan

FORKS = """
    import multiprocessing, os, sys, threading, tracker

    def work(number, uid):
        run = tracker.get_or_create_ctx()
        assert run.uid == uid, (run.uid, uid)
        for step in range(100):
            run.log_metric(f"child{number}", 1.0, step=step)

    if __name__ == "__main__":
        with tracker.get_or_create_ctx("parent", project="p", uid="r1") as run:
            run.log_metric("parent", 1.0)
            busy = threading.Event()
            def chatter():
                while not busy.wait(0.001):
                    for _ in range(50):
                        run.log_metric("thread", 1.0)
            thread = threading.Thread(target=chatter)
            thread.start()
            context = multiprocessing.get_context("fork")
            children = [context.Process(target=work, args=(n, "r1")) for n in range(4)]
            for child in children: child.start()
            for child in children: child.join(60)
            assert [c.exitcode for c in children] == [0] * 4, [c.exitcode for c in children]
            for how in ("exit", "_exit"):
                pid = os.fork()
                if pid == 0:
                    for step in range(50):
                        run.log_metric("raw", 1.0, step=step)
                    sys.exit(0) if how == "exit" else os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
            busy.set()
            thread.join()
            for step in range(100):
                run.log_metric("parent", 1.0)
    """

SPAWN = """
    import multiprocessing, tracker

    def work(number):
        with tracker.get_or_create_ctx("rank", project="p", uid="shared") as run:
            for step in range(100):
                run.log_metric(f"rank{number}", 1.0, step=step)

    if __name__ == "__main__":
        context = multiprocessing.get_context("spawn")
        with context.Pool(3) as pool:
            pool.map(work, range(3))
            pool.close()
            pool.join()
    """


def counted(server: Server, uid: str) -> Counter[str]:
    """How many points each series of a run has."""
    return Counter(e["event"]["key"] for e in server.events(uid) if e["event"]["type"] == "metric.logged")


def test_forked_children_record_into_the_run_they_were_born_in(server: Server, job: Job, tmp_path: Path) -> None:
    """Forks of both kinds, while another thread is recording: each process is a producer of its own, and all arrives once."""
    process = job(server.uri, FORKS)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    until(lambda: not scan(tmp_path / "journals"))
    points = counted(server, "r1")
    assert [points[f"child{n}"] for n in range(4)] == [100] * 4
    assert (points["raw"], points["parent"]) == (100, 101)
    assert len({e["producer"] for e in server.events("r1")}) == 7
    assert server.run("r1")["state"] == "completed"


def test_spawned_workers_share_a_run(server: Server, job: Job) -> None:
    """Workers of a pool name the same uid: they are attempts at one run."""
    process = job(server.uri, SPAWN)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert counted(server, "shared") == {"rank0": 100, "rank1": 100, "rank2": 100}


def test_forked_children_of_a_job_with_a_directory_follow_it(job: Job, tmp_path: Path) -> None:
    """With a data directory as target the parent writes it, and takes what its children left in their journals."""
    data = tmp_path / "data"
    process = job(str(data), FORKS)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    server = Server(data)
    server.start()
    try:
        points = counted(server, "r1")
        assert [points[f"child{n}"] for n in range(4)] == [100] * 4
        assert (points["raw"], points["parent"]) == (100, 101)
        assert not scan(data / "journals")
    finally:
        server.signal(9)


def test_threads_record_into_one_run(server: Server) -> None:
    """Eight threads on one context: each one's points are all there, in its order."""
    with tracker.get_or_create_ctx("threads", project="p", uri=server.uri) as run:

        def work(number: int) -> None:
            for step in range(500):
                run.log_metric(f"t{number}", 1.0, step=step)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert tracker.flush()
    events = [e["event"] for e in server.events(run.uid) if e["event"]["type"] == "metric.logged"]
    for number in range(8):
        assert [e.get("step", 0) for e in events if e["key"] == f"t{number}"] == list(range(500))


def test_a_signal_handler_may_record(server: Server) -> None:
    """A handler that interrupts a recording call and records itself neither blocks nor loses anything."""
    import signal

    with tracker.get_or_create_ctx("signals", project="p", uri=server.uri) as run:
        heard = 0

        def handle(*_: object) -> None:
            nonlocal heard
            heard += 1
            run.log_metric("handler", 1.0)

        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0002)
        try:
            for step in range(20_000):
                run.log_metric("main", 1.0, step=step)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert tracker.flush()
    assert heard > 10
    assert counted(server, run.uid) == {"main": 20_000, "handler": heard}


def test_a_job_that_dies_of_an_exception_outside_a_block_has_failed(server: Server, job: Job) -> None:
    """A context never used as a context manager still ends with the truth about its process."""
    process = job(server.uri, 'import tracker\ntracker.get_or_create_ctx("x", project="p", uid="r1").log_result("a", 1)\n1 / 0')
    process.communicate(timeout=60)
    assert server.run("r1")["state"] == "error"
    process = job(server.uri, 'import tracker\ntracker.get_or_create_ctx("x", project="p", uid="r2").log_result("a", 1)')
    process.communicate(timeout=60)
    assert [e["event"].get("reason") for e in server.events("r2")][-1] == "exit"


def test_two_processes_write_one_directory(job: Job, tmp_path: Path) -> None:
    """The second job finds the directory taken and records all the same; it takes over when the first has ended."""
    data = tmp_path / "data"
    code = """
        import os, sys, time, tracker
        with tracker.get_or_create_ctx("job", project="p", uid="UID") as run:
            for step in range(200): run.log_metric("m", 1.0, step=step)
            print(run.commit(), flush=True)
            while not os.path.exists("GO"): time.sleep(0.02)
            for step in range(200, 400): run.log_metric("m", 1.0, step=step)
            print(run.commit(), flush=True)
    """
    first = job(str(data), code.replace("UID", "r1").replace("GO", str(tmp_path / "go1")))
    assert first.stdout is not None
    assert first.stdout.readline() == "True\n"
    second = job(str(data), code.replace("UID", "r2").replace("GO", str(tmp_path / "go2")))
    assert second.stdout is not None
    assert second.stdout.readline() == "True\n"
    (tmp_path / "go1").touch()
    out, err = first.communicate(timeout=60)
    assert out == "True\n", err
    (tmp_path / "go2").touch()
    out, err = second.communicate(timeout=60)
    assert out == "True\n", err
    server = Server(data)
    server.start()
    try:
        assert server.steps("r1") == server.steps("r2") == list(range(400))
        assert not scan(data / "journals")
    finally:
        server.signal(9)


def test_a_silent_run_is_not_lost(job: Job, tmp_path: Path) -> None:
    """A run that says nothing for longer than the lease is kept alive by heartbeats; a killed one is not."""
    data = tmp_path / "data"
    code = """
        import os, time, tracker
        run = tracker.get_or_create_ctx("quiet", project="p", uid="UID")
        print(run.commit(), flush=True)
        while not os.path.exists("GO"): time.sleep(0.02)
        run.commit(completed=True)
    """
    server = Server(data)
    server.start(TRACKER_LOST_AFTER="3")
    try:
        jobs = {}
        for uid, uri in (("http", server.uri), ("follower", str(data)), ("killed", server.uri)):
            jobs[uid] = job(uri, code.replace("UID", uid).replace("GO", str(tmp_path / "go")), TRACKER_LOST_AFTER="3")
            out = jobs[uid].stdout
            assert out is not None
            assert out.readline() == "True\n"
        jobs["killed"].kill()
        until(lambda: server.run("killed")["state"] == "lost")
        assert (server.run("http")["state"], server.run("follower")["state"]) == ("running", "running")
        (tmp_path / "go").touch()
        for uid in ("http", "follower"):
            _, err = jobs[uid].communicate(timeout=60)
            assert jobs[uid].returncode == 0, err
            assert [e["event"]["type"] for e in server.events(uid)].count("run.lost") == 0
            assert server.run(uid)["state"] == "completed"
    finally:
        server.signal(9)
    assert not list((data / "journals").glob("*.signs"))
