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
    out, err = process.communicate(timeout=30)
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
    process.communicate(timeout=30)
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
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert sorted(out.splitlines()) == ["after", "below it", "in the cell"]
    assert sorted(console(server, "r1")["stdout"].splitlines()) == [b"below it", b"in the cell"]
