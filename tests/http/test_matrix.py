"""Who may do what, written down once more by hand: a route that is not in this table, or admits others than it says, fails the build."""

from time import time_ns

import anyio
import pytest

from tests.http.conftest import Client, Serving
from tracker.server.native.routes import TABLE

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("faultless")]

VALUES = {"project": "p", "uid": "u", "key": "k", "digest": "0" * 64, "id": "x"}
RUN = "/v1/projects/{project}/runs/{uid}"
MATRIX = {
    "/health": {"GET": "anyone"},
    "/livez": {"GET": "anyone"},
    "/metrics": {"GET": "viewer"},
    "/v1/info": {"GET": "viewer"},
    "/v1/openapi.json": {"GET": "viewer"},
    "/v1/events": {"GET": "viewer", "POST": "writer"},
    "/v1/heartbeats": {"POST": "writer"},
    "/v1/projects": {"GET": "viewer", "POST": "writer"},
    "/v1/projects/{project}": {"GET": "viewer", "PATCH": "writer", "DELETE": "writer"},
    "/v1/projects/{project}/restore": {"POST": "writer"},
    "/v1/projects/{project}/runs": {"GET": "viewer"},
    "/v1/projects/{project}/artifacts": {"GET": "viewer"},
    "/v1/projects/{project}/artifacts/{key}": {"GET": "viewer"},
    "/v1/projects/{project}/artifacts/{key}/content": {"GET": "viewer"},
    "/v1/projects/{project}/artifacts/{key}/lineage": {"GET": "viewer"},
    "/v1/runs": {"GET": "viewer"},
    RUN: {"GET": "viewer", "DELETE": "writer"},
    RUN + "/restore": {"POST": "writer"},
    RUN + "/abort": {"POST": "writer"},
    RUN + "/lineage": {"GET": "viewer"},
    RUN + "/events": {"GET": "viewer"},
    RUN + "/iterations": {"GET": "viewer"},
    RUN + "/metrics": {"GET": "viewer"},
    RUN + "/metrics/history": {"GET": "viewer"},
    RUN + "/metrics/chart": {"GET": "viewer"},
    RUN + "/log": {"GET": "viewer"},
    RUN + "/artifacts": {"GET": "viewer"},
    RUN + "/artifacts/{key}": {"GET": "viewer"},
    RUN + "/artifacts/{key}/content": {"GET": "viewer"},
    "/v1/blobs/{digest}": {"GET": "viewer", "PUT": "writer"},
    "/v1/tokens": {"GET": "admin", "POST": "admin"},
    "/v1/tokens/{id}": {"DELETE": "admin"},
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
RANKS = {"anyone": 0, "viewer": 1, "writer": 2, "admin": 3}
TOKENS = ("none", "viewer", "writer", "admin", "revoked", "expired", "garbage")


def expected(method: str, path: str, token: str) -> set[int] | None:
    """The statuses that a credential must meet; None for any that is not about access."""
    if token in ("revoked", "expired", "garbage"):
        return {401}
    roles = MATRIX[path]
    role = roles.get(method, roles.get("GET") if method == "HEAD" else None)
    if role is None:
        return {405}
    if token == "none":
        return None if role == "anyone" else {401}
    return None if RANKS[token] >= RANKS[role] else {403}


async def tokens_of(client: Client) -> dict[str, dict[str, str]]:
    """The Authorization header of each kind of credential."""

    async def made(role: str, **more: object) -> dict[str, str]:
        status, body = await client.ask("POST", "/v1/tokens", {"role": role, **more}, headers=headers.get("admin", {}))
        assert status == 201, body
        ids[role] = body["id"]
        return {"Authorization": f"Bearer {body['token']}"}

    ids: dict[str, str] = {}
    headers: dict[str, dict[str, str]] = {}
    headers["admin"] = await made("admin")
    headers["expired"] = await made("writer", expires=time_ns() + 50_000_000)
    headers["revoked"] = await made("writer")
    assert (await client.ask("DELETE", f"/v1/tokens/{ids['writer']}", headers=headers["admin"]))[0] == 200
    headers |= {"viewer": await made("viewer"), "writer": await made("writer"), "none": {}, "garbage": {"Authorization": "Bearer 0.0"}}
    with anyio.fail_after(5):
        while (await client.ask("GET", "/v1/info", headers=headers["expired"]))[0] == 200:  # noqa: ASYNC110 - a clock
            await anyio.sleep(0.01)
    return headers


async def test_every_method_of_every_path_for_every_token(serving: Serving) -> None:
    """Eight methods, every path and seven kinds of credentials: each is admitted, refused or unknown exactly as the table says."""
    assert {(route.method, route.path): route.role for route in TABLE.routes} == {
        (method, path): role for path, roles in MATRIX.items() for method, role in roles.items()
    }
    async with serving() as client:
        headers = await tokens_of(client)
        for path in MATRIX:
            for method in METHODS:
                for token in TOKENS:
                    status, _ = await client.ask(method, path.format(**VALUES), headers=headers[token])
                    statuses = expected(method, path, token)
                    if statuses is None:
                        assert status not in (401, 403, 405), (method, path, token, status)
                        assert status < 500, (method, path, token, status)
                    else:
                        assert status in statuses, (method, path, token, status)
