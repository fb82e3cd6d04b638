"""A data directory can be proved, carried, rebuilt and cleaned from the command line."""

import json
import sqlite3
from pathlib import Path

import anyio
import pytest

from events import types as t
from events.log import open_log
from events.record import New
from events.sqlite import open_sqlite
from tests.cli.conftest import Tracker
from tests.cli.sample import DIGEST
from tracker.errors import Conflict
from tracker.journal import Journal
from tracker.settings import parse_target
from tracker.transport import open_transport

RUN = "digits/aaaa1111"


def answers(output: str) -> dict[str, bool | None]:
    """What `verify --json` says, by question."""
    return {one["question"]: one["holds"] for one in map(json.loads, output.splitlines())}


def test_verify_tells_by_its_exit_code(run: Tracker, data: Path) -> None:
    """0 when all is proved, 1 when a check fails, with the fault named."""
    run("rebuild", "--uri", str(data))
    assert "all that was asked is proved" in run("verify", "--uri", str(data)).stdout
    assert answers(run("verify", "--json", "--uri", str(data)).stdout)["views"] is True
    (data / "blobs" / DIGEST[:2] / DIGEST).write_bytes(b"other")
    page = run("verify", "--uri", str(data), code=1).stdout
    assert "digits/aaaa1111 model" in page
    assert "1 of 8 do not hold" in page


def test_verify_works_beside_a_running_server(run: Tracker, data: Path, server: str) -> None:
    """The directory of a live server is proved; the server itself is answered with where to run it."""
    assert answers(run("verify", "--json", "--uri", str(data)).stdout)["chain"] is True
    assert "run it where they are" in run("verify", "--uri", server, code=2).stderr


def test_a_backup_comes_back_whole(run: Tracker, data: Path, tmp_path: Path) -> None:
    """Export, import into a new directory: the same log, proved; imported once more nothing changes; nothing is overwritten."""
    file, new = str(tmp_path / "backup.ndjson"), str(tmp_path / "new")
    run("export", "--uri", str(data), "-o", file)
    assert "exists" in run("export", "--uri", str(data), "-o", file, code=2).stderr
    assert "restored 3,021 events; the chain is the one" in run("import", file, "--uri", new).stdout
    assert "imported 0 events, 3,021 were here already" in run("import", file, "--uri", new).stdout
    assert RUN in run("runs", "--uri", new).stdout


def test_bytes_of_artifacts_travel_beside_an_export(run: Tracker, data: Path, tmp_path: Path) -> None:
    """Without them, import and verify say what is missing and how it comes in; with --blobs it comes, and verify holds."""
    file, blobs, new = str(tmp_path / "one.ndjson"), tmp_path / "far" / "blobs", str(tmp_path / "new")
    assert "copied the bytes of 1 artifact" in run("export", "--uri", str(data), "-o", file, "--run", RUN, "--blobs", str(blobs)).stderr
    assert "bytes of 1 artifact are not here yet: import again with --blobs" in run("import", file, "--uri", new).stderr
    page = run("verify", "--uri", new, code=1).stdout
    assert "of 1 file, 1 missing; `tracker import --blobs` adds what is missing" in page
    done = json.loads(run("import", file, "--uri", new, "--blobs", str(blobs), "--json").stdout)
    assert (done["events"], done["blobs"]["copied"], done["blobs_absent"]) == (0, 1, 0)
    assert answers(run("verify", "--json", "--uri", new).stdout)["artifacts"] is True
    run("import", file, "--uri", str(tmp_path / "direct"), "--blobs", str(data / "blobs"))
    assert answers(run("verify", "--json", "--uri", str(tmp_path / "direct")).stdout)["artifacts"] is True


def test_changed_bytes_are_not_carried(run: Tracker, data: Path, tmp_path: Path) -> None:
    """A blob that has other bytes, or is gone, is named and not copied; the exit code tells."""
    blob = data / "blobs" / DIGEST[:2] / DIGEST
    blob.write_bytes(b"other")
    file, kept = str(tmp_path / "all.ndjson"), tmp_path / "kept"
    assert f"{DIGEST} holds other bytes" in run("export", "--uri", str(data), "-o", file, "--blobs", str(kept), code=1).stderr
    assert not [path for path in kept.rglob("*") if path.is_file()]
    blob.unlink()
    assert f"{DIGEST} is missing" in run("import", file, "--uri", str(tmp_path / "new"), "--blobs", str(data / "blobs"), code=1).stderr


def test_a_cut_export_is_refused(run: Tracker, data: Path, tmp_path: Path) -> None:
    """A backup that lost its end, read from a pipe, is refused with the line where it stops."""
    whole = run("export", "--uri", str(data)).stdout_bytes
    error = run("import", "-", "--uri", str(tmp_path / "new"), input=whole[: len(whole) // 2], code=1).stderr
    assert "line " in error
    assert "no export" in run("import", "-", "--uri", str(tmp_path / "new"), input=b"{}\n", code=1).stderr


def test_one_run_can_be_taken_elsewhere(run: Tracker, data: Path, tmp_path: Path) -> None:
    """A run exported alone arrives alone."""
    one = run("export", "--uri", str(data), "--run", RUN).stdout_bytes
    run("import", "-", "--uri", str(tmp_path / "new"), input=one)
    page = run("runs", "--uri", str(tmp_path / "new")).stdout
    assert RUN in page
    assert "bbbb2222" not in page
    assert "no run digits/x" in run("export", "--uri", str(data), "--run", "digits/x", code=2).stderr


def test_a_rebuild_gives_the_views_back(run: Tracker, data: Path) -> None:
    """Views somebody changed are found out by verify, and made right by a rebuild."""
    run("rebuild", "--uri", str(data))
    (views,) = data.glob("views-*.db")
    with sqlite3.connect(views) as db:
        db.execute("UPDATE runs SET state = 'lost'")
    db.close()
    assert answers(run("verify", "--json", "--uri", str(data), code=1).stdout)["views"] is False
    assert "offset 3,021" in run("rebuild", "--uri", str(data)).stdout
    assert answers(run("verify", "--json", "--uri", str(data)).stdout)["views"] is True


def test_a_directory_in_use_is_not_written(run: Tracker, data: Path, server: str) -> None:
    """What needs the directory for itself says who has it, and changes nothing."""
    assert server
    for command in (["rebuild"], ["redact", "3", "--reason", "x", "--yes"], ["import", "-"]):
        whole = run("export", "--uri", str(data)).stdout_bytes
        assert "is being written by process" in run(*command, "--uri", str(data), code=1, input=whole).stderr


def test_redaction_removes_the_content_and_says_so(run: Tracker, data: Path) -> None:
    """The bytes of one event are gone from the log and the views, its place stays, and verify still proves the rest."""
    run("rebuild", "--uri", str(data))
    assert "--yes" in run("redact", "3", "--reason", "secret", "--uri", str(data), code=2).output
    assert "removed; the record of it is at offset 3022" in run("redact", "3", "--reason", "secret", "--yes", "--uri", str(data)).stdout
    assert not any(b"epoch 2" in path.read_bytes() for path in data.glob("*") if path.is_file())
    run("rebuild", "--uri", str(data))
    assert "1 event redacted" in run("verify", "--uri", str(data)).stdout
    assert run("tail", RUN, "--uri", str(data)).stdout_bytes == b""
    assert "redacted (was console.written)" in run("replay", RUN, "--limit", "3", "--uri", str(data)).stdout
    assert "no event at offset 9999" in run("redact", "9999", "--reason", "x", "--uri", str(data), code=2).stderr


def test_a_purge_empties_the_trash_and_says_so(run: Tracker, data: Path) -> None:
    """A run in the trash loses all it held, with a receipt; verify proves the rest; it cannot be restored, nor purged twice."""
    words = ("purge", RUN, "--reason", "must go", "--uri", str(data))
    assert "is not in the trash: delete it first" in run(*words, "--yes", code=1).stderr
    anyio.run(ask, data, "DELETE", f"/v1/projects/digits/runs/{RUN.partition('/')[2]}")
    assert "--yes" in run(*words, code=2).output
    page = run(*words, "--yes").stdout
    assert "3,018 events" in page
    assert "1 artifact file" in page
    assert not any(path.is_file() for path in (data / "blobs").rglob("*"))
    assert not list(data.glob("views-*"))
    run("rebuild", "--uri", str(data))
    answer = answers(run("verify", "--json", "--uri", str(data)).stdout)
    assert {name for name, holds in answer.items() if not holds} == {"anchor"}
    assert "purged: must go (3,018 events, 1 artifact file, " in run("replay", RUN, "--uri", str(data)).stdout
    assert "purged" in run("history", RUN, "--uri", str(data)).stdout
    whole, new = run("export", "--uri", str(data)).stdout_bytes, str(data.parent / "new")
    assert "the chain is the one" in run("import", "-", "--uri", new, input=whole).stdout
    assert answers(run("verify", "--json", "--uri", new).stdout)["redactions"] is True
    assert "purged since" in run("show", RUN, "--uri", str(data)).stdout
    with pytest.raises(Conflict, match="was purged: nothing is left to restore") as refused:
        anyio.run(ask, data, "POST", f"/v1/projects/{RUN.replace('/', '/runs/')}/restore")
    assert refused.value.status == 409
    assert "was purged before: nothing of it is left" in run(*words, "--yes", code=1).stderr
    assert "there is no run digits/none" in run("purge", "digits/none", "--reason", "x", "--yes", "--uri", str(data), code=1).stderr


def test_nothing_is_purged_before_journals_are_delivered(run: Tracker, data: Path) -> None:
    """What a job left undelivered may name the same files: it is delivered first."""
    Journal(data / "journals", str(data), "dead").abandon()
    assert "`tracker sync` delivers them" in run("purge", RUN, "--reason", "x", "--yes", "--uri", str(data), code=1).stderr


async def ask(data: Path, method: str, path: str) -> None:
    """Ask the API of a directory."""
    async with open_transport(parse_target(str(data))) as transport:
        await transport.ask(method, path)


def test_a_checkpoint_kept_elsewhere_anchors_the_log(run: Tracker, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signed checkpoint proves later that the log was not rewritten; one of another log or another signer does not."""
    monkeypatch.chdir(tmp_path)
    run("checkpoint", "key", "ada")
    run("checkpoint", "key", "eve")
    assert (tmp_path / "ada.key").stat().st_mode & 0o777 == 0o600
    note = tmp_path / "sunday.note"
    note.write_bytes(run("checkpoint", "sign", "--key", "ada.key", "--uri", str(data)).stdout_bytes)
    given = ["--checkpoint", str(note), "--key"]
    assert answers(run("verify", "--json", "--uri", str(data), *given, "ada.pub").stdout)["anchor"] is True
    assert "not signed by eve" in run("verify", "--uri", str(data), *given, "eve.pub", code=1).stderr
    assert "go together" in run("verify", "--uri", str(data), *given[:2], code=2).output

    async def write_another() -> None:
        (tmp_path / "other").mkdir()
        async with open_sqlite(tmp_path / "other" / "log.db", write=True) as store, open_log(store) as log:
            await log.append(New(stream="run/p/u", producer="p", sequence=1, events=[t.RunCreated(time=1, name="x")]))

    anyio.run(write_another)
    assert "anchor" in run("verify", "--uri", str(tmp_path / "other"), *given, "ada.pub", code=1).stdout


def test_tokens_are_shown_once_and_can_be_revoked(run: Tracker, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is printed when made and never again; the list says who may what; a revoked one is marked."""
    assert "there are no tokens" in run("token", "list", "--uri", str(data)).stderr
    made = json.loads(run("token", "create", "--role", "admin", "--name", "ada", "--days", "9", "--json", "--uri", str(data)).stdout)
    monkeypatch.setenv("TRACKER_TOKEN", made["token"])
    page = run("token", "list", "--uri", str(data)).stdout
    assert "ada" in page
    assert "valid" in page
    assert made["token"].partition(".")[2] not in page
    run("token", "revoke", made["id"], "--uri", str(data))
    assert "revoked" in run("token", "list", "--uri", str(data)).stdout
    assert "no token" in run("token", "revoke", "nope", "--uri", str(data), code=1).stderr


def test_who_needs_a_token_is_told_where_it_goes(run: Tracker, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first token on a server wants one; without it, or with a wrong one, the command says what to do in one sentence."""
    token = json.loads(run("token", "create", "--role", "viewer", "--json", "--uri", server).stdout)["token"]
    assert "put one into TRACKER_TOKEN; `tracker token create` makes tokens" in run("runs", "--uri", server, code=1).stderr
    monkeypatch.setenv("TRACKER_TOKEN", "wrong")
    assert "the token in TRACKER_TOKEN is not valid" in run("runs", "--uri", server, code=1).stderr
    monkeypatch.setenv("TRACKER_TOKEN", token)
    assert RUN in run("runs", "--uri", server).stdout


def test_what_a_dead_job_left_is_delivered_once(run: Tracker, data: Path, server: str, tmp_path: Path) -> None:
    """A journal of a job that died is delivered to the server it was meant for; afterwards there is nothing left to do."""
    del data
    journals = tmp_path / "journals"
    journals.mkdir()
    journal = Journal(journals, server, "dead")
    from events.codec import encode_event

    journal.append(b"run/digits/cccc3333", 1, encode_event(t.RunCreated(time=1, name="left behind")))
    journal.abandon()
    assert "1" in run("sync", str(journals), "--uri", server).stdout
    assert "nothing to deliver" in run("sync", str(journals), "--uri", server).stdout
    assert "left behind" in run("runs", "--uri", server).stdout
