"""What a place wants to know before it lets us in, looked up by the names that its own tools use.

First in the secrets given with the call, then in the run's secrets, which end with the environment. Other options of a scheme can be
given as FSSPEC_<SCHEME>_<OPTION>, which is fsspec's own spelling of them. The values are held, never shown.
"""

import re
from collections.abc import Mapping
from typing import Any

from tracker.errors import InvalidRequest
from tracker.secrets.store import SecretsStore

CONNECT = 10.0  # seconds until a web server has to be there
SILENCE = 60.0  # seconds that it may send nothing; how long all of it takes is the size's affair
_S3: dict[str, tuple[str, ...]] = {
    "key": ("AWS_ACCESS_KEY_ID",),
    "secret": ("AWS_SECRET_ACCESS_KEY",),
    "token": ("AWS_SESSION_TOKEN",),
    "profile": ("AWS_PROFILE",),
    "endpoint_url": ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "client_kwargs.region_name": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
_AZURE: dict[str, tuple[str, ...]] = {
    "connection_string": ("AZURE_STORAGE_CONNECTION_STRING",),
    "account_name": ("AZURE_STORAGE_ACCOUNT_NAME",),
    "account_key": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"),
    "sas_token": ("AZURE_STORAGE_SAS_TOKEN",),
    "tenant_id": ("AZURE_STORAGE_TENANT_ID",),
    "client_id": ("AZURE_STORAGE_CLIENT_ID",),
    "client_secret": ("AZURE_STORAGE_CLIENT_SECRET",),
}
_GOOGLE: dict[str, tuple[str, ...]] = {"token": ("GOOGLE_APPLICATION_CREDENTIALS",), "project": ("GOOGLE_CLOUD_PROJECT",)}
_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "s3": _S3,
    "s3a": _S3,
    "az": _AZURE,
    "abfs": _AZURE,
    "abfss": _AZURE,
    "adl": _AZURE,
    "gs": _GOOGLE,
    "gcs": _GOOGLE,
}

_PLAIN = re.compile(r"REGION|PROFILE|ENDPOINT|PROJECT|ACCOUNT_NAME")  # given with secrets, and none


class Credentials:
    """Options of file systems, from secrets."""

    def __init__(self, given: Mapping[str, Any] | None = None, store: SecretsStore | None = None) -> None:
        if given is not None and not isinstance(given, Mapping):
            raise InvalidRequest(f"secrets must be a dict of names and values, not {type(given).__name__}", field="secrets")
        self._given = {str(name): str(value) for name, value in (given or {}).items()}
        self._store = store if store is not None else SecretsStore()

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self._given))})"

    def get(self, name: str) -> str | None:
        """The value of a name."""
        return self._given.get(name) or self._store.get(name)

    @property
    def hidden(self) -> dict[str, str]:
        """What was given, and must not be seen."""
        return {name: value for name, value in self._given.items() if not _PLAIN.search(name.upper())}

    def mask(self, text: str) -> str:
        """The text without any value."""
        for value in sorted(self.hidden.values(), key=len, reverse=True):
            text = text.replace(value, "***") if len(value) >= 4 else text
        return self._store.mask(text)

    def options(self, scheme: str) -> dict[str, Any]:
        """What fsspec is told for a scheme."""
        options: dict[str, Any] = {}
        for option, names in _NAMES.get(scheme, {}).items():
            value = next((found for name in names if (found := self.get(name))), None)
            outer, _, inner = option.partition(".")
            if value is not None and inner:
                options.setdefault(outer, {})[inner] = value
            elif value is not None:
                options[option] = value
        if scheme in ("http", "https"):
            from aiohttp import ClientTimeout

            options["client_kwargs"] = {"timeout": ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENCE)}
        prefix = f"FSSPEC_{scheme.upper()}_"
        options.update({name.removeprefix(prefix).lower(): value for name, value in self._given.items() if name.startswith(prefix)})
        return options
