"""What a context keeps of what its run made: artifacts, with their bytes."""

import os
from collections.abc import Mapping
from typing import Any

import anyio.to_thread
import msgspec

from events.types import ArtifactLogged
from tracker.artifact import Artifact, log
from tracker.recording import Recording


class Outputs(Recording):
    """The part of a context that logs artifacts."""

    async def log_artifact(
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
        source = local_path or src_path
        described = {"artifact_path": artifact_path, "db_key": db_key, "viewer": viewer, "format": format, "tag": tag, "labels": labels}

        def work() -> tuple[Artifact, ArtifactLogged]:
            return log(self.connection, item, body, source, target_path, upload, {**kwargs, **described})

        artifact, event = await anyio.to_thread.run_sync(work)
        self.memory.artifacts[artifact.key] = artifact
        self.record(msgspec.structs.replace(event, iteration=self._iteration))
        return artifact
