"""Secrets from HashiCorp Vault and from Azure key vaults, over real sockets, with the clients' own libraries."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from tests.secrets.conftest import Answer, answering
from tracker.errors import InvalidRequest, NotFound, Unavailable
from tracker.secrets.store import SecretsStore

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


def values(kind: str, source: Any) -> dict[str, str]:
    """What a source gives."""
    secrets = SecretsStore()
    secrets.add_source(kind, source)
    return dict(secrets.items())


def test_vault_with_a_token(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's entry, the shared one, or any other are read with the token; names choose, an empty list is all."""
    monkeypatch.setenv("VAULT_ADDR", address)
    monkeypatch.setenv("VAULT_TOKEN", "root-token")
    assert values("vault", {"project": "p", "secrets": ["password"]}) == {"password": "vault-canary-1"}
    assert values("vault", {"project": "p", "secrets": []}) == {"user": "me", "password": "vault-canary-1"}
    assert values("vault", []) == {"shared": "vault-canary-2"}
    assert values("vault", {"path": "team/db", "mount": "kv"}) == {"dsn": "vault-canary-3"}


def test_vault_from_a_pod(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a token the pod's service account opens the vault in its role."""
    (tmp_path / "token").write_text("pod-token\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_ADDR", address)
    monkeypatch.setenv("VAULT_ROLE", "reader")
    monkeypatch.setenv("VAULT_K8S_TOKEN_FILE", str(tmp_path / "token"))
    assert values("vault", ["shared"]) == {"shared": "vault-canary-2"}
    monkeypatch.setenv("VAULT_K8S_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidRequest, match="service account"):
        values("vault", ["shared"])


@pytest.mark.parametrize(
    ("source", "token", "error", "said"),
    [
        ({"project": "q"}, "root-token", NotFound, "mlrun/projects/q"),
        ({"project": "p", "secrets": ["nothing"]}, "root-token", NotFound, "'nothing'"),
        ({"project": "p"}, "wrong-token", InvalidRequest, "VAULT_TOKEN"),
        ({"path": "broken"}, "root-token", Unavailable, "InternalServerError"),
        ({"path": "a", "url": "http://127.0.0.1:9"}, "root-token", Unavailable, "127.0.0.1:9"),
    ],
)
def test_vault_that_does_not_give(
    source: Any, token: str, error: type[Exception], said: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a vault does not have, refuses or fails at is a clear error without values or tokens."""
    monkeypatch.setenv("VAULT_ADDR", address)
    monkeypatch.setenv("VAULT_TOKEN", token)
    with pytest.raises(error, match=said) as caught:
        values("vault", source)
    assert "canary" not in str(caught.value)
    assert token not in str(caught.value)


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
    import ssl

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


def test_azure_vault(azure: str) -> None:
    """The service principal of the mounted secret reads the names, or all that are enabled."""
    source = {"name": "my-vault", "k8s_secret": "principal", "url": azure}
    assert values("azure_vault", {**source, "secrets": ["api-key"]}) == {"api-key": "azure-canary-2"}
    assert values("azure_vault", {**source, "secrets": []}) == {"db-password": "azure-canary-1", "api-key": "azure-canary-2"}


def test_azure_vault_that_does_not_give(azure: str, tmp_path: Path) -> None:
    """A name that is not there, a principal that is refused or not mounted, and a vault that is away are clear errors without values."""
    source = {"name": "my-vault", "k8s_secret": "principal", "url": azure}
    with pytest.raises(NotFound, match="'nothing'") as caught:
        values("azure_vault", {**source, "secrets": ["nothing"]})
    assert "canary" not in str(caught.value)
    with pytest.raises(Unavailable, match="my-vault"):
        values("azure_vault", {**source, "secrets": ["api-key"], "url": "https://127.0.0.1:9"})
    with pytest.raises(NotFound, match="unmounted"):
        values("azure_vault", {**source, "k8s_secret": "unmounted"})
    (tmp_path / "principal" / "secret").write_text("wrong-canary")
    with pytest.raises(InvalidRequest, match="service principal") as refused:
        values("azure_vault", {**source, "secrets": ["api-key"]})
    assert "canary" not in str(refused.value)
