"""Artifacts as the API shows them: names in the project, files, updates, lineage; and runs that are told to stop."""

import json
from hashlib import sha256
from typing import Any

import pytest

from tests.http.conftest import Client, Serving

pytestmark = pytest.mark.anyio
_P = "/v1/projects/p"


def digest(content: bytes) -> str:
    """The sha256 hex."""
    return sha256(content).hexdigest()


async def logged(client: Client, uid: str, *events: dict[str, Any], after: int = 0) -> int:
    """Record artifacts of a run; the log's offset."""
    shaped = [{"type": "artifact.logged", "iteration": 0, **event} for event in events]
    return await client.record(f"run/p/{uid}", shaped, after + 1, producer=f"job-{uid}")


async def test_an_artifact_has_a_name_in_its_project(serving: Serving) -> None:
    """Versions and tags go by the name it is registered under; what is not registered is known to its run alone; `uid` and `iteration`
    find what a run made."""
    async with serving() as client:
        await logged(client, "a", {"key": "model", "db_key": "best-model", "tag_name": "v1"}, {"key": "scratch", "registered": False})
        await logged(client, "b", {"key": "best-model", "iteration": 3}, {"key": "model", "iteration": 2})
        at = f"min_offset={await logged(client, 'b', {'key': 'best-model', 'iteration': 4}, after=2)}"

        async def which(path: str) -> tuple[str, int, int]:
            found = await client.get(f"{_P}/{path}{'&' if '?' in path else '?'}{at}")
            return found["uid"], found["iteration"], found["version"]

        assert await which("artifacts/best-model") == ("b", 4, 3)
        assert await which("artifacts/best-model?tag=v1") == ("a", 0, 1)
        assert await which("artifacts/best-model?uid=a") == await which("artifacts/best-model?uid=a&tag=latest") == ("a", 0, 1)
        assert await which("artifacts/best-model?iteration=3") == await which("artifacts/best-model?uid=b&iteration=3") == ("b", 3, 2)
        assert await which("artifacts/model") == ("b", 2, 1)
        assert await which("artifacts/scratch?uid=a") == await which("runs/a/artifacts/scratch") == ("a", 0, 0)
        assert await which("runs/a/artifacts/model") == ("a", 0, 1)
        names = [(one["db_key"], one["version"]) for one in (await client.get(f"{_P}/artifacts"))["artifacts"]]
        assert names == [("best-model", 3), ("model", 1), ("best-model", 2), ("best-model", 1)]
        for path in ("scratch", "best-model?version=9", "best-model?uid=b&tag=v1", "best-model?version=1&iteration=3", "model?uid=a"):
            status, answer = await client.ask("GET", f"{_P}/artifacts/{path}")
            assert status == 404, path
            assert path.partition("?")[0] in answer["error"]["message"]


async def test_what_is_said_of_an_artifact_changes_and_its_bytes_do_not(serving: Serving) -> None:
    """An update changes format, viewer, labels and spec of the version its run logged last; earlier versions stay as they were."""
    async with serving() as client:
        made = {"key": "k", "digest": digest(b"x"), "format": "csv", "labels": {"a": "1"}}
        await logged(client, "a", made, made)
        change = {"type": "artifact.updated", "key": "k", "labels": {"b": "2"}, "spec": {"rows": 3}, "time": 99}
        at = f"min_offset={await client.record('run/p/a', [change], 3, producer='job-a')}"
        found = await client.get(f"{_P}/artifacts/k?{at}")
        assert (found["version"], found["labels"], found["spec"], found["format"]) == (2, {"b": "2"}, {"rows": 3}, "csv")
        assert (found["digest"], found["updated_at"]) == (digest(b"x"), 99)
        assert (await client.get(f"{_P}/artifacts/k?version=1"))["labels"] == {"a": "1"}


async def test_the_files_of_an_artifact(serving: Serving) -> None:
    """Each file of an artifact of several has its bytes under its path; without a path its list is there; bad paths are refused."""
    async with serving() as client:
        one, two = b"weights" * 1000, b"{}"
        files = [{"path": "sub/w.bin", "digest": digest(one), "size": len(one)}, {"path": "c.json", "digest": digest(two), "size": 2}]
        listing = json.dumps(files).encode()
        for content in (one, two, listing):
            assert (await client.ask("PUT", f"/v1/blobs/{digest(content)}", data=content))[0] == 200
        offset = await logged(client, "a", {"key": "net", "digest": digest(listing), "files": files})
        found = await client.get(f"{_P}/artifacts/net?min_offset={offset}")
        assert found["files"] == files
        for path in (f"{_P}/artifacts/net/content", f"{_P}/runs/a/artifacts/net/content"):
            for query, content in (("", listing), ("?path=sub/w.bin", one), ("?path=c.json", two)):
                async with client.session.get(client.server.url + path + query) as reply:
                    assert (reply.status, await reply.read()) == (200, content)
        status, answer = await client.ask("GET", f"{_P}/artifacts/net/content?path=../c.json")
        assert (status, answer["error"]["detail"]["files"]) == (404, ["sub/w.bin", "c.json"])
        for path in ("/abs", "a/../b", "", "a//b", "a\x00b", "line\nbreak"):
            bad = [{"path": path, "digest": digest(one), "size": 1}]
            body = {"type": "artifact.logged", "time": 1, "key": "k", "files": bad}
            append = {"batches": [{"stream": "run/p/x", "producer": "bad", "sequence": 1, "events": [body]}]}
            status, answer = await client.ask("POST", "/v1/events", append)
            assert (status, answer["error"]["detail"]["field"]) == (400, "batches[0].events[0].files"), path


async def test_lineage(serving: Serving) -> None:
    """What a run read is known with who made it, and what became of an artifact, over runs and projects."""
    async with serving() as client:
        await logged(client, "maker", {"key": "data", "digest": digest(b"d")})
        made: dict[str, Any] = {"type": "artifact.logged", "key": "model"}
        read: dict[str, Any] = {"type": "input.read", "key": "train", "url": "store://artifacts/p/data", "artifact": "p/data", "version": 1}
        await client.record("run/p/user", [read, {**read, "iteration": 2}, read], producer="user")
        await logged(client, "user2", {"key": "before"})
        offset = await client.record("run/p/user", [made, {**read, "key": "late"}], 4, producer="user")
        found = await client.get(f"{_P}/artifacts/data/lineage?min_offset={offset}")
        assert [(one["reader"]["uid"], one["reader"]["iteration"], one["key"], one["count"]) for one in found["read_by"]] == [
            ("user", 0, "train", 2),
            ("user", 2, "train", 1),
            ("user", 0, "late", 1),
        ]
        assert (found["maker"]["uid"], found["made_from"], found["cut"]) == ("maker", [], False)
        found = await client.get(f"{_P}/artifacts/model/lineage")
        assert [(one["artifact"], one["key"], one["maker"]["uid"]) for one in found["made_from"]] == [("p/data", "train", "maker")]
        found = await client.get(f"{_P}/runs/maker/lineage")
        assert [(one["artifact"], one["version"], one["readers"]) for one in found["made"]] == [("p/data", 1, 2)]
        assert (await client.get(f"{_P}/runs/user/lineage?limit=1"))["cut"] is True
        assert (await client.ask("GET", f"{_P}/artifacts/none/lineage"))[0] == 404


async def test_a_run_is_told_to_stop(serving: Serving) -> None:
    """An aborted run or iteration ends with the reason, the job's later words change nothing, and none is aborted twice."""
    async with serving() as client:
        begin: list[dict[str, Any]] = [{"type": "attempt.started", "attempt": "a"}, {"type": "iteration.started", "iteration": 1}]
        await client.record("run/p/u", begin, producer="job")
        status, run = await client.ask("POST", f"{_P}/runs/u/abort", {"iteration": 1, "reason": "too slow"})
        assert (status, run["state"], run["error"], run["iteration"]) == (200, "aborted", "too slow", 1)
        assert (await client.get(f"{_P}/runs/u"))["state"] == "running"
        status, run = await client.ask("POST", f"{_P}/runs/u/abort", {"reason": "enough"})
        assert (status, run["state"], run["error"]) == (200, "aborted", "enough")
        sent = {"type": "notification.sent", "name": "n", "kind": "mail", "state": "aborted", "status": "sent"}
        await client.record("run/p/u", [{"type": "state.changed", "state": "completed"}, sent], 3, producer="job")
        status, answer = await client.ask("POST", f"{_P}/runs/u/abort")
        assert (status, answer["error"]["code"], answer["error"]["detail"]["state"]) == (409, "conflict", "aborted")
        run = await client.get(f"{_P}/runs/u")
        assert (run["state"], run["late"]) == ("aborted", 1)
        assert [(one["name"], one["state"], one["status"], one["count"]) for one in run["notifications"]] == [("n", "aborted", "sent", 1)]
        assert (await client.ask("POST", f"{_P}/runs/nobody/abort"))[0] == 404
