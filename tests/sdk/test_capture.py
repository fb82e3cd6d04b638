"""The console of a job is recorded as it was printed, by whoever printed it, and still reaches the terminal."""

from typing import Any

from tests.sdk.conftest import Job, Server

PRINTS = """
    import logging, os, subprocess, sys, tracker
    print("before")
    with tracker.get_or_create_ctx("job", project="p", uid="r1", capture=True) as run:
        print("from print")
        os.write(1, b"raw \\xff bytes\\n")
        subprocess.run(["echo", "from a child"])
        logging.getLogger("lib").warning("from logging")
        run.logger.info("from the logger", epoch=3)
        sys.stdout.write("no newline")
    print("after")
"""


def console(server: Server, uid: str) -> dict[str, bytes]:
    """The recorded text by source."""
    found: dict[str, bytes] = {}
    import base64

    for recorded in server.events(uid):
        event: dict[str, Any] = recorded["event"]
        if event["type"] == "console.written":
            source = event.get("source", "stdout")
            found[source] = found.get(source, b"") + base64.b64decode(event["data"])
    return found


def test_everything_printed_is_recorded_and_passed_on(server: Server, job: Job) -> None:
    """Text, raw bytes, child processes, logging and the run's logger: recorded between begin and end of the run, byte for byte."""
    process = job(server.uri, PRINTS, PYTHONIOENCODING="utf-8:surrogateescape")
    process.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[0] == "before"
    for text in ("from print", "from a child", "no newlineafter"):
        assert text in out
    recorded = console(server, "r1")
    assert recorded["stdout"] == b"from print\nraw \xff bytes\nfrom a child\nno newline"
    assert b"from logging" in recorded["stderr"]
    assert b"[info] from the logger epoch=3" in recorded["stderr"]
    assert "from the logger" in err
    assert server.bytes("/v1/projects/p/runs/r1/log?source=stdout") == recorded["stdout"]


def test_without_capture_only_the_logger_is_recorded(server: Server, job: Job) -> None:
    """The run's logger speaks to the terminal and to the run's console."""
    process = job(server.uri, PRINTS.replace(", capture=True", ""))
    process.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    process.communicate(timeout=60)
    recorded = console(server, "r1")
    assert list(recorded) == ["logger"]
    assert b"from the logger" in recorded["logger"]


def test_a_flood_is_recorded_whole(server: Server, job: Job) -> None:
    """Megabytes of output come through exactly, and in pieces that fit."""
    process = job(
        server.uri,
        """
        import tracker
        with tracker.get_or_create_ctx("job", project="p", uid="r1", capture=True):
            for number in range(50_000):
                print(f"line {number} of a job that says a lot and says it quickly")
        """,
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert console(server, "r1")["stdout"].decode() == out
    assert len(out) > 2_000_000


def test_streams_that_are_no_descriptor_are_recorded_too(server: Server, job: Job) -> None:
    """A notebook's sys.stdout, or one that was replaced, is recorded as it is written, and is back in its place afterwards."""
    process = job(
        server.uri,
        """
        import io, os, sys, tracker
        terminal, sys.stdout = sys.stdout, io.StringIO()
        cell = sys.stdout
        with tracker.get_or_create_ctx("x", project="p", uid="r1", capture=True):
            print("in the cell")
            os.write(1, b"below it\\n")
        print("after")
        assert sys.stdout is cell
        terminal.write(cell.getvalue())
        """,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert sorted(out.splitlines()) == ["after", "below it", "in the cell"]
    assert sorted(console(server, "r1")["stdout"].splitlines()) == [b"below it", b"in the cell"]


TWO = """
    import asyncio, logging, os, subprocess, sys, threading, tracker, tracker.aio
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    other = {"a": "b", "b": "a"}

    async def work(name, turns):
        secrets = [{"kind": "inline", "source": {"TOKEN": f"hidden-of-{name}"}}]
        spec = {"metadata": {"name": name, "project": "p", "uid": name}, "spec": {"secret_sources": secrets}}
        async with tracker.aio.get_or_create_ctx(spec=spec, capture=True) as run:
            for number in range(100):
                await turns[name].get()
                print(name, number)
                turns[other[name]].put_nowait(None)
            logging.warning("said by %s hidden-of-%s hidden-of-%s", name, name, other[name])
            run.logger.info(f"logged by {name}")
            sys.stdout.write("no newline")
            await turns[name].get()
            turns[other[name]].put_nowait(None)
            os.write(1, b"raw\\n")
        if name == "a":
            turns["end"].set()
        elif name == "b":
            await turns["end"].wait()

    async def main():
        turns = {"a": asyncio.Queue(), "b": asyncio.Queue(), "end": asyncio.Event()}
        turns["a"].put_nowait(None)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work("a", turns))
            tasks.create_task(work("b", turns))

    asyncio.run(main())
    print("of nobody")
"""


def test_two_tasks_with_two_runs_have_each_their_own_lines(server: Server, job: Job) -> None:
    """Two runs on one thread: what each prints, logs and says is its own, in order, once, without its secrets; the terminal has it all."""
    process = job(server.uri, TWO)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[:199] == [f"{name} {number}" for number in range(100) for name in "ab"][:199]
    assert "said by a hidden-of-a hidden-of-b\n" in out
    assert "said by b hidden-of-b hidden-of-a\n" in out
    assert out.endswith("of nobody\n")
    for name, other in ("ab", "ba"):
        recorded = console(server, name)
        wanted = [f"{name} {number}\n" for number in range(100)]
        wanted += [f"said by {name} *** hidden-of-{other}\n", "no newline"]
        assert recorded["stdout"].decode().replace("raw\n", "") == "".join(wanted)
        assert recorded["stderr"].count(b"\n") == 1
        assert f"logged by {name}".encode() in recorded["stderr"]


def test_threads_with_runs_have_each_their_own_lines(server: Server, job: Job) -> None:
    """Two threads print at once for two runs; a run that does not capture is in nobody's console; no line is lost or torn."""
    process = job(
        server.uri,
        """
        import threading, tracker
        ready = threading.Barrier(3)
        def work(name):
            with tracker.get_or_create_ctx(name, project="p", uid=name, capture=name != "c"):
                ready.wait()
                for number in range(2000):
                    print(f"{name} {number}")
                ready.wait()
        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        """,
        PYTHONUNBUFFERED="",  # else Python itself writes lines in two pieces
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    lines = {name: [f"{name} {number}" for number in range(2000)] for name in "abc"}
    assert sorted(out.splitlines()) == sorted([*lines["a"], *lines["b"], *lines["c"]])
    for name in "ab":
        assert console(server, name)["stdout"].decode().splitlines() == lines[name]
    assert console(server, "c") == {}


def test_the_descriptors_go_to_the_next_run_when_the_first_ends(server: Server, job: Job) -> None:
    """Output below Python is the first run's while that is open, and the next one's afterwards; no descriptor is left open."""
    process = job(
        server.uri,
        """
        import os, pathlib, tracker
        def below(text):
            os.write(1, text.encode())
        first = tracker.get_or_create_ctx("first", project="p", uid="first", capture=True)
        second = tracker.get_or_create_ctx("second", project="p", uid="second", capture=True)
        below("one ")
        first.commit(completed=True)
        below("two ")
        print("and text")
        second.commit(completed=True)
        below("three")
        def opened():
            return len(list(pathlib.Path("/dev/fd").iterdir()))
        before = opened()
        for number in range(50):
            with tracker.get_or_create_ctx(f"n{number}", project="p", capture=True):
                print("again")
        assert opened() <= before + 3, (before, opened())
        """,
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == "one two and text\nthree" + "again\n" * 50
    assert console(server, "first")["stdout"] == b"one "
    assert console(server, "second")["stdout"] == b"two and text\n"


def test_what_a_forked_worker_prints_is_its_runs(server: Server, job: Job) -> None:
    """A worker forked inside a run that is not the first one prints for that run; once, and beside what the run itself prints."""
    process = job(
        server.uri,
        """
        import multiprocessing, tracker
        def work(number):
            print("worker", number, flush=True)
        with tracker.get_or_create_ctx("first", project="p", uid="first", capture=True) as first:
            print("of the first")
            with tracker.get_or_create_ctx("second", project="p", uid="second", capture=True):
                print("begun")
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    pool.map(work, range(20))
                    pool.close()
                    pool.join()
                print("ended")
        """,
        PYTHONWARNINGS="ignore",
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert console(server, "first")["stdout"] == b"of the first\n"
    recorded = console(server, "second")["stdout"].decode()
    assert sorted(line for line in recorded.splitlines() if "worker" in line) == sorted(f"worker {number}" for number in range(20))
    assert (recorded.count("begun"), recorded.count("ended")) == (1, 1)
    assert "".join(sorted(out)) == "".join(sorted("of the first\n" + recorded))


def test_a_logger_led_to_stdout_is_recorded_once(server: Server, job: Job) -> None:
    """A run's logger that writes to stdout is in the captured console already."""
    process = job(
        server.uri,
        """
        import sys, tracker
        with tracker.get_or_create_ctx("x", project="p", uid="r1", capture=True) as run:
            run.set_logger_stream(sys.stdout)
            run.logger.info("once")
        """,
    )
    assert process.wait(30) == 0
    recorded = console(server, "r1")
    assert list(recorded) == ["stdout"]
    assert recorded["stdout"].count(b"once") == 1
