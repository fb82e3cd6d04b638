"""README is true: its examples run as printed, its commands exist, its links lead somewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tracker.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TRACKER = (sys.executable, "-c", "from tracker.cli.main import main; main()")


def run(directory: Path, *command: str) -> str:
    """What a command prints in a directory, as a user without any setting would see it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    environment |= {"HOME": str(directory), "XDG_STATE_HOME": str(directory / "state"), "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES[:2], ids=["async", "sync"])
def test_examples_run_as_printed(tmp_path: Path, example: str) -> None:
    """Pasted into a file and started, each example records a completed run that the command line then finds and verifies."""
    script = tmp_path / "train.py"
    script.write_text(example)
    run(tmp_path, sys.executable, str(script))
    query = "metrics.loss < 0.1 AND params.lr > 0.001"
    found = json.loads(run(tmp_path, *TRACKER, "runs", query, "--order-by", "metrics.loss", "--json"))
    assert (found["name"], found["project"], found["state"]) == ("train", "demo", "completed")
    assert found["results"] == {"accuracy": 0.93}
    console = run(tmp_path, *TRACKER, "tail", f"demo/{found['uid']}")
    assert ("printed text is recorded too\n" in console) == ("capture=True" in example)


def test_the_search_runs_as_printed(tmp_path: Path) -> None:
    """The task with hyper-parameters records its iterations and the best of them."""
    (tmp_path / "search.py").write_text(EXAMPLES[2])
    run(tmp_path, sys.executable, "search.py")
    found = json.loads(run(tmp_path, *TRACKER, "runs", "--json"))
    assert (found["name"], found["state"], found["children"], found["best_iteration"]) == ("search", "completed", 3, 3)


def test_commands_run_as_printed(tmp_path: Path) -> None:
    """After the example, every command that README shows for looking at it succeeds and says something."""
    (tmp_path / "train.py").write_text(EXAMPLES[1])
    run(tmp_path, sys.executable, "train.py")
    section = README.partition("## Look at it")[2].partition("```sh\n")[2].partition("```")[0]
    for line in section.splitlines():
        command = shlex.split(line, comments=True)[1:]
        assert run(tmp_path, *TRACKER, *[word for word in command if word != "--follow" or command[0] == "tail"]), line


def test_there_are_an_async_and_a_sync_example() -> None:
    """The reader sees both faces, each about ten lines long."""
    assert ["tracker.aio" in example for example in EXAMPLES] == [True, False, False]
    assert all(len(example.strip().splitlines()) <= 12 for example in EXAMPLES)


def test_commands_in_readme_exist() -> None:
    """Whatever README tells to type after `tracker` is a command."""
    told = set(re.findall(r"^tracker (\w+)", README, re.MULTILINE)) | set(re.findall(r"`tracker (\w+)", README))
    assert told
    assert told <= set(COMMANDS)


def test_make_targets_in_readme_exist() -> None:
    """Whatever README tells to make can be made, and what a merge must pass is told."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"\bmake (demo|test|check|bench|\w+)(?=[\s`])", README)) & (targets | {"demo", "test", "check", "bench"})
    assert {"demo", "test", "check", "bench"} <= told & targets
    gate = set(re.findall(r"^make (\w+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    assert gate == {"check", "test"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of every page leads to a file of the repository."""
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
