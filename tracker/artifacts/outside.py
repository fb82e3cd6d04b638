"""Where an artifact's bytes go besides the tracker's own store: what such a place is called, and how they get there.

A path that names the store (`store://artifacts/<project>/...`, as `artifact_subpath` gives it) is no other place: what follows it becomes
a part of the name people see. Any other path or URL is a place of the user's own. Bytes are put there under their digest, so that a new
version never overwrites an old one; at a place that was named exactly, other bytes are a Conflict.
"""

import hashlib
import re
from pathlib import Path, PurePosixPath

from tracker.connection import Connection
from tracker.dataitem.credentials import Credentials
from tracker.dataitem.files import CHUNK
from tracker.dataitem.item import DataItem
from tracker.dataitem.urls import shown
from tracker.errors import Conflict, InvalidRequest
from tracker.names import check_artifact_key
from tracker.secrets.store import SecretsStore
from tracker.threads import Check

STORE = "store://"
_TEMPLATE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}|\{(run\.uid|run\.project|project)\}")
_UNSEEN = re.compile("[\x00-\x1f\x7f]")


def base_of(artifact_path: str | None, out_path: str, *, project: str, uid: str) -> str:
    """The place meant by `artifact_path`; "+/" is below `out_path`, {{run.uid}} and {{project}} are filled in. Raises InvalidRequest."""
    text = str(artifact_path or "")
    if text == "+" or text.startswith("+/"):
        text = f"{out_path.rstrip('/')}/{text[2:]}".rstrip("/")
    values = {"run.uid": uid, "project": project, "run.project": project}

    def fill(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values:
            raise InvalidRequest(f"artifact_path may hold {{{{run.uid}}}} and {{{{project}}}}, not {match[0]}", field="artifact_path")
        return values[name]

    text = _TEMPLATE.sub(fill, text or out_path)
    if _UNSEEN.search(text) or ".." in text.split("/"):
        raise InvalidRequest("artifact_path must hold neither '..' nor control characters", field="artifact_path")
    return text


def split(base: str, project: str) -> tuple[str, str]:
    """The place of the user's own ("" = none), and the path below the tracker's store. Raises InvalidRequest."""
    if not base.startswith(STORE):
        return base, ""
    own = f"{STORE}artifacts/{project}"
    if base != own and not base.startswith(f"{own}/"):
        raise InvalidRequest(f"artifact_path {base!r} is not in this run's project: {own}", field="artifact_path")
    below = base.removeprefix(own).strip("/")
    return "", check_artifact_key(below, "artifact_path") if below else ""


def check_target(target: str) -> str:
    """An absolute path or a URL. Raises InvalidRequest."""
    if _UNSEEN.search(target) or ".." in target.split("/"):
        raise InvalidRequest("target_path must hold neither '..' nor control characters", field="target_path")
    if target.startswith(STORE):
        raise InvalidRequest("target_path is a place outside the tracker; its own store needs none", field="target_path")
    if "://" not in target and not PurePosixPath(target).is_absolute():
        raise InvalidRequest("target_path must be an absolute path or a URL", field="target_path")
    return target


def place_for(base: str, key: str, digest: str, name: str) -> str:
    """Where bytes with this digest go below a base: nothing else ever goes there."""
    return "/".join(filter(None, (base.rstrip("/") or "/", key, digest[:16], name))).replace("//", "/", 1 if base == "/" else 0)


class Outside:
    """The way to places of the user's own, for the run that has these secrets."""

    def __init__(self, connection: Connection, secrets: SecretsStore) -> None:
        self._connection, self._secrets = connection, secrets

    def put(self, path: Path, url: str, exact: bool, check: Check) -> None:
        """Have the file's bytes at a path or URL. At an `exact` one other bytes raise Conflict; elsewhere what differs was cut off
        half-way."""
        item = DataItem(url, credentials=Credentials(None, self._secrets), connection=self._connection)
        try:
            there = item.stat().size
        except FileNotFoundError:
            item.upload(path, check=check)
            return
        if there == path.stat().st_size and (not exact or _digest_of(item) == _digest_of_file(path)):
            return
        if exact:
            place = shown(url)
            raise Conflict(f"{place} has other bytes already: nothing is overwritten, choose another target_path", place=place)
        item.upload(path, check=check)


def _digest_of(item: DataItem) -> str:
    found = hashlib.sha256()
    with item.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
