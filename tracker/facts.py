"""What can be said about the process that works on a run: machine, interpreter, command, version of the code.

Gathered once per process. Git is asked only whether files changed, for half a second at most; the rest is read from `.git` itself.
Values that could be secret (options that sound like it, passwords in the URL of a remote) are left out.
"""

import functools
import getpass
import os
import platform
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracker.values import command_line

GIT_PATIENCE = 0.5  # seconds


@functools.cache
def user() -> str:
    """The name of the user, "" where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def gather() -> dict[str, Any]:
    """Facts about this process, for `AttemptStarted`."""
    return _gather(os.getpid(), str(Path.cwd()))


@functools.lru_cache(maxsize=4)
def _gather(pid: int, directory: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "host": socket.gethostname(),
        "pid": pid,
        "user": user(),
        "command": command_line(sys.argv)[:200],
        "cwd": directory,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cpus": os.cpu_count() or 0,
    }
    if git := _git(Path(directory)):
        facts["git"] = git
    return facts


def _git(directory: Path) -> dict[str, Any]:
    root = next((path for path in (directory, *directory.parents) if (path / ".git").exists()), None)
    if root is None:
        return {}
    facts: dict[str, Any] = {"root": str(root)}
    with suppress(OSError, ValueError):
        facts.update(_read_head(root / ".git"))
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"],  # noqa: S607 - the user's own git
            cwd=root,
            capture_output=True,
            timeout=GIT_PATIENCE,
            check=True,
        )
        facts["dirty"] = bool(done.stdout.strip())
    return facts


def _read_head(git: Path) -> dict[str, str]:
    """Branch, commit and remote from the repository's own files."""
    if git.is_file():  # a worktree or a submodule
        git = (git.parent / git.read_text().partition("gitdir:")[2].strip()).resolve()
    common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
    head = (git / "HEAD").read_text().strip()
    facts: dict[str, str] = {}
    if head.startswith("ref: "):
        reference = head[5:]
        facts["branch"] = reference.removeprefix("refs/heads/")
        head = _commit_of(common, reference)
    if head:
        facts["commit"] = head
    if (common / "config").exists():
        found = re.search(r'\[remote "origin"\][^\[]*?\n\s*url\s*=\s*(\S+)', (common / "config").read_text())
        if found:
            facts["remote"] = re.sub(r"//[^/@]*@", "//", found[1])
    return facts


def _commit_of(git: Path, reference: str) -> str:
    if (git / reference).exists():
        return (git / reference).read_text().strip()
    if (git / "packed-refs").exists():
        for line in (git / "packed-refs").read_text().splitlines():
            if line.endswith(" " + reference):
                return line.split(" ")[0]
    return ""
