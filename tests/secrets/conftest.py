"""Small web servers that answer as vaults do, on loopback, with or without TLS."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

Answer = tuple[int, dict[str, str], Any]
Ask = Callable[[str, str, dict[str, str], Any], Answer]


@contextmanager
def answering(ask: Ask, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers (method, path, headers, body) with (status, headers, JSON); its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, reply = ask(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            data = json.dumps(reply).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _take  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own vaults and proxies leaks into a test."""
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "VAULT_ROLE", "VAULT_K8S_TOKEN_FILE", "VAULT_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


ENTRIES = {
    "secret/data/mlrun/projects/p": {"user": "me", "password": "vault-canary-1"},
    "secret/data/mlrun": {"shared": "vault-canary-2"},
    "kv/data/team/db": {"dsn": "vault-canary-3"},
}


def vault(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """What a vault answers."""
    if (method, path) == ("POST", "/v1/auth/kubernetes/login"):
        if json.loads(body) != {"jwt": "pod-token", "role": "reader"}:
            return 403, {}, {"errors": ["permission denied"]}
        return 200, {}, {"auth": {"client_token": "from-kubernetes"}}
    if headers.get("x-vault-token") not in ("root-token", "from-kubernetes"):
        return 403, {}, {"errors": ["permission denied"]}
    entry = ENTRIES.get(path.removeprefix("/v1/"))
    if "broken" in path:
        return 500, {}, {"errors": ["vault-canary-4"]}
    return (200, {}, {"data": {"data": entry, "metadata": {"version": 1}}}) if entry else (404, {}, {"errors": []})


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the vault is."""
    with answering(vault) as port:
        yield f"http://127.0.0.1:{port}"


class Azure:
    """What Azure's directory and a key vault answer, at one address."""

    def __init__(self) -> None:
        self.port = 0
        self.secrets = {"db-password": "azure-canary-1", "api-key": "azure-canary-2"}

    def __call__(self, _: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer a request."""
        here, path = f"https://127.0.0.1:{self.port}", urlsplit(path).path.rstrip("/")
        if path.endswith("/.well-known/openid-configuration"):
            endpoints = {"token_endpoint": f"{here}/tenant/oauth2/v2.0/token", "authorization_endpoint": f"{here}/tenant/authorize"}
            return 200, {}, {**endpoints, "issuer": f"{here}/tenant/v2.0"}
        if path == "/tenant/oauth2/v2.0/token":
            if parse_qs(body.decode()).get("client_secret") != ["principal-canary"]:
                return 401, {}, {"error": "invalid_client", "error_description": "AADSTS7000215"}
            return 200, {}, {"access_token": "opened", "expires_in": 3600, "token_type": "Bearer"}
        if headers.get("authorization") != "Bearer opened":
            challenge = f'Bearer authorization="{here}/tenant", resource="https://0.0.1:{self.port}"'
            return 401, {"WWW-Authenticate": challenge}, {"error": {"code": "Unauthorized", "message": "no"}}
        if path == "/secrets":
            found = [{"id": f"{here}/secrets/{name}", "attributes": {"enabled": True}} for name in self.secrets]
            off = {"id": f"{here}/secrets/switched-off", "attributes": {"enabled": False}}
            return 200, {}, {"value": [*found, off], "nextLink": None}
        name = path.removeprefix("/secrets/")
        if name not in self.secrets:
            return 404, {}, {"error": {"code": "SecretNotFound", "message": "azure-canary-3"}}
        return 200, {}, {"value": self.secrets[name], "id": f"{here}/secrets/{name}/1", "attributes": {"enabled": True}}


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a key vault behind TLS; the service principal is mounted as the secret `principal`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    (tmp_path / "principal").mkdir()
    for name, text in (("tenant_id", "tenant"), ("client_id", "client"), ("secret", "principal-canary")):
        (tmp_path / "principal" / name).write_text(text)
    here = Azure()
    with answering(here, context) as here.port:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        monkeypatch.setenv("AZURE_SECRETS_DIR", str(tmp_path))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://127.0.0.1:{here.port}")
        yield f"https://127.0.0.1:{here.port}"
