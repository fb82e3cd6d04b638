"""docs/context.md is true: it has every member of the context, each with an example that runs as it stands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tracker

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "context.md").read_text()
SECTIONS = {title.strip(): text for title, text in re.findall(r"^###? (.+)\n((?:(?!^###? ).*\n?)*)", PAGE, re.MULTILINE)}
EXAMPLES = {title: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for title, text in SECTIONS.items()}
PREAMBLE = PAGE.partition("```python\n")[2].partition("```")[0]
MEMBERS = [
    "annotations",
    "artifact_subpath",
    "artifacts",
    "commit",
    "from_dict",
    "get_cached_artifact",
    "get_child_context",
    "get_dataitem",
    "get_input",
    "get_meta",
    "get_param",
    "get_project_param",
    "get_secret",
    "get_store_resource",
    "in_path",
    "inputs",
    "iteration",
    "kind",
    "labels",
    "log_artifact",
    "log_dataset",
    "log_iteration_results",
    "log_level",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_result",
    "log_results",
    "logger",
    "mark_as_best",
    "out_path",
    "parameters",
    "project",
    "results",
    "set_annotation",
    "set_hostname",
    "set_label",
    "set_logger_stream",
    "set_state",
    "state",
    "store_run",
    "tag",
    "to_dict",
    "to_json",
    "to_yaml",
    "uid",
    "update_artifact",
    "update_child_iterations",
]

PROGRAM = """
import contextlib, json, os, pathlib, sys, traceback
preamble, examples = json.load(sys.stdin)
faults = {}
for title, example in examples:
    os.environ.pop("ACCESS_KEY", None)
    pathlib.Path(title).mkdir()
    with contextlib.chdir(title):
        names = {"__name__": "__main__"}
        try:
            exec(compile(preamble, "preamble", "exec"), names)
            exec(compile(example, title, "exec"), names)
        except BaseException:
            faults[title] = traceback.format_exc()
        finally:
            if "context" in names:
                names["context"].commit(completed=True)
                names["tracker"].flush()
json.dump(faults, sys.stdout)
"""


def test_every_member_has_a_section_and_an_example() -> None:
    """Whoever looks for a member finds what it does, and how it is used."""
    assert len(MEMBERS) == 48
    assert not [name for name in MEMBERS if not hasattr(tracker.Context, name)]
    assert not [name for name in MEMBERS if len(EXAMPLES.get(name, [])) != 1]


def test_the_examples_run_as_they_stand(tmp_path: Path) -> None:
    """Pasted after the two lines at the top of the page, each example works."""
    examples = [(title, "".join(blocks)) for title, blocks in EXAMPLES.items() if blocks and title != "The execution context"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        input=json.dumps([PREAMBLE, examples]),
        cwd=tmp_path,
        env=environment | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "TRACKER_URI": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    faults = json.loads(done.stdout)
    assert not faults, "\n".join(faults.values())


@pytest.mark.parametrize("name", MEMBERS)
def test_both_faces_have_it(name: str) -> None:
    """Code that waits and code in a loop find the same members."""
    import tracker.aio

    assert hasattr(tracker.aio.Context, name)
