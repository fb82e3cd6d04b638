"""Secrets in an Azure key vault, read with azure-keyvault-secrets.

The source is `{"name": <vault>, "k8s_secret": <mounted secret>, "secrets": [...]}`; an empty list means all that are enabled. The
mounted secret is a directory (below `AZURE_SECRETS_DIR`, or `/mnt/secrets`, unless it is an absolute path) with the files `tenant_id`,
`client_id` and `secret`: the service principal that may read the vault. Without one Azure's own ways are tried: the environment
(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET), then the identity of the machine. `url` stands for a vault of another cloud.
"""

import os
import re
from pathlib import Path
from typing import Any

from tracker.errors import InvalidRequest, NotFound, Unavailable
from tracker.secrets.asked import Values, needed, structure, wanted
from tracker.secrets.kubernetes import read_mounted

KNOWN = frozenset({"name", "k8s_secret", "secrets", "url"})
PRINCIPAL = ["tenant_id", "client_id", "secret"]
NAME = re.compile(r"[A-Za-z0-9-]{1,127}")
TIMEOUT = 10  # seconds for one answer of Azure


def read_azure(source: Any) -> Values:
    """The names and values. Raises InvalidRequest, NotFound, and Unavailable when Azure does not answer or does not let us in."""
    what = "the source of azure_vault secrets"
    asked = wanted(structure(source, f"{what} is a dict with name, k8s_secret and secrets", dict), what, KNOWN)
    name, url = str(asked.get("name") or ""), str(asked.get("url") or "")
    if not NAME.fullmatch(name):
        raise InvalidRequest(f"{what} needs the name of a vault, not {name!r}", field="source")
    try:
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
        from azure.keyvault.secrets import SecretClient
    except ImportError:
        raise needed("azure-keyvault-secrets and azure-identity", "azure") from None
    where = f"the Azure key vault {name!r}"
    try:
        with (
            _credential(str(asked.get("k8s_secret") or "")) as credential,
            SecretClient(url or f"https://{name}.vault.azure.net", credential, retry_total=1, connection_timeout=TIMEOUT) as client,
        ):
            names = asked["secrets"] or [p.name for p in client.list_properties_of_secrets() if p.name and p.enabled is not False]
            return {secret: client.get_secret(secret).value or "" for secret in names}
    except ResourceNotFoundError as error:
        gone = re.search(r"/secrets/([^/?]+)", str(getattr(getattr(error.response, "request", None), "url", "")))
        raise NotFound(f"{where} has no secret {gone[1] if gone else 'of these'!r}", field="source") from None
    except ClientAuthenticationError:
        raise InvalidRequest(f"{where} does not let this service principal in", field="source") from None
    except HttpResponseError as error:
        raise Unavailable(f"{where} answered with status {error.status_code}") from None
    except AzureError as error:
        raise Unavailable(f"{where} cannot be read: {type(error).__name__}") from None


def _credential(mounted: str) -> Any:
    from azure.identity import ClientSecretCredential, DefaultAzureCredential

    foreign = bool(os.environ.get("AZURE_AUTHORITY_HOST"))  # another cloud's directory is not in the public one's list
    if not mounted:
        return DefaultAzureCredential(disable_instance_discovery=foreign)
    directory = Path(os.environ.get("AZURE_SECRETS_DIR") or "/mnt/secrets") / mounted
    files = read_mounted(directory, PRINCIPAL)
    tenant, client, secret = (str(files[name]) for name in PRINCIPAL)
    return ClientSecretCredential(tenant, client, secret, disable_instance_discovery=foreign)
