"""Secrets in HashiCorp Vault: the keys of one entry of a key-value engine (version 2), read with hvac.

The source is a list of names (empty: all of the entry), or a dict: `{"secrets": [...], "project": "p"}` reads the entry
`mlrun/projects/p`, where projects of MLRun have theirs, `user` that of a user, `path` any other; `mount` is the engine, `secret` unless
said. `VAULT_ADDR` says where the vault is. `VAULT_TOKEN` (or `~/.vault-token`) opens it, or else the pod's service account does, in the
role that `VAULT_ROLE` names, with the token that Kubernetes mounts (`VAULT_K8S_TOKEN_FILE` if it is elsewhere).
"""

import os
from pathlib import Path
from typing import Any

from tracker.errors import InvalidRequest, NotFound, Unavailable
from tracker.secrets.asked import Values, chosen, needed, wanted

TIMEOUT = 10  # seconds for one answer of the vault
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
ROOT = "mlrun"


def read_vault(source: Any) -> Values:
    """The names and values. Raises InvalidRequest, NotFound, and Unavailable when the vault does not answer or does not let us in."""
    asked = wanted(source, "the source of vault secrets", frozenset({"secrets", "project", "user", "path", "mount", "url"}))
    path, mount = _path(asked), str(asked.get("mount") or "secret")
    address = str(asked.get("url") or os.environ.get("VAULT_ADDR") or "")
    if not address:
        raise InvalidRequest("where is the vault? set VAULT_ADDR", field="source")
    try:
        import hvac
        import requests
        from hvac.exceptions import Forbidden, InvalidPath, Unauthorized, VaultError
    except ImportError:
        raise needed("hvac", "vault") from None
    where = f"the entry {mount}/{path} of the vault at {address}"
    try:
        client = hvac.Client(url=address, timeout=TIMEOUT)
        try:
            _log_in(client)
            reply = client.secrets.kv.v2.read_secret_version(path=path, mount_point=mount, raise_on_deleted_version=True)
        finally:
            client.adapter.close()
    except InvalidPath:
        raise NotFound(f"{where} is not there", field="source") from None
    except (Forbidden, Unauthorized):
        raise InvalidRequest(f"{where} may not be read: check VAULT_TOKEN or VAULT_ROLE", field="source") from None
    except (VaultError, requests.RequestException) as error:
        raise Unavailable(f"{where} cannot be read: {type(error).__name__}") from None
    return chosen(dict(reply["data"]["data"]), asked["secrets"], where)


def _path(asked: Values) -> str:
    if asked.get("path"):
        return str(asked["path"]).strip("/")
    if asked.get("project"):
        return f"{ROOT}/projects/{asked['project']}"
    return f"{ROOT}/users/{asked['user']}" if asked.get("user") else ROOT


def _log_in(client: Any) -> None:
    role = os.environ.get("VAULT_ROLE", "")
    if client.token or not role:
        return
    file = Path(os.environ.get("VAULT_K8S_TOKEN_FILE") or SERVICE_ACCOUNT)
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise InvalidRequest(f"the service account's token {str(file)!r} cannot be read: {error.strerror}", field="source") from None
    client.auth.kubernetes.login(role=role, jwt=token)
