"""Every choice a person can make about a process, in one frozen struct. The only module that reads variables of ours.

A target says where runs are recorded: a data directory (this process opens it, or leaves journals for the one that holds it), or a server.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from tracker.errors import InvalidRequest

DEFAULT_URI = "./tracker-data"
DEFAULT_PORT = 8137


_HOST_PORT = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}/?")


class Target(msgspec.Struct, frozen=True):
    """Where runs are recorded. `uri` is canonical: an absolute path, or scheme://host[:port][/base] without a trailing slash."""

    kind: Literal["directory", "http"]
    uri: str

    @property
    def path(self) -> Path:
        """The data directory of a "directory" target."""
        return Path(self.uri)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What this process was told. Times are seconds, sizes are bytes."""

    uri: str = DEFAULT_URI  # TRACKER_URI: where the SDK and the CLI record and read
    token: str = ""  # TRACKER_TOKEN: bearer token sent to a server
    journals: Path = Path("tracker-journals")  # TRACKER_JOURNALS: journals of jobs that record to a server
    data: Path = Path(DEFAULT_URI)  # TRACKER_DATA: the directory `serve` opens
    host: str = "127.0.0.1"  # TRACKER_HOST
    port: int = DEFAULT_PORT  # TRACKER_PORT; 0 takes any free one
    hosts: tuple[str, ...] = ()  # TRACKER_ALLOWED_HOSTS: names beside the loopback ones that requests may be addressed to
    open_access: bool = False  # TRACKER_OPEN_ACCESS: serve beyond loopback without tokens

    patience: float = 10.0  # TRACKER_PATIENCE: how long commit, and the end of a job, wait for a target that may still answer
    lost_after: float = 60.0  # TRACKER_LOST_AFTER: no sign of a running run for this long marks it lost
    drain: float = 10.0  # how long a stopping server finishes what it has begun
    read_wait: float = 5.0  # how long a read waits for the view to reach its min_offset
    search_time: float = 5.0  # how long a search may take
    header_timeout: float = 10.0
    idle_timeout: float = 75.0
    body_grace: float = 10.0  # after it a body must come with at least 1 KiB/s
    stall_timeout: float = 30.0  # a client that reads nothing for this long is dropped
    keep_alive: float = 15.0  # a silent stream says it is alive this often
    connections: int = 2000
    connections_per_peer: int = 1000

    max_body: int = 8 * 1024 * 1024
    max_events: int = 20_000  # in one append
    max_blob: int = 64 * 1024**3

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """What the environment says. Raises InvalidRequest naming the variable that makes no sense."""
        env = os.environ if env is None else env
        uri = env.get("TRACKER_URI") or DEFAULT_URI
        state = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".local" / "state")
        target = parse_target(uri)
        return cls(
            uri=uri,
            token=env.get("TRACKER_TOKEN", ""),
            journals=Path(env.get("TRACKER_JOURNALS") or Path(state) / "run-tracker" / "journals"),
            data=Path(env.get("TRACKER_DATA") or (target.uri if target.kind == "directory" else DEFAULT_URI)),
            host=env.get("TRACKER_HOST") or "127.0.0.1",
            port=int(_number(env, "TRACKER_PORT", DEFAULT_PORT)),
            hosts=tuple(name.strip() for name in env.get("TRACKER_ALLOWED_HOSTS", "").split(",") if name.strip()),
            open_access=env.get("TRACKER_OPEN_ACCESS", "").lower() in ("1", "true", "yes"),
            patience=_number(env, "TRACKER_PATIENCE", 10.0),
            lost_after=_number(env, "TRACKER_LOST_AFTER", 60.0),
        )


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The run that was prepared for this process by whoever started it."""

    configuration: str = ""  # TRACKER_EXEC_CONFIG: a run as JSON, of metadata, spec and status
    secrets: dict[str, str | list[str]] = {}  # TRACKER_EXEC_SECRETS: names and values as JSON; they leave the environment when read
    pipe: str = ""  # TRACKER_EXEC_PIPE: where to tell whoever started this process what it hides
    console_kept: bool = False  # TRACKER_EXEC_CONSOLE=kept: whoever started this process records what it prints

    @classmethod
    def from_env(cls) -> "Execution":
        """What the environment says. Raises InvalidRequest for secrets that are no JSON object of texts."""
        configuration, secrets = os.environ.get("TRACKER_EXEC_CONFIG", ""), os.environ.pop("TRACKER_EXEC_SECRETS", "")
        kept = os.environ.get("TRACKER_EXEC_CONSOLE", "") == "kept"
        try:
            known = msgspec.json.decode(secrets, type=dict[str, str | list[str]]) if secrets else {}
            return cls(configuration=configuration, secrets=known, console_kept=kept, pipe=os.environ.get("TRACKER_EXEC_PIPE", ""))
        except msgspec.DecodeError:
            raise InvalidRequest("TRACKER_EXEC_SECRETS is not a JSON object of names and texts", field="TRACKER_EXEC_SECRETS") from None


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        raise InvalidRequest(f"{name}={text!r} is not a number", field=name) from None


def parse_target(uri: str) -> Target:
    """A directory (a path or file:///path) or a server (http:// or https://). Raises InvalidRequest."""
    scheme, separator, _ = uri.partition("://")
    if not separator:
        if not uri or "\x00" in uri:
            raise InvalidRequest("the tracking URI is empty or holds a NUL: give a directory or an http:// URL", field="uri")
        if _HOST_PORT.fullmatch(uri):
            raise InvalidRequest(f"is {uri!r} a server? then write http://{uri}; a directory of this name is ./{uri}", field="uri")
        return Target("directory", str(Path(uri).expanduser().absolute()))
    if scheme.lower() == "file":
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise InvalidRequest(f"{uri!r} names no directory of this machine: write file:///path", field="uri")
        return Target("directory", unquote(parts.path))
    return _server(uri, scheme.lower())


def _server(uri: str, scheme: str) -> Target:
    if scheme not in ("http", "https"):
        raise InvalidRequest(f"the tracking URI {uri!r} has scheme {scheme!r}: use a directory, http:// or https://", field="uri")
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f"the tracking URI does not parse: {error}", field="uri") from None
    if parts.username or parts.password:
        raise InvalidRequest("the tracking URI must not hold a password: put a token into TRACKER_TOKEN", field="uri")
    if not host or parts.query or parts.fragment:
        raise InvalidRequest("the tracking URI must be like http://host:port", field="uri")
    name = f"[{host}]" if ":" in host else host
    return Target("http", f"{scheme}://{name}{f':{port}' if port else ''}{parts.path.rstrip('/')}")
