"""Recording: the one door through which events from outside enter the log.

A request carries batches; each is checked whole before any of it is appended, and all of them join one commit. What is refused: names
outside the grammar, events that do not belong into their stream, values the views could not hold. What is not refused: events of finished
or deleted runs, and tags this version does not know; history is kept, the folds say what it means. Streams other than those of runs and
projects are written by use cases only: nobody makes himself a token with an event.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import anyio
import msgspec
from msgspec import Meta

from events import types
from events.codec import KINDS, AnyEvent, event_from
from events.errors import EventsError
from events.log import Receipt
from events.record import New
from events.types import Event, MetricLogged, OfRun, Unknown
from tracker.directory import App
from tracker.errors import InvalidRequest, TooLarge
from tracker.journal_reader import Piece, append_of
from tracker.names import check_artifact_key, check_digest, check_file_path, check_key, check_name
from tracker.wire import MSGPACK, check_plain, decode_json, decode_msgpack

MAX_CONSOLE = 256 * 1024  # bytes of one console event; whoever reads holds a whole one
_INT64 = 2**63
_OF_PROJECT = (types.ProjectCreated, types.ProjectUpdated, types.ProjectDeleted, types.ProjectRestored)
_KEYED = (types.ParameterSet, types.ResultLogged, types.LabelSet, types.AnnotationSet, types.InputRead)
_ARTIFACTS = (types.ArtifactLogged, types.ArtifactUpdated, types.ArtifactTagged, types.ArtifactDeleted)


class Append(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Consecutive events of one stream by one producer; `sequence` is the producer's number of the first, counted from 1."""

    stream: str
    producer: str
    sequence: Annotated[int, Meta(ge=1, lt=_INT64 - 1)]
    events: list[Event]


class Record(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of an append."""

    batches: list[Append]


class Recording(msgspec.Struct, kw_only=True):
    """What an append did: the log's offset that holds all of it, and how many events were new or known already."""

    offset: int
    recorded: int
    duplicates: int


class Decoded(Record, kw_only=True, forbid_unknown_fields=True):
    """An append whose events came through the codec's own types already."""


_typed = msgspec.msgpack.Decoder(Decoded)


def decode_record(body: bytes, media: str) -> Record:
    """An append from its body. Raises InvalidRequest naming the field."""
    if media == MSGPACK:
        try:
            return _typed.decode(body)
        except msgspec.ValidationError:
            return _convert(decode_msgpack(body))  # perhaps only a tag from a newer version
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            decode_msgpack(body)
            raise InvalidRequest("the body is not an append", reason="bad_msgpack") from None
    return _convert(decode_json(body))


def _convert(shape: Any) -> Record:
    """An append from plain values, event by event: unknown tags are kept, known tags must have their shape."""
    if not isinstance(shape, dict) or not isinstance(batches := shape.get("batches"), list) or len(shape) != 1:
        raise InvalidRequest('the body must be {"batches": [...]}', field="batches")
    return Record(batches=[_append(batch, f"batches[{i}]") for i, batch in enumerate(batches)])


def _append(shape: Any, at: str) -> Append:
    if not isinstance(shape, dict) or not isinstance(events := shape.get("events"), list):
        raise InvalidRequest(f'{at} must be {{"stream", "producer", "sequence", "events"}}', field=at)
    try:
        append = msgspec.convert({**shape, "events": []}, Append)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{at}: {error}", field=at) from None
    append.events = [_event(event, f"{at}.events[{i}]") for i, event in enumerate(events)]
    return append


def _event(shape: Any, at: str) -> Any:
    check_plain(shape, at)
    if not isinstance(shape, dict) or not isinstance(tag := shape.get("type"), str):
        raise InvalidRequest(f'{at} must be an object with a "type"', field=at)
    if tag == "metric.logged" and shape.get("value") in ("NaN", "Infinity", "-Infinity"):
        shape = {**shape, "value": float(shape["value"])}
    if tag not in KINDS:
        check_key(tag, f"{at}.type")
        return event_from(shape)
    try:
        return msgspec.convert(shape, KINDS[tag])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{at}: {error}", field=at) from None


async def record(app: App, request: Record, actor: str) -> Recording:
    """Append the batches; returns once all of it is durable. Raises InvalidRequest, TooLarge, and what the log raises."""
    count = sum(len(batch.events) for batch in request.batches)
    if count > app.settings.max_events:
        raise TooLarge(
            f"{count} events in one request, at most {app.settings.max_events} are taken: send several", limit=app.settings.max_events
        )
    wanted = [_checked(batch, actor, f"batches[{i}]") for i, batch in enumerate(request.batches)]
    if not wanted:
        return Recording(offset=app.log.head.offset, recorded=0, duplicates=0)
    checked = isinstance(request, Decoded)
    receipts = [await app.log.append(wanted[0], checked=checked)] if len(wanted) == 1 else await _append_all(app, wanted, checked)
    for new in wanted:
        app.leases.observe(new)
    duplicates = sum(receipt.duplicates for receipt in receipts)
    return Recording(offset=max(receipt.offset for receipt in receipts), recorded=count - duplicates, duplicates=duplicates)


async def record_pieces(app: App, pieces: Sequence[Piece], actor: str) -> int:
    """Record what a journal holds, through the same checks as any request; returns the log's offset that holds all of it."""
    request = decode_record(msgspec.msgpack.encode(append_of(pieces)), MSGPACK)
    return (await record(app, request, actor)).offset


async def _append_all(app: App, wanted: list[New], checked: bool) -> list[Receipt]:
    """Queue all at once, in order, so that they share a commit; the first error in order is the answer."""
    results: list[Receipt | EventsError | None] = [None] * len(wanted)

    async def one(i: int, new: New) -> None:
        try:
            results[i] = await app.log.append(new, checked=checked)
        except EventsError as error:
            results[i] = error

    async with anyio.create_task_group() as tasks:
        for i, new in enumerate(wanted):
            tasks.start_soon(one, i, new)
    receipts = []
    for result in results:
        if isinstance(result, Receipt):
            receipts.append(result)
        elif result is not None:
            raise result
    return receipts


def _checked(batch: Append, actor: str, at: str) -> New:
    kind, _, rest = batch.stream.partition("/")
    names = rest.split("/")
    if kind == "run" and len(names) == 2:
        check_name(names[0], f"{at}.stream")
        check_name(names[1], f"{at}.stream")
        _check_run_events(batch.events, at)
    elif kind == "project" and len(names) == 1:
        check_name(names[0], f"{at}.stream")
        _check_project_events(batch.events, at)
    else:
        raise InvalidRequest(f"{at}.stream must be run/<project>/<uid> or project/<project>", field=f"{at}.stream")
    check_name(batch.producer, f"{at}.producer")
    if not batch.events:
        raise InvalidRequest(f"{at} has no events", field=f"{at}.events")
    return New(stream=batch.stream, events=batch.events, producer=batch.producer, sequence=batch.sequence, actor=actor)  # type: ignore[arg-type]


def _check_run_events(events: list[Any], at: str) -> None:
    """Metrics come by the thousand with few distinct keys, so their columns are checked at once; all else one by one."""
    metrics = [event for event in events if type(event) is MetricLogged]
    if metrics:
        _check_metrics(metrics, at)
    if len(metrics) == len(events):
        return
    for i, event in enumerate(events):
        if type(event) is not MetricLogged:
            _check_run_event(event, f"{at}.events[{i}]")


def _check_metrics(metrics: list[MetricLogged], at: str) -> None:
    for key in {event.key for event in metrics}:
        check_key(key, f"{at}.events.key")
    numbers = {event.iteration for event in metrics}
    if min(numbers) < 0 or max(numbers) >= _INT64:
        raise InvalidRequest(f"{at}: an iteration is negative or beyond 64 bits", field=f"{at}.events.iteration")
    for name, column in (("step", [event.step for event in metrics]), ("time", [event.time for event in metrics])):
        if min(column) < -_INT64 or max(column) >= _INT64:
            raise InvalidRequest(f"{at}: a {name} does not fit 64 bits", field=f"{at}.events.{name}", reason="int_range")
    for labels in [event.labels for event in metrics if event.labels]:
        check_plain(labels, f"{at}.events.labels")
        for key in labels:
            check_key(key, f"{at}.events.labels")


def _check_run_event(event: AnyEvent, at: str) -> None:
    if not isinstance(event, (OfRun, Unknown)):
        raise InvalidRequest(f"{at}: {type(event).__name__} does not belong into the stream of a run", field=f"{at}.type")
    if isinstance(event, types.RunPurged):
        raise InvalidRequest(f"{at}: a run is purged by `tracker purge`, not by saying so", field=f"{at}.type")
    if not 0 <= event.iteration < _INT64:
        raise InvalidRequest(f"{at}.iteration is negative or beyond 64 bits", field=f"{at}.iteration")
    if isinstance(event, _KEYED):
        check_key(event.key, f"{at}.key")
    elif isinstance(event, _ARTIFACTS):
        _check_artifact(event, at)
    elif isinstance(event, types.ConsoleWritten) and len(event.data) > MAX_CONSOLE:
        raise TooLarge(f"{at} has {len(event.data)} bytes of console, at most {MAX_CONSOLE} are taken: send several", limit=MAX_CONSOLE)
    _check_fields(event, at)


def _check_artifact(event: AnyEvent, at: str) -> None:
    check_artifact_key(event.key, f"{at}.key")  # type: ignore[union-attr]
    if not isinstance(event, types.ArtifactLogged):
        return
    if event.digest:
        check_digest(event.digest, f"{at}.digest")
    if event.db_key:
        check_artifact_key(event.db_key, f"{at}.db_key")
    paths = {check_file_path(file.path, f"{at}.files") for file in event.files}
    if len(paths) < len(event.files):
        raise InvalidRequest(f"{at}.files names a path twice", field=f"{at}.files")
    for file in event.files:
        check_digest(file.digest, f"{at}.files")
        if not 0 <= file.size < _INT64:
            raise InvalidRequest(f"{at}.files: the size of {file.path} is negative or beyond 64 bits", field=f"{at}.files")


def _check_project_events(events: list[Any], at: str) -> None:
    for i, event in enumerate(events):
        if not isinstance(event, (*_OF_PROJECT, Unknown)):
            raise InvalidRequest(f"{at}.events[{i}] does not belong into the stream of a project", field=f"{at}.events[{i}].type")
        _check_fields(event, f"{at}.events[{i}]")


def _check_fields(event: AnyEvent, at: str) -> None:
    if isinstance(event, Unknown):
        check_plain(event.data, at)
        return
    for field in event.__struct_fields__:
        value = getattr(event, field)
        if isinstance(value, (dict, list, int, str)):
            check_plain(value, f"{at}.{field}")
    for name in ("parameters", "labels", "annotations"):
        for key in getattr(event, name, None) or ():
            check_key(key, f"{at}.{name}")
