"""The artifacts of a context, for code that waits."""

import os
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from tracker import context as aio
from tracker.artifact import Artifact
from tracker.connection import PROCESS

T = TypeVar("T")


def wait(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that is run in the portal's loop."""
    return PROCESS.portal.submit(work).result()


class Outputs:
    """The part of a context that logs artifacts."""

    def __init__(self, context: aio.Context) -> None:
        self._context = context

    def log_artifact(
        self,
        item: Any,
        body: Any = None,
        local_path: str | os.PathLike[str] | None = None,
        artifact_path: str | None = None,
        tag: str = "",
        viewer: str | None = None,
        target_path: str = "",
        src_path: str | os.PathLike[str] | None = None,
        upload: bool | None = None,
        labels: Mapping[str, str] | None = None,
        format: str | None = None,
        db_key: str | bool | None = None,
        **kwargs: Any,
    ) -> Artifact:
        """Keep bytes (`body`: text, bytes, an open binary file; or the file at `local_path`) as a new version of an artifact.

        `item` is its key, or an `Artifact`. `tag` names the version. With `target_path`, an absolute path or URL, or `upload=False`, only
        the place is recorded, no bytes are kept. `artifact_path` and `db_key` are kept beside it for those who look it up so.
        """
        work = self._context.log_artifact(
            item, body, local_path, artifact_path, tag, viewer, target_path, src_path, upload, labels, format, db_key, **kwargs
        )
        return wait(work)
