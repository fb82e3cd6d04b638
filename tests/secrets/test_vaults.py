"""Secrets from HashiCorp Vault and from Azure key vaults, over real sockets, with the clients' own libraries."""

from pathlib import Path
from typing import Any

import pytest

from tracker.errors import InvalidRequest, NotFound, Unavailable
from tracker.secrets.store import SecretsStore


def values(kind: str, source: Any) -> dict[str, str]:
    """What a source gives."""
    secrets = SecretsStore()
    secrets.add_source(kind, source)
    return {name: value for name, value in secrets.handed().items() if name}


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
