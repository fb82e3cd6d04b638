"""Real processes, born fast: one process imports the product once and forks a child for each life that is to be ended.

A server needs half a second to import itself and some milliseconds to start, so a loop that kills and restarts it by fork sees twenty times
more deaths in the same time. A child is a process like any other: own pid, own memory, own files; nothing of the product runs before the
fork. Run as a program (`python -m tests.crash.nursery FD`) it obeys a socket; `Nursery` is the other end.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

PATIENCE = 20.0  # seconds until something that must happen counts as never happening


class Child:
    """A process that plays a role (see `roles`). What it prints comes line by line."""

    def __init__(self, nursery: "Nursery", pid: int, pidfd: int, output: int) -> None:
        self.pid = pid
        self._nursery, self._pidfd, self._output = nursery, pidfd, output
        self._rest = b""
        self._last = ""
        self._code: int | None = None

    def line(self, timeout: float = PATIENCE) -> str:
        """The next line, "" when there will be none. Raises TimeoutError."""
        until = time.monotonic() + timeout
        while b"\n" not in self._rest:
            if not _readable(self._output, until - time.monotonic()):
                raise TimeoutError(f"process {self.pid} said nothing for {timeout} s")
            chunk = os.read(self._output, 65536)
            if not chunk:
                return ""
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        self._last = line.decode()
        return self._last

    def last_line(self) -> str:
        """Of a dead process: the last whole line it had printed."""
        while chunk := os.read(self._output, 65536):
            self._rest += chunk
        *_, last = [self._last, *self._rest.decode().split("\n")[:-1]]
        return last

    def send(self, number: int) -> None:
        """Send a signal, to a process that may have ended."""
        if self._code is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code, minus the signal's number if one ended it. Raises TimeoutError."""
        if self._code is None:
            if not _readable(self._pidfd, timeout):
                raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
            self._code = self._nursery.reap(self.pid)
        return self._code

    def stopped(self) -> None:
        """Wait until it stands still, of a SIGSTOP."""
        self._nursery.until_stopped(self.pid)

    def kill(self) -> None:
        """End it as the kernel does, and return when it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """End it if it lives, and let go of it."""
        if self not in self._nursery.children:
            return
        self._nursery.children.remove(self)
        self.kill()
        os.close(self._pidfd)
        os.close(self._output)


def _readable(descriptor: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, timeout) * 1000))


class Nursery:
    """Where children come from. `errors` collects what they write to stderr."""

    def __init__(self, errors: Path) -> None:
        self.errors = errors
        self.children: list[Child] = []
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.crash.nursery", str(theirs.fileno())]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
        root = Path(__file__).parents[2]
        with errors.open("ab") as file, theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], cwd=root, env=environment, stdin=subprocess.DEVNULL, stderr=file
            )
        self._socket = ours
        ours.settimeout(60.0)
        assert ours.recv(16) == b"ready", errors.read_text()

    def spawn(self, role: str, **arguments: Any) -> Child:
        """A new process in that role."""
        reading, writing = os.pipe()
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps({"role": role, "arguments": arguments}).encode()], [writing])
            finally:
                os.close(writing)
            message, fds, _, _ = socket.recv_fds(self._socket, 64, 1)
        child = Child(self, int(message), fds[0], reading)
        self.children.append(child)
        return child

    def reap(self, pid: int) -> int:
        """The exit code of a child that has ended."""
        return self._ask({"reap": pid})

    def until_stopped(self, pid: int) -> None:
        """Wait until a child stands still."""
        assert os.WIFSTOPPED(self._ask({"stopped": pid}))

    def _ask(self, order: dict[str, int]) -> int:
        with self._lock:
            self._socket.send(json.dumps(order).encode())
            return int(self._socket.recv(64))

    def close(self) -> None:
        """End all children."""
        for child in list(self.children):
            child.close()
        self._socket.close()
        self._process.wait(PATIENCE)


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The `tracker` program as a person runs it, to its end."""
    program = Path(sys.executable).with_name("tracker")
    return subprocess.run(
        [program, *command], env={**os.environ, **environment}, capture_output=True, text=True, timeout=3 * PATIENCE, check=False
    )


def _obey(orders: socket.socket) -> None:
    """Fork and reap as told, until the other end is closed."""
    from tests.crash import roles

    orders.send(b"ready")
    while True:
        message, fds, _, _ = socket.recv_fds(orders, 65536, 1)
        if not message:
            return
        order = json.loads(message)
        if "reap" in order:
            _, status = os.waitpid(order["reap"], 0)
            orders.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        if "stopped" in order:
            _, status = os.waitpid(order["stopped"], os.WUNTRACED)
            orders.send(str(status).encode())
            continue
        pid = os.fork()
        if pid == 0:
            orders.close()
            os.dup2(fds[0], 1)
            os.close(fds[0])
            roles.play(order["role"], order["arguments"])
        os.close(fds[0])
        pidfd = os.pidfd_open(pid)
        socket.send_fds(orders, [str(pid).encode()], [pidfd])
        os.close(pidfd)


if __name__ == "__main__":
    _obey(socket.socket(fileno=int(sys.argv[1])))
