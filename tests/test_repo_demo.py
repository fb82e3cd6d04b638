"""`make demo`: one command, and a real job is recorded, watched, shown and proved."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TRACKER = (sys.executable, "-c", "from tracker.cli.main import main; main()")


@pytest.mark.timeout(150)
def test_the_demo_succeeds(tmp_path: Path) -> None:
    """On a fresh directory the demo ends with exit code 0, every answer is yes, and what it suggests to look at works."""
    workspace = tmp_path / "demo"
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONWARNINGS": "error::ResourceWarning"}
    done = subprocess.run(
        [*TRACKER, "demo", "--data", str(workspace)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = re.findall(r"^(yes|NO ) {2}", done.stdout, re.MULTILINE)
    assert len(answers) >= 8
    assert set(answers) == {"yes"}
    assert "iteration 9:" in done.stdout, "the console was tailed"
    shown = re.search(r"tracker show (\S+)", done.stdout)
    assert shown
    again = subprocess.run(
        [*TRACKER, "show", shown[1], "--uri", str(workspace / "data"), "--json"],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == 0, again.stderr


def test_the_demo_wants_a_fresh_directory(tmp_path: Path) -> None:
    """A directory that holds anything is refused and left as it is."""
    (tmp_path / "precious").write_text("mine")
    done = subprocess.run([*TRACKER, "demo", "--data", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
