"""A place of the user's own, as the bytes of an artifact get there: through a data item, and never over other bytes."""

import hashlib
from pathlib import Path

from tracker.connection import Connection
from tracker.dataitem.credentials import Credentials
from tracker.dataitem.item import DataItem
from tracker.errors import Conflict
from tracker.secrets.store import SecretsStore

CHUNK = 1024 * 1024


def put(path: Path, url: str, exact: bool, *, connection: Connection, secrets: SecretsStore) -> None:
    """Have the file's bytes at a path or URL. At an `exact` one other bytes raise Conflict; elsewhere what differs was cut off half-way."""
    item = DataItem(url, credentials=Credentials(None, secrets), connection=connection)
    try:
        there = item.stat().size
    except FileNotFoundError:
        item.upload(path)
        return
    if there == path.stat().st_size and (not exact or _digest_of(item) == _digest_of_file(path)):
        return
    if exact:
        raise Conflict(f"{url} has other bytes already: nothing is overwritten, choose another target_path", place=url)
    item.upload(path)


def _digest_of(item: DataItem) -> str:
    found = hashlib.sha256()
    with item.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
