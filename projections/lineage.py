"""Lineage: which run read which version of which artifact.

A row stands for one input (`key`) of a run or iteration and one version it was found to be, however often it was read; `id` is the offset
of the first time. An artifact is named `<project>/<name>` as `InputRead` names it, for a run may read what another project has; one that
is not registered anywhere has version 0, and its digest tells it. Who made a version is in `artifacts`. An input that was only named, or
that is no artifact, is in the run's `inputs` and not here.
"""

import msgspec

from events.record import Batch
from events.types import InputRead
from projections.base import Rows, Table
from projections.lifecycle import subject_of
from projections.values import fit


class ReadRow(msgspec.Struct, kw_only=True):
    """A version of an artifact that a run or iteration read. Times are nanoseconds."""

    id: int
    project: str
    uid: str
    iteration: int
    key: str
    url: str
    artifact: str
    version: int
    digest: str
    first_at: int
    last_at: int
    count: int = 0


READS = Table(
    "artifact_reads",
    ReadRow,
    key=("project", "uid", "iteration", "key", "artifact", "version", "digest"),
    indexes=(("artifact", "version", "id"),),
    rowid="id",
)


class Lineage:
    """The projection of what runs read."""

    name = "lineage"
    version = 1
    tables = (READS,)

    def fold(self, rows: Rows, batch: Batch) -> None:
        """See Projection."""
        subject = subject_of(batch.stream)
        if subject is None or InputRead not in batch.kinds:
            return
        for offset, event in enumerate(batch.events, batch.offset):
            if isinstance(event, InputRead) and event.artifact:
                _read(rows, *subject, offset, event)


def _read(rows: Rows, project: str, uid: str, offset: int, event: InputRead) -> None:
    iteration, version, time = fit(event.iteration), fit(event.version), fit(event.time)
    row = rows.get(READS, project, uid, iteration, event.key, event.artifact, version, event.digest)
    if row is None:
        row = ReadRow(
            id=offset,
            project=project,
            uid=uid,
            iteration=iteration,
            key=event.key,
            url=event.url,
            artifact=event.artifact,
            version=version,
            digest=event.digest,
            first_at=time,
            last_at=time,
        )
    row.url, row.last_at, row.count = event.url, time, row.count + 1
    rows.put(READS, row)
