"""Names made to leave the data directory, to end a string, or to look like another: none gets anywhere."""

from pathlib import Path

import pytest

from tests.http.conftest import Client, Serving
from tracker.server.native.routes import TABLE

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("faultless")]

GOOD = {"project": "p", "uid": "u", "key": "k", "digest": "0" * 64, "id": "x"}
ANYWHERE = [  # percent-encoded as sent; refused as any name
    *(
        "..",
        ".",
        "%2e",
        "%2e%2e",
        "%2E%2e",
        ".%2e",
        "%2e.",
        "..%2f",
        "..%2F..%2Fetc%2Fpasswd",
        "%2f",
        "%2fetc%2fpasswd",
        "a%2f..",
        "a%2f..%2fb",
    ),
    *("..%5c", "%5c%5chost%5cshare", "C%3a%5cwindows", "a%5cb", "..%5c..%5cwindows", "%2e%2e%5c"),
    *("%00", "a%00", "a%00b", "%00.png", "a%0a", "a%0d%0aSet-Cookie:x", "%0d%0a", "a%09b", "%1b%5b31m", "%7f", "a%c2%85b", "a%1fb"),
    *("a%e2%80%8bb", "a%e2%80%aeb", "a%e2%80%a8b", "%ef%bb%bfa", "a%e2%81%a0b", "a%e2%80%8db"),
    *("%ff", "%fe%ff", "%c0%af", "%c0%ae%c0%ae%c0%af", "%e0%80%af", "%ed%a0%80", "%f8%80%80%80", "%c3", "%80", "%f4%90%80%80"),
    *("%", "%2", "%zz", "%u002e", "a%", "%%32%65", "", "x" * 1025, "%41" * 1100),
    *("a%2f", "a%2f%2fb", "%2e%2e%2f" * 20, "..%2f" * 20 + "proc%2fself%2fenviron"),
]
NAMES_ONLY = [  # may stand in the key of an artifact, which is only ever a value, and nowhere else
    *(
        "%252e%252e%252f",
        "..;",
        "..%3b",
        "a%20b",
        "a%3bb",
        "a%23b",
        "a%3fb",
        "~",
        "~root",
        "-rf",
        "%2dx",
        "_x",
        ".hidden",
        "a:b",
        "a*",
        "a%22",
        "a%27",
    ),
    *(
        "%ef%bc%8e%ef%bc%8e",
        "%e2%80%a5",
        "%c3%a9",
        "%ef%bc%8f",
        "x" * 129,
        "$HOME",
        "%7b%7b7*7%7d%7d",
        "%24%7bx%7d",
        "a%2fb",
        "a|b",
        "%3cscript%3e",
    ),
]


def tree(directory: Path) -> set[str]:
    """Every file and directory below."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


async def refused(client: Client, method: str, path: str) -> None:
    """The request meets a refusal, whole and of ours."""
    sent = {} if method in ("GET", "HEAD") else {"data": b"{}"}
    status, body = await client.ask(method, path, **sent)
    assert status in (400, 404, 405), (method, path, status, body)
    if method != "HEAD":
        assert "/" not in str(body["error"]["detail"].get("path", "")), body
        assert "Traceback" not in str(body)


async def test_every_path_parameter(serving: Serving, tmp_path: Path) -> None:
    """Every parameter of every path refuses every odd name, however encoded, and no file appears but those of the data directory."""
    async with serving() as client:
        before = tree(tmp_path)
        for route in TABLE.routes:
            for name in GOOD:
                if f"{{{name}}}" not in route.path:
                    continue
                for odd in ANYWHERE if name == "key" else ANYWHERE + NAMES_ONLY:
                    await refused(client, route.method, route.path.format(**{**GOOD, name: odd}))
        assert tree(tmp_path) == before
        assert (await client.get("/v1/info"))["offset"] == 0


async def test_names_in_bodies(serving: Serving, tmp_path: Path) -> None:
    """The same names in the members of bodies are refused, too, and nothing of their requests is recorded."""
    from tracker.server.route import unquote_once

    async with serving() as client:
        before = tree(tmp_path)
        for odd in ANYWHERE + NAMES_ONLY:
            try:
                name = unquote_once(odd, "name")
            except Exception:
                continue
            event = {"type": "run.created", "time": 1}
            logged = {"type": "artifact.logged", "time": 1, "key": name}
            batch = {"stream": "run/p/u", "producer": "x", "sequence": 1, "events": [event]}
            for path, body in (
                ("/v1/projects", {"name": name}),
                ("/v1/heartbeats", {"producer": name, "runs": []}),
                ("/v1/heartbeats", {"producer": "x", "runs": [{"project": name, "uid": "u"}]}),
                ("/v1/heartbeats", {"producer": "x", "runs": [{"project": "p", "uid": name}]}),
                ("/v1/events", {"batches": [{**batch, "producer": name}]}),
                ("/v1/events", {"batches": [{**batch, "stream": f"run/{name}/u"}]}),
                ("/v1/events", {"batches": [{**batch, "stream": f"run/p/{name}"}]}),
                ("/v1/events", {"batches": [{**batch, "stream": f"project/{name}"}]}),
                ("/v1/events", {"batches": [{**batch, "events": [{**logged, "key": "k", "digest": name}]}]} if name else None),
                ("/v1/events", {"batches": [{**batch, "events": [logged]}]} if odd in ANYWHERE else None),
            ):
                if body is not None:
                    status, answer = await client.ask("POST", path, body)
                    assert status == 400, (path, odd, status, answer)
        assert tree(tmp_path) == before
        assert (await client.get("/v1/info"))["offset"] == 0


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "\u202eevil", "\u200b", "x" * 251])
async def test_names_of_tokens_and_labels(serving: Serving, name: str) -> None:
    """What cannot be seen in a terminal cannot be the name of a token, a label or a parameter."""
    async with serving() as client:
        assert (await client.ask("POST", "/v1/tokens", {"role": "admin", "name": name}))[0] == 400
        assert (await client.ask("POST", "/v1/projects", {"name": "p", "labels": {name: "x"}}))[0] == 400
        assert (await client.ask("POST", "/v1/projects", {"name": "p", "parameters": {name: 1}}))[0] == 400
        event = {"type": "metric.logged", "time": 1, "key": "k", "value": 1, "labels": {name: "x"}}
        batch = {"stream": "run/p/u", "producer": "x", "sequence": 1, "events": [event]}
        assert (await client.ask("POST", "/v1/events", {"batches": [batch]}))[0] == 400
        assert (await client.get("/v1/info"))["offset"] == 0
