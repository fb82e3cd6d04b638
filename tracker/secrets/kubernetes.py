"""Secrets that Kubernetes gives to a pod: as environment variables, or as files mounted in a directory, one for each name.

The environment is looked at unless the source names a directory: `["A", "B"]`, or `{"secrets": [...], "env_prefix": "..."}`, or
`{"secrets": [...], "directory": "/var/run/secrets/mine"}`. An empty list means all there are: of the directory, or of those that have the
prefix. What Kubernetes keeps beside the files (names that begin with a dot) is none of them.
"""

import os
from pathlib import Path
from typing import Any

from tracker.errors import InvalidRequest, NotFound
from tracker.secrets.asked import Values, chosen, wanted

MAX_VALUE = 1024 * 1024  # bytes, as in Kubernetes


def read_kubernetes(source: Any) -> Values:
    """The names and values. Raises NotFound for a directory, or a file of it, that is not there."""
    asked = wanted(source, "the source of kubernetes secrets", frozenset({"secrets", "directory", "env_prefix", "project"}))
    if directory := asked.get("directory"):
        return read_mounted(Path(str(directory)).expanduser(), asked["secrets"])
    prefix = str(asked.get("env_prefix") or "")
    if not asked["secrets"]:
        if not prefix:
            raise InvalidRequest("which of the environment are secrets? name them, or give env_prefix or directory", field="source")
        return {name.removeprefix(prefix): value for name, value in os.environ.items() if name.startswith(prefix) and name != prefix}
    return {name: os.environ[prefix + name] for name in asked["secrets"] if os.environ.get(prefix + name)}


def read_mounted(directory: Path, names: list[str]) -> Values:
    """What the files of a mounted secret hold, by name."""
    for name in names:
        if name.startswith(".") or "/" in name or "\x00" in name:
            raise InvalidRequest(f"{name!r} is no name of a secret's file", field="source")
    try:
        found = {path.name: path for path in directory.iterdir() if not path.name.startswith(".") and path.is_file()}
        paths = chosen(found, names, f"the directory {str(directory)!r}")
        return {name: _read(path) for name, path in paths.items()}
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"the directory of secrets {str(directory)!r} is not there", field="source") from None
    except OSError as error:
        raise InvalidRequest(f"secrets in {str(directory)!r} cannot be read: {error.strerror or error}", field="source") from None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_VALUE + 1)
    if len(data) > MAX_VALUE:
        raise InvalidRequest(f"the secret {path.name!r} has more than {MAX_VALUE} bytes", field="source")
    return data.decode("utf-8", "surrogateescape").removesuffix("\n")
