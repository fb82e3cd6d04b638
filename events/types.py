"""Every event on one page: what can happen in a tracker, in the past tense.

An event is an immutable fact about one subject. It is recorded in the stream of that subject
(`run/<project>/<uid>`, `project/<name>`, `access/tokens`, `log/redactions`), so the subject is not repeated inside it.
`time` is when the fact became true by the producer's clock, in integer nanoseconds since the epoch, UTC;
it is data only: order is the log's offset. `iteration` 0 is the run itself, 1..n are its children.

To add an event: a struct here, a line in `Event`, a golden sample. To add a field: give it a default.
To change a shape otherwise: give the struct a new tag (`metric.logged.2`) and a function in `upcast.py`.
Values marked JSON are None, bool, int within 64 bits, float (NaN and infinities included), str, bytes, list, or dict with str keys.
"""

from typing import Any, TypeAlias

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What all events share."""

    time: int


class OfRun(Fact, frozen=True, kw_only=True):
    """What all events of a run stream share: the iteration they speak of."""

    iteration: int = 0


# -- runs -------------------------------------------------------------------------------------------------------------


class RunCreated(OfRun, frozen=True, kw_only=True, tag="run.created"):
    """A run began to exist, with what was known of it then. `spec` holds what later reads need whole (JSON)."""

    name: str
    user: str = ""
    parent: str = ""  # uid of the run this one is nested in
    parameters: dict[str, Any] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    spec: dict[str, Any] = {}


class IterationStarted(OfRun, frozen=True, kw_only=True, tag="iteration.started"):
    """A child iteration began; `iteration` is its number, counted from 1."""

    parameters: dict[str, Any] = {}
    labels: dict[str, str] = {}


class BestIterationMarked(OfRun, frozen=True, kw_only=True, tag="iteration.marked_best"):
    """`iteration` was named the best of the run's children; a later mark wins."""


class AttemptStarted(OfRun, frozen=True, kw_only=True, tag="attempt.started"):
    """A process began (or resumed) work on the run. `facts`: host, pid, user, command, cwd, python, git ... (JSON)."""

    attempt: str
    facts: dict[str, Any] = {}


class AttemptEnded(OfRun, frozen=True, kw_only=True, tag="attempt.ended"):
    """That process ended its work; `reason` is completed, error, exit, or a signal's name."""

    attempt: str
    reason: str = ""


class ParameterSet(OfRun, frozen=True, kw_only=True, tag="parameter.set"):
    """A parameter got a value (JSON). A correction is another event; both stay."""

    key: str
    value: Any


class ResultLogged(OfRun, frozen=True, kw_only=True, tag="result.logged"):
    """A result got a value (JSON)."""

    key: str
    value: Any


class MetricLogged(OfRun, frozen=True, kw_only=True, tag="metric.logged"):
    """One point of a series. Steps may repeat or go back: all points are kept, in log order."""

    key: str
    value: float
    step: int = 0
    labels: dict[str, str] = {}


class LabelSet(OfRun, frozen=True, kw_only=True, tag="label.set"):
    """A label (searchable, short) got a value; None removed it."""

    key: str
    value: str | None


class AnnotationSet(OfRun, frozen=True, kw_only=True, tag="annotation.set"):
    """An annotation (free text) got a value; None removed it."""

    key: str
    value: str | None


class InputRead(OfRun, frozen=True, kw_only=True, tag="input.read"):
    """The run read the data item at `url` under the name `key`. Once it is known which artifact that is, its name
    (`<project>/<name>`), version and digest stand beside it."""

    key: str
    url: str
    artifact: str = ""
    version: int = 0
    digest: str = ""


class RunRenamed(OfRun, frozen=True, kw_only=True, tag="run.renamed"):
    """The run got another display name."""

    name: str


class HostSet(OfRun, frozen=True, kw_only=True, tag="host.set"):
    """The run was said to work on this host, whatever its attempts say of theirs."""

    host: str


class RunCommitted(OfRun, frozen=True, kw_only=True, tag="run.committed"):
    """The job declared its state so far good, with a message."""

    message: str = ""


class StateChanged(OfRun, frozen=True, kw_only=True, tag="state.changed"):
    """The run or iteration went to `state`; an error has its text and, where there is one, its traceback."""

    state: str
    error: str = ""
    traceback: str = ""


class RunLost(OfRun, frozen=True, kw_only=True, tag="run.lost"):
    """No sign of life within the lease: an inference of the server, undone by any later event of the run's producers."""

    last_sign: int  # nanoseconds
    reason: str = ""


class ConsoleWritten(OfRun, frozen=True, kw_only=True, tag="console.written"):
    """Bytes a job printed, exactly as printed. `source`: stdout, stderr or logger."""

    data: bytes
    source: str = "stdout"
    attempt: str = ""


class NotificationSent(OfRun, frozen=True, kw_only=True, tag="notification.sent"):
    """People were told, by the notification `name` through a channel of this `kind`, that the run or iteration is in `state`. `status` is
    sent, or error with its `reason`."""

    name: str
    kind: str
    state: str
    status: str
    severity: str = "info"
    reason: str = ""


class EventRefused(OfRun, frozen=True, kw_only=True, tag="event.refused"):
    """Stands, under its sequence, for an event that the server refused (its tag is `was`); the event itself is kept beside the
    producer's journal, in `<producer>.rejected`."""

    was: str
    reason: str


class EventsMissed(OfRun, frozen=True, kw_only=True, tag="events.missed"):
    """The job said `count` more events here which could not be kept, because its journal could not be written; the job went on."""

    count: int
    reason: str


class RunDeleted(OfRun, frozen=True, kw_only=True, tag="run.deleted"):
    """The run was put in the trash; it can be restored until purged."""

    reason: str = ""


class RunRestored(OfRun, frozen=True, kw_only=True, tag="run.restored"):
    """The run was taken out of the trash."""


class RunPurged(OfRun, frozen=True, kw_only=True, tag="run.purged"):
    """All that the run, which was in the trash, held was removed for good: so many events, files of artifacts (`blobs`), and bytes of
    both, uncompressed."""

    reason: str
    events: int
    bytes: int
    blobs: int


# -- artifacts, in the stream of the run that made them -----------------------------------------------------------------


class ArtifactFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an artifact that has several: its path in the artifact, and the sha256 hex and size of its bytes."""

    path: str
    digest: str
    size: int


class ArtifactLogged(OfRun, frozen=True, kw_only=True, tag="artifact.logged"):
    """A new version of the artifact `key`. `digest` is the sha256 hex of its bytes, or "" when it lives at `uri` only. An artifact of
    several `files` has the bytes of each under its own digest, and under `digest` their list as JSON.

    In the project it is registered under `db_key`, or under `key` when that is ""; not at all, when it is not `registered`.
    """

    key: str
    kind: str = "artifact"
    digest: str = ""
    size: int = 0
    uri: str = ""
    path: str = ""  # file name shown to people; never opened
    content_type: str = ""
    format: str = ""
    viewer: str = ""
    tag_name: str = ""
    labels: dict[str, str] = {}
    spec: dict[str, Any] = {}
    db_key: str = ""
    registered: bool = True
    files: tuple[ArtifactFile, ...] = ()


class ArtifactUpdated(OfRun, frozen=True, kw_only=True, tag="artifact.updated"):
    """What is said about the version of `key` that this run and iteration logged last is now this, where it is not None. Its bytes are
    what they were."""

    key: str
    format: str | None = None
    viewer: str | None = None
    labels: dict[str, str] | None = None
    spec: dict[str, Any] | None = None


class ArtifactTagged(OfRun, frozen=True, kw_only=True, tag="artifact.tagged"):
    """The tag `name` now points to the version of `key` with this digest logged last by this run and iteration."""

    key: str
    name: str


class ArtifactDeleted(OfRun, frozen=True, kw_only=True, tag="artifact.deleted"):
    """The versions of `key` logged by this run and iteration were put in the trash."""

    key: str


# -- projects -----------------------------------------------------------------------------------------------------------


class ProjectCreated(Fact, frozen=True, kw_only=True, tag="project.created"):
    """A project began to exist."""

    description: str = ""
    owner: str = ""
    labels: dict[str, str] = {}
    parameters: dict[str, Any] = {}


class ProjectUpdated(Fact, frozen=True, kw_only=True, tag="project.updated"):
    """The named fields of a project changed to these values."""

    description: str | None = None
    owner: str | None = None
    labels: dict[str, str] | None = None
    parameters: dict[str, Any] | None = None


class ProjectDeleted(Fact, frozen=True, kw_only=True, tag="project.deleted"):
    """The project was put in the trash; its runs stay with it."""


class ProjectRestored(Fact, frozen=True, kw_only=True, tag="project.restored"):
    """The project was taken out of the trash."""


# -- access and the log itself --------------------------------------------------------------------------------------------


class TokenCreated(Fact, frozen=True, kw_only=True, tag="token.created"):
    """A token may act in a role. Only the sha256 hex of its secret is kept."""

    id: str
    digest: str
    role: str  # viewer, writer or admin
    name: str = ""
    expires: int = 0  # nanoseconds, 0 = never


class TokenRevoked(Fact, frozen=True, kw_only=True, tag="token.revoked"):
    """A token may no longer act."""

    id: str


class EventRedacted(Fact, frozen=True, kw_only=True, tag="event.redacted"):
    """The content of `count` events from `offset` on, all of one batch, was lawfully removed; `body` is the sha256 hex of what the batch
    held then."""

    offset: int
    body: str
    reason: str
    count: int = 1


class Redacted(Fact, frozen=True, kw_only=True, tag="redacted"):
    """Stands where a redacted event stood, so that offsets and versions stay gapless."""

    was: str  # the tag of the event that stood here


Event: TypeAlias = (
    RunCreated
    | IterationStarted
    | BestIterationMarked
    | AttemptStarted
    | AttemptEnded
    | ParameterSet
    | ResultLogged
    | MetricLogged
    | LabelSet
    | AnnotationSet
    | InputRead
    | RunRenamed
    | HostSet
    | RunCommitted
    | StateChanged
    | RunLost
    | ConsoleWritten
    | NotificationSent
    | EventRefused
    | EventsMissed
    | RunDeleted
    | RunRestored
    | RunPurged
    | ArtifactLogged
    | ArtifactUpdated
    | ArtifactTagged
    | ArtifactDeleted
    | ProjectCreated
    | ProjectUpdated
    | ProjectDeleted
    | ProjectRestored
    | TokenCreated
    | TokenRevoked
    | EventRedacted
    | Redacted
)


class Unknown(msgspec.Struct, frozen=True):
    """An event of a tag this version does not know: kept whole, folded by nobody, never refused by a reader."""

    type: str
    data: dict[str, Any]
    time: int = 0
    iteration: int = 0
