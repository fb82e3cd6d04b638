"""The documentation is complete: every setting, command, route and event that exists is described, and none that does not."""

import re
from pathlib import Path
from typing import get_args

from events.types import Event
from tracker.cli.main import COMMANDS
from tracker.server.native.routes import TABLE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_every_setting_is_described() -> None:
    """The environment variables the code reads are those docs/settings.md lists."""
    read = set(re.findall(r"TRACKER_[A-Z]+(?:_[A-Z]+)*", (ROOT / "tracker" / "settings.py").read_text()))
    described = set(re.findall(r"^\| `(TRACKER_\w+)`", (DOCS / "settings.md").read_text(), re.MULTILINE))
    assert read == described


def test_every_route_is_described() -> None:
    """The routes of the server are those of docs/api.md, with their methods and roles."""
    described = set(re.findall(r"^\| `([A-Z]+) (/[^`]*)` \| (\w+) \|", (DOCS / "api.md").read_text(), re.MULTILINE))
    assert {(route.method, route.path.replace(":path}", "}"), route.role) for route in TABLE.routes} == described


def test_every_event_is_told_in_a_sentence() -> None:
    """Each event of the vocabulary says what became true."""
    for event in get_args(Event):
        assert event.__doc__
        assert event.__doc__.strip().endswith(".")


def test_every_command_says_what_it_does() -> None:
    """Each command has a line in `tracker --help` and help of its own."""
    from click.testing import CliRunner

    from tracker.cli.main import tracker

    runner = CliRunner()
    listing = runner.invoke(tracker, ["--help"]).output
    for name, (_, _, line) in COMMANDS.items():
        assert name in listing
        assert line.endswith(".")
        answer = runner.invoke(tracker, [name, "--help"])
        assert answer.exit_code == 0, f"{name}: {answer.output}"
        assert len(answer.output.splitlines()) > 3


def test_files_that_pages_name_exist() -> None:
    """Whatever file of the code a page names is there."""
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    named = {
        path
        for page in pages
        for path in re.findall(r"`((?:events|projections|tracker|tests|benchmarks|examples)/[\w/.-]+)`", page.read_text())
    }
    assert len(named) > 60
    assert not [path for path in named if not (ROOT / path).exists()]


def test_status_names_what_exists() -> None:
    """Every test and every command that docs/status.md calls as a witness exists."""
    page = (DOCS / "status.md").read_text()
    tests, commands = re.findall(r"`(tests/[\w/]+\.py)`", page), re.findall(r"`tracker (\w+)", page)
    assert len(tests) > 20
    assert not [path for path in tests if not (ROOT / path).exists()]
    assert set(commands) <= set(COMMANDS)
