"""Where secrets come from: one function for each kind of source, from what the task says of it to names and values.

A name that the environment does not have is left out, as it always was; a file, a vault or a vault's name that is not there is an error,
which names the thing and never a value.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tracker.errors import InvalidRequest, NotFound
from tracker.secrets.asked import Values, names_of, structure

MAX_FILE = 1024 * 1024  # bytes


def read(kind: str, source: Any) -> Values:
    """The names and values of a source. Raises InvalidRequest, NotFound, and Unavailable when a vault does not answer."""
    reader = READERS.get(kind)
    if reader is None:
        raise InvalidRequest(f"there is no kind of secrets {kind!r}: use one of {', '.join(READERS)}", field="kind")
    return reader(source)


def split(text: str) -> tuple[str, str]:
    """Kind and source of a text like `file=secrets.txt` or `env=A,B`."""
    kind, equals, source = text.partition("=")
    if not equals or not source.strip():
        raise InvalidRequest("a source of secrets in one text is like file=<path> or env=NAME1,NAME2", field="secrets")
    return kind.strip(), source.strip()


def _inline(source: Any) -> Values:
    return dict(structure(source, "inline secrets are a dict of names and values", Mapping))


def _env(source: Any) -> Values:
    return {name: os.environ[name] for name in names_of(source, "the source of env secrets") if os.environ.get(name)}


def _file(source: Any) -> Values:
    if not isinstance(source, (str, os.PathLike)) or not str(source) or "\x00" in str(source):
        raise InvalidRequest("the source of file secrets is a path", field="source")
    path = Path(source).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise NotFound(f"the file of secrets {str(path)!r} is not there", field="source") from None
    except OSError as error:
        raise InvalidRequest(f"the file of secrets {str(path)!r} cannot be read: {error.strerror or error}", field="source") from None
    if len(data) > MAX_FILE:
        raise InvalidRequest(f"the file of secrets {str(path)!r} has more than {MAX_FILE} bytes", field="source")
    try:
        return parse_lines(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError:
        raise InvalidRequest(f"the file of secrets {str(path)!r} is not UTF-8 text", field="source") from None


def parse_lines(text: str, path: str) -> Values:
    """Names and values from lines `NAME=VALUE`: blanks around both go, a value may stand in quotes, `#` begins a comment line."""
    values: Values = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, equals, value = entry.removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name:
            raise InvalidRequest(f"line {number} of {path!r} is not NAME=VALUE", field="source")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name] = value
    return values


def _vault(source: Any) -> Values:
    from tracker.secrets.vault import read_vault

    return read_vault(source)


def _kubernetes(source: Any) -> Values:
    from tracker.secrets.kubernetes import read_kubernetes

    return read_kubernetes(source)


def _azure_vault(source: Any) -> Values:
    from tracker.secrets.azure import read_azure

    return read_azure(source)


READERS: dict[str, Callable[[Any], Values]] = {
    "inline": _inline,
    "env": _env,
    "file": _file,
    "vault": _vault,
    "kubernetes": _kubernetes,
    "azure_vault": _azure_vault,
}
