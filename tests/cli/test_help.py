"""The program explains itself, and fast."""

import subprocess
import sys

import click
import pytest

from tests.cli.conftest import Tracker
from tracker.cli.main import COMMANDS, tracker


def test_help_names_every_command_without_importing_any(run: Tracker) -> None:
    """`tracker --help` is a page of one line per command, and needs no HTTP client, no terminal library and no database to print it."""
    page = run("--help").output
    assert all(f"  {name} " in page for name in COMMANDS)
    program = (
        "import sys; from tracker.cli.main import tracker\n"
        "try: tracker(['--help'])\n"
        "finally: assert not {'aiohttp', 'rich', 'uvloop', 'aiosqlite'} & set(sys.modules), set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def leaves() -> list[str]:
    """Every command, and every subcommand."""
    context = click.Context(tracker)
    found = []
    for name in COMMANDS:
        command = tracker.get_command(context, name)  # type: ignore[attr-defined]
        found += [f"{name} {sub}" for sub in command.commands] if isinstance(command, click.Group) else []
        found.append(name)
    return found


@pytest.mark.parametrize("name", leaves())
def test_every_command_has_help_with_an_example(run: Tracker, name: str) -> None:
    """Each command says what it does and shows how it is used."""
    page = run(*name.split(), "--help").output
    assert "Usage: " in page
    assert name == "demo" or "Example:\n" in page


def test_a_mistyped_command_gets_a_hint(run: Tracker) -> None:
    """A name that is none is answered by the nearest one."""
    assert "did you mean 'verify'?" in run("verfiy", code=2).output


def test_version(run: Tracker) -> None:
    """The version is printed alone."""
    assert run("--version").output.startswith("run-tracker ")
