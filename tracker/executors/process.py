"""A program in a process of its own: what it prints is passed on and recorded by us, so that nothing of it is lost when it dies.

It leads a process group: when it has to stop, it and its children are told to end (TERM), and killed when they do not (KILL). What it
wants to say to us as its result it writes into a pipe of its own.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from tracker.capture import leads_to
from tracker.secrets.store import SecretsStore, StreamMasker
from tracker.secrets.telling import Reply, word_for

CHUNK = 64 * 1024
GRACE = 5.0  # seconds between TERM and KILL
LINGER = 0.02  # seconds that the beginning of a line waits for its end
LEFT = 1.0  # seconds for what is still in the pipes of a process that has ended; its children may hold them open for ever

Write = Callable[[bytes, str], None]
Show = Callable[[bytes, int], None]


class Ended:
    """How a process ended: its code as of subprocess (-9 = by signal 9), and what it said as its result."""

    def __init__(self, code: int, reply: bytes) -> None:
        self.code, self.reply = code, reply

    @property
    def cause(self) -> str:
        """Why there is no result, for people."""
        if self.code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-self.code).name}"
            return f"killed by signal {-self.code}"
        return f"the process exited with code {self.code}"


async def run_process(
    command: Callable[[int], Sequence[str]],
    write: Write,
    *,
    secrets: SecretsStore,
    echo: bool,
    recorded: bool = False,
    env: Mapping[str, str],
    cwd: str = "",
    given: bytes = b"",
) -> Ended:
    """Run a program to its end; cancelled, end it. Its command is made with the number of the pipe for its result; `given` is its stdin.
    `recorded`: what is printed here is recorded as what `write` writes to, so the echo goes beside that."""
    process, reading = await _started(command, env, cwd, wanting=bool(given))
    reply = Reply(reading, secrets)
    show: Show | None = None if not echo else _print_beside if recorded else _print
    listening = anyio.CancelScope(shield=True)  # what it says while it is being stopped counts, too

    async def listen() -> None:
        with listening:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_collect, reading, reply)
                tasks.start_soon(partial(_console, process.stdout, 1, write, secrets, reply, show=show))
                tasks.start_soon(partial(_console, process.stderr, 2, write, secrets, reply, show=show))
                if process.stdin is not None:
                    tasks.start_soon(_give, process.stdin, given)

    try:
        async with anyio.create_task_group() as listener:
            listener.start_soon(listen)
            try:
                await process.wait()
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await _stop(process)
                raise
            finally:
                listening.deadline = anyio.current_time() + LEFT
    finally:
        with contextlib.suppress(OSError):  # what it left running
            os.killpg(process.pid, signal.SIGKILL)
        os.close(reading)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    return Ended(process.returncode or 0, reply.result)


async def _started(command: Callable[[int], Sequence[str]], env: Mapping[str, str], cwd: str, *, wanting: bool) -> tuple[Any, int]:
    """The process, and the end of the pipe for its result from which we read."""
    reading, writing = os.pipe()
    try:
        process = await anyio.open_process(
            list(command(writing)),
            stdin=subprocess.PIPE if wanting else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**env, "PYTHONUNBUFFERED": "1", "TRACKER_EXEC_PIPE": word_for(writing)},
            cwd=cwd or None,
            start_new_session=True,
            pass_fds=(writing,),
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return process, reading


async def _stop(process: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, number)
        with anyio.move_on_after(GRACE):
            await process.wait()
            return


async def _collect(reading: int, reply: Reply) -> None:
    while not reply.drain():
        await anyio.wait_readable(reading)


async def _console(stream: Any, fd: int, write: Write, secrets: SecretsStore, reply: Reply, *, show: Show | None) -> None:
    """Pass on and record what is printed, by lines: two streams would mix in the middle of them. What is no line yet waits a moment."""
    source = {1: "stdout", 2: "stderr"}[fd]
    masker = StreamMasker(secrets)

    def out(data: bytes, *, last: bool = False) -> None:
        reply.drain()  # what it came to hide before it printed this
        if masked := masker.feed(data, last=last):
            write(masked, source)
            if show is not None:  # masked, too: another run may record what is printed here
                show(masked, fd)

    rest = b""
    try:
        while True:
            data = b""
            with anyio.move_on_after(LINGER if rest else math.inf):
                data = await stream.receive(CHUNK)
            rest += data
            cut = rest.rfind(b"\n") + 1 if data and len(rest) < CHUNK else len(rest)
            if cut:
                lines, rest = rest[:cut], rest[cut:]
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(out, lines)
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    finally:
        out(rest, last=True)


def _print_beside(data: bytes, fd: int) -> None:
    with contextlib.suppress(OSError), open(os.dup(leads_to(fd)), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(data)


def _print(data: bytes, fd: int) -> None:
    stream = sys.stdout if fd == 1 else sys.stderr
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none
        stream.flush()
        raw = getattr(stream, "buffer", None)
        if raw is None:
            stream.write(data.decode("utf-8", "replace"))
        else:
            raw.write(data)
        stream.flush()


async def _give(stdin: Any, given: bytes) -> None:
    with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stdin.send(given)
        await stdin.aclose()
