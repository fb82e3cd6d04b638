"""From the name of an artifact to the version it stands for: one question to the tracker, over whichever transport there is."""

from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from tracker.connection import PROCESS, Connection
from tracker.dataitem.store_uri import KINDS, StoreUri
from tracker.errors import NotFound, TrackerError, Unavailable

T = TypeVar("T")
PATIENCE = 30.0  # seconds that the target may take beyond its own


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an artifact of several."""

    path: str
    digest: str
    size: int


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an artifact, as the tracker knows it. `version` is 0 when it is kept with its run only."""

    project: str
    key: str
    uid: str
    iteration: int = 0
    version: int = 0
    kind: str = "artifact"
    digest: str = ""
    size: int = 0
    uri: str = ""
    path: str = ""
    content_type: str = ""
    format: str = ""
    viewer: str = ""
    created_at: int = 0
    db_key: str = ""
    labels: dict[str, str] = {}
    spec: dict[str, Any] = {}
    tags: list[str] = []
    files: list[StoredFile] = []

    @property
    def name(self) -> str:
        """<project>/<the name it is registered under>."""
        return f"{self.project}/{self.db_key or self.key}"


def in_portal(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine of the background thread, for a thread that may wait."""
    if PROCESS.portal.here:
        work.close()
        raise Unavailable("a blocking data item was used in the tracker's own thread: use the one of tracker.aio")
    return PROCESS.portal.submit(work).result()


def resolve(connection: Connection, uri: StoreUri) -> tuple[Stored, dict[str, Any]]:
    """The version, and the view it was made of. Blocks. Raises NotFound when the name does not resolve."""
    asked = {"tag": uri.tag, "uid": uri.uid, "iteration": "" if uri.iteration is None else str(uri.iteration)}
    params = {name: value for name, value in asked.items() if value}
    try:
        view = _asked(connection, f"/v1/projects/{uri.project}/artifacts/{quote(uri.key, safe='')}", params)
    except NotFound as error:
        raise NotFound(f"{uri} does not resolve: {error}", uri=str(uri)) from error
    return _checked(uri, msgspec.convert(view, Stored, strict=False)), view


def _asked(connection: Connection, path: str, params: dict[str, str]) -> dict[str, Any]:
    future = connection.ask("GET", path, params)
    try:
        return future.result(connection.settings.patience * 2 + PATIENCE)  # type: ignore[no-any-return]
    except TimeoutError as error:
        if isinstance(error, TrackerError):
            raise
        future.cancel()
        raise Unavailable(f"{connection.target.uri} did not answer in time") from error


def _checked(uri: StoreUri, stored: Stored) -> Stored:
    wanted = KINDS[uri.kind]
    if wanted and stored.kind != wanted:
        plural = next((plural for plural, kind in KINDS.items() if kind == stored.kind), "artifacts")
        raise NotFound(f"{uri} does not resolve: {stored.name} is of kind {stored.kind}, write store://{plural}/{stored.name}")
    if uri.digest and not stored.digest.startswith(uri.digest):
        raise NotFound(f"{uri} does not resolve: the bytes of {stored.name} have the digest {stored.digest[:16] or 'of no content'}")
    return stored
