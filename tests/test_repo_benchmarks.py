"""The benchmarks stay alive: each verb measures something at a size that proves nothing but that it runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.figure import Figure, percentile
from benchmarks.run import VERBS, cells

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_runs(tmp_path: Path, verb: str) -> None:
    """A tiny run of each verb prints its row and leaves no files."""
    if verb == "single_appends" and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("its load generator is C, and there is no compiler here")
    environment = {**os.environ, "BENCH_SCALE": "0.005", "BENCH_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-m", "benchmarks.run", verb]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "method" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_figure_says_whether_its_target_is_met() -> None:
    """More is better for rates, less for times; without a target nothing is claimed."""
    rate = Figure(verb="v", name="n", value=10, unit="/s", method="m", target=9, better="more")
    assert rate.met is True
    assert Figure(verb="v", name="n", value=10, unit="ms", method="m", target=9).met is False
    assert Figure(verb="v", name="n", value=10, unit="ms", method="m").met is None
    assert cells(rate)[2:5] == ("10 /s", ">= 9 /s", "yes")


def test_percentiles_are_values_that_were_seen() -> None:
    """The nearest rank, at both ends too."""
    assert [percentile([3, 1, 2], p) for p in (1, 50, 99, 100)] == [1, 2, 3, 3]
