"""The values of secrets are in no file that the tracker writes, whatever a job does with them."""

import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from tests.sdk.conftest import Server, until

TOKEN = "canary-"  # in every value; so no test here, whose name is in its directory's, has it in its own
NASTY = "canary-inline \"quoted\"\nand 'a second' canary-line\\ü"

JOB = """
import base64, json, os, subprocess, sys, threading, time
import tracker

MASKING
spec = json.loads(os.environ["JOB_SPEC"])
context = tracker.Context.from_dict(
    {"metadata": {"name": "leaky", "project": "p", "uid": "leaky"}, "spec": spec}, tmp=os.environ["JOB_TMP"], store_run=False
)
context._context.wants(capture=True, parent="")
context.store_run()
values = [context.get_secret(name) for name in json.loads(os.environ["JOB_NAMES"])]
assert all(values), values
print("a visible-marker in the console")
with context:
    context.log_result("shown", "visible-marker")
    for number, value in enumerate(values):
        print(value, repr(value), json.dumps(value), base64.b64encode(value.encode()).decode())
        half = len(value) // 2
        for part in (value[:half], value[half:]):
            sys.stdout.write(part)
            sys.stdout.flush()
            time.sleep(0.03)
        for byte in value.encode():
            os.write(2, bytes([byte]))
        subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1])", value], check=True)
        context.logger.info("a line with " + value, secret=value)
        context.logger.error(value)
        context.log_result(f"r{number}", {"nested": [value, {value: value}]})
        context.log_result(value.replace("\\n", " "), 1)
        context.log_metric(f"m{number}", 1.0, labels={"secret": value})
        context.set_label(f"l{number}", value)
        context.set_annotation(f"a{number}", "is " + value)
        context.get_param(f"p{number}", value)
        context.log_artifact(f"doc{number}", body=b"fine", labels={"secret": value}, spec={"note": value}, viewer=value)
        context.set_hostname(value.replace("\\n", " "))
        with context.get_child_context(lr=value) as child:
            child.log_result("x", value)
        context.commit(value)
    context._context.record_console(b"." * 300_000 + b" refused-marker " + values[0].encode(), "stdout")
    raise RuntimeError("with all of them: " + " ".join(values))
"""


UNMASKED = """
from tracker.secrets import store
plain = lambda self, what, **_: what
store.SecretsStore.mask = store.SecretsStore.mask_bytes = store.SecretsStore.masked = store.SecretsStore.clean = plain
store.StreamMasker.feed = plain
"""


def cells(path: Path) -> Iterator[bytes]:
    """What is in a database, unpacked."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        database.text_factory = bytes
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table.decode()}"'):
                for cell in row:
                    if isinstance(cell, bytes):
                        yield zstandard.ZstdDecompressor().decompressobj().decompress(cell) if cell[:4] == b"\x28\xb5\x2f\xfd" else cell
    database.close()


def written(*directories: Path) -> dict[str, bytes]:
    """All that is in the files below these directories, and their names."""
    found: dict[str, bytes] = {}
    for path in (path for directory in directories for path in sorted(directory.rglob("*"))):
        found[f"{path}'s name"] = str(path).encode()
        if path.is_file():
            data = path.read_bytes()
            found[str(path)] = data
            if data.startswith(b"SQLite format 3"):
                found[f"{path} unpacked"] = b"\n".join(cells(path))
            elif path.suffix == ".rejected":
                lines = [json.loads(line) for line in data.splitlines()]
                found[f"{path} unpacked"] = b"\n".join(base64.b64decode(line["event"]) for line in lines)
    return found


@pytest.fixture
def leaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, azure: str) -> dict[str, str]:
    """The environment of a job that has secrets from all kinds of sources, and says them wherever it can."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "file.env").write_text("FROM_FILE = 'canary-file value'\n")
    (tmp_path / "given" / "mounted").mkdir()
    (tmp_path / "given" / "mounted" / "FROM_MOUNT").write_text("canary-mounted\n")
    sources = [
        {"kind": "inline", "source": {"FROM_INLINE": NASTY, "HOOK": json.dumps({"url": "http://127.0.0.1:9/canary-hook-path"})}},
        {"kind": "env", "source": "FROM_ENV"},
        {"kind": "file", "source": str(tmp_path / "given" / "file.env")},
        {"kind": "kubernetes", "source": {"secrets": [], "directory": str(tmp_path / "given" / "mounted")}},
        {"kind": "kubernetes", "source": ["FROM_POD"]},
        {"kind": "vault", "source": {"project": "p", "secrets": ["password"]}},
        {"kind": "azure_vault", "source": {"name": "v", "k8s_secret": "principal", "url": azure, "secrets": ["api-key"]}},
    ]
    hook = {"when": ["error", "running"], "message": "{{ results }} {{ error }}"}
    notifications = [
        {**hook, "name": "h", "kind": "webhook", "secret_params": {"secret": "HOOK"}},
        {**hook, "name": "s", "kind": "slack", "secret_params": {"webhook": "http://127.0.0.1:9/services/canary-slack-path"}},
        {**hook, "name": "a", "kind": "json", "secret_params": {"url": "json://user:canary-apprise-password@127.0.0.1:9/"}},
        {**hook, "name": "c", "kind": "console"},
    ]
    spec = {"secret_sources": sources, "notifications": notifications, "parameters": {"dsn": "postgres://me:canary-mounted@db"}}
    monkeypatch.delenv("AZURE_CLIENT_SECRET", raising=False)
    return {
        **os.environ,
        "JOB_SPEC": json.dumps(spec),
        "JOB_NAMES": json.dumps(["FROM_INLINE", "FROM_ENV", "FROM_FILE", "FROM_MOUNT", "FROM_POD", "password", "api-key", "FROM_OUTSIDE"]),
        "JOB_TMP": str(tmp_path / "state" / "run.json"),
        "FROM_ENV": "canary-environment",
        "FROM_POD": "canary-pod",
        "FROM_OUTSIDE": "canary-outside-of-all-sources",
        "VAULT_ADDR": address,
        "VAULT_TOKEN": "root-token",
        "TRACKER_JOURNALS": str(tmp_path / "state" / "journals"),
    }


def run_job(environment: dict[str, str], uri: str, directory: Path, masking: str = "") -> str:
    """Run the job to its bad end; what it said on stderr beside its console."""
    (directory / "job.py").write_text(JOB.replace("MASKING", masking))
    done = subprocess.run(
        [sys.executable, str(directory / "job.py")], env={**environment, "TRACKER_URI": uri}, capture_output=True, timeout=60, check=False
    )
    assert b"RuntimeError: with all of them" in done.stderr, done.stderr.decode()[-3000:]
    return done.stderr.decode()


def check(found: dict[str, bytes], kinds: list[str]) -> None:
    """No value is anywhere; what is no secret is in each kind of file, so the search does find what is there."""
    for place, data in found.items():
        at = data.find(TOKEN.encode())
        assert at < 0, f"{place}: {data[max(0, at - 60) : at + 60]!r}"
    for kind in kinds:
        assert any(kind in place and b"visible-marker" in data for place, data in found.items()), (kind, sorted(found))


def test_nothing_in_a_directory(leaky: dict[str, str], tmp_path: Path) -> None:
    """A job that records into a directory leaves no value in its log, views, journals, files' names, or its own state file."""
    run_job(leaky, str(tmp_path / "state" / "data"), tmp_path)
    found = written(tmp_path / "state")
    check(found, ["log.db unpacked", "views", "run.json"])
    assert any(b"refused-marker" in data for place, data in found.items() if "rejected" in place)


def test_the_search_would_find_them(leaky: dict[str, str], tmp_path: Path) -> None:
    """If nothing were masked, the same search would find every value that the job has, in the log and in the views."""
    run_job(leaky, str(tmp_path / "state" / "data"), tmp_path, UNMASKED)
    found = written(tmp_path / "state")
    values = ["canary-inline", "canary-environment", "canary-file value", "canary-mounted", "canary-pod", "canary-outside-of-all-sources"]
    for value in [*values, "vault-canary-1", "azure-canary-2"]:
        for kind in ("log.db unpacked", "views", "run.json"):
            assert any(kind in place and value.encode() in data for place, data in found.items()), (value, kind)
    with pytest.raises(AssertionError):
        check(found, [])


def test_nothing_at_a_server(leaky: dict[str, str], tmp_path: Path) -> None:
    """A job that records to a server leaves no value in the server's log, views and messages, nor in what the API answers."""
    (tmp_path / "state").mkdir()
    server = Server(tmp_path / "state" / "data")
    server.start()
    try:
        run_job(leaky, server.uri, tmp_path)
        run = until(lambda: (run := server.run("leaky")) and run["state"] == "error" and run)
        told = until(lambda: len([e for e in server.events("leaky") if e["event"]["type"] == "notification.sent"]) == 8)
        assert told
        asked = {
            path: server.bytes(path) for path in ("/v1/projects/p/runs/leaky", "/v1/projects/p/runs/leaky/log", "/v1/projects/p/artifacts")
        }
    finally:
        assert server.process is not None
        server.process.terminate()
        server.process.wait(15)
    found = written(tmp_path / "state")
    check({**found, **asked, "events": json.dumps(run).encode()}, ["log.db unpacked", "views", "run.json", "runs/leaky/log"])
    assert "***" in run["error"]
