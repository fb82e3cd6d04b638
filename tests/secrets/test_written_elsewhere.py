"""The values of secrets are in no file that the tracker writes when the work is done elsewhere: in a process, a pool, a script, on Dask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.secrets.test_written_nowhere import UNMASKED, written

WAYS = ("subprocess", "pool", "script", "dask")
KINDS = ("named", "nameless", "outside")  # in a source; in secret_params only; in the environment, where `get_secret` finds it

LEAKY = """
import os, subprocess, sys
import tracker

MASKING

def leak(context, way):
    values = [context.get_secret("NAMED"), os.environ[way + "_NAMELESS"], context.get_secret(way + "_OUTSIDE")]
    for value in values:
        print("visible-marker", value, flush=True)
        os.write(2, value.encode() + b"\\n")
        subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1])", value], check=True)
        context.log_result("r", {"nested": [value]})
        context.set_label("l", value)
        context.logger.info(value)
        context.log_artifact("doc", body=b"fine", labels={"secret": value})
    raise RuntimeError(" ".join(values))

if __name__ == "__main__":
    context = tracker.get_or_create_ctx("any")
    leak(context, context.get_param("way"))
"""

JOB = """
import sys
import tracker
import leaky

if __name__ == "__main__":
    ways = {
        "subprocess": {"handler": leaky.leak, "params": {"way": "subprocess"}, "subprocess": True},
        "pool": {"handler": leaky.leak, "hyperparams": {"way": ["pool", "pool"]}, "hyper_param_options": {"parallel_runs": 2}},
        "script": {"handler": "leaky.py", "params": {"way": "script"}},
        "dask": {
            "handler": leaky.leak,
            "hyperparams": {"way": ["dask"]},
            "hyper_param_options": {"dask_cluster_uri": "local", "teardown_dask": True},
        },
    }
    for way, how in ways.items():
        hook = {"kind": "webhook", "when": ["error"], "secret_params": {"url": f"http://127.0.0.1:9/canary-{way}-nameless"}}
        named = {"kind": "inline", "source": {"NAMED": f"canary-{way}-named"}}
        run = tracker.run_function(name=way, notifications=[hook], secrets=[named], watch=False, raise_on_failure=False, **how)
        assert run.state() == "error" and "visible-marker" not in run.error, (way, run.error)
        tracker.flush()
"""


@pytest.mark.parametrize("masking", ["on", "off"])
def test_nothing_of_work_elsewhere(tmp_path: Path, masking: str) -> None:
    """However work is done elsewhere, no value is in any file that is written; and if nothing were masked, every one would be found."""
    (tmp_path / "leaky.py").write_text(LEAKY.replace("MASKING", UNMASKED if masking == "off" else ""))
    (tmp_path / "job.py").write_text(JOB)
    state = {"TRACKER_URI": str(tmp_path / "state" / "data"), "TRACKER_JOURNALS": str(tmp_path / "state" / "journals")}
    known = {f"{way}_{kind.upper()}": f"canary-{way}-{kind}" for way in WAYS for kind in KINDS[1:]}
    done = subprocess.run(
        [sys.executable, "job.py"],
        env={**os.environ, **state, **known, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    found = written(tmp_path / "state")
    leaked = {value for way in WAYS for kind in KINDS if any((value := f"canary-{way}-{kind}").encode() in data for data in found.values())}
    places = {place: data for place, data in found.items() if b"canary-" in data}
    if masking == "off":
        assert leaked == {f"canary-{way}-{kind}" for way in WAYS for kind in KINDS}
    else:
        assert (leaked, {place: data[max(0, data.find(b"canary-") - 60) :][:120] for place, data in places.items()}) == (set(), {})
    assert any(b"visible-marker" in data for place, data in found.items() if "log.db unpacked" in place)
