"""A run's events told as they happened, at the pace they had or faster.

`tell` puts one event into words; `paced` waits between events as long as their producers' clocks say, divided by a speed. Clocks of
several producers disagree and may go back: the story's clock only goes forward. A long silence is cut to `longest` seconds.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any

import msgspec

from events import types as t
from events.codec import AnyEvent, tag_of
from events.record import Recorded
from tracker.audit.moment import SECOND, counted, plain

_CONSOLE_SHOWN = 200  # bytes of console text in one line of a story


class Told(msgspec.Struct, frozen=True):
    """An event in words: a `mark` of one character, what it is about, and what happened; `tone` is good, bad, quiet or ""."""

    mark: str
    text: str
    tone: str = ""


def tell(event: AnyEvent) -> Told:
    """One event in words, unescaped: what a job wrote in it is still as the job wrote it."""
    teller = _TELLERS.get(type(event))
    return teller(event) if teller else Told("?", f"{tag_of(event)} (not known to this version, kept whole)", "quiet")


def _state(e: t.StateChanged) -> Told:
    tone = {"completed": "good", "error": "bad", "aborted": "bad"}.get(e.state, "")
    return Told({"good": "✓", "bad": "✗"}.get(tone, "●"), e.state + (f": {e.error}" if e.error else ""), tone)


def _console(e: t.ConsoleWritten) -> Told:
    text = e.data[:_CONSOLE_SHOWN].decode(errors="replace").rstrip("\r\n")
    rest = f" … {counted(len(e.data), 'byte')}" if len(e.data) > _CONSOLE_SHOWN else ""
    return Told("│", text + rest, "quiet")


def _artifact(e: t.ArtifactLogged) -> Told:
    what = counted(e.size, "byte") if e.digest else f"at {e.uri}"
    what = f"{counted(len(e.files), 'file')}, {what}" if e.files else what
    return Told("▪", f"artifact {e.key} ({e.kind}, {what})" + (f", sha256 {e.digest[:12]}" if e.digest else ""))


def _input(e: t.InputRead) -> Told:
    which = f", artifact {e.artifact}" + (f" version {e.version}" if e.version else "") if e.artifact else ""
    return Told("·", f"read input {e.key} from {e.url}{which}")


def _notified(e: t.NotificationSent) -> Told:
    what = f"notification {e.name} by {e.kind}, that it is {e.state}: {e.status}" + (f" ({e.reason})" if e.reason else "")
    return Told("✉", what, "bad" if e.status == "error" else "")


def _updated(e: t.ArtifactUpdated) -> Told:
    parts = [part for part in ("format", "viewer", "labels", "spec") if getattr(e, part) is not None]
    return Told("▪", f"artifact {e.key} updated" + (f": {', '.join(parts)}" if parts else ""))


def _started(e: t.AttemptStarted) -> Told:
    where = " ".join(str(e.facts[key]) for key in ("host", "pid") if e.facts.get(key))
    return Told("▶", "started" + (f" on {where}" if where else "") + f", attempt {e.attempt[:12]}", "good")


def _purged(e: t.RunPurged) -> Told:
    went = f"{counted(e.events, 'event')}, {counted(e.blobs, 'artifact file')}, {counted(e.bytes, 'byte')}"
    return Told("▒", f"purged: {e.reason} ({went})", "bad")


def _redacted(e: t.EventRedacted) -> Told:
    what = "the event at offset" if e.count == 1 else f"{counted(e.count, 'event')} from offset"
    return Told("▒", f"{what} {e.offset} {'was' if e.count == 1 else 'were'} redacted: {e.reason}")


def _set(what: str, key: str, value: Any) -> Told:
    return Told("·", f"{what} {key} removed") if value is None else Told("·", f"{what} {key} = {plain(value)}")


_TELLERS: dict[type, Callable[[Any], Told]] = {
    t.RunCreated: lambda e: Told("●", f"created as {e.name}" + _some(e.parameters, "parameters") + (f" by {e.user}" if e.user else "")),
    t.IterationStarted: lambda e: Told("▷", f"iteration {e.iteration} started" + _some(e.parameters, "parameters")),
    t.BestIterationMarked: lambda e: Told("★", f"iteration {e.iteration} is the best", "good"),
    t.AttemptStarted: _started,
    t.AttemptEnded: lambda e: Told("■", f"attempt {e.attempt[:12]} ended" + (f": {e.reason}" if e.reason else "")),
    t.ParameterSet: lambda e: Told("·", f"parameter {e.key} = {plain(e.value)}"),
    t.ResultLogged: lambda e: Told("=", f"result {e.key} = {plain(e.value)}"),
    t.MetricLogged: lambda e: Told("∙", f"metric {e.key} = {plain(e.value)} at step {e.step}"),
    t.LabelSet: lambda e: _set("label", e.key, e.value),
    t.AnnotationSet: lambda e: _set("annotation", e.key, e.value),
    t.InputRead: _input,
    t.RunRenamed: lambda e: Told("·", f"renamed to {e.name}"),
    t.HostSet: lambda e: Told("·", f"host set to {e.host}"),
    t.RunCommitted: lambda e: Told("✓", "committed" + (f": {e.message}" if e.message else "")),
    t.StateChanged: _state,
    t.RunLost: lambda e: Told("✗", "lost: no sign of life" + (f" ({e.reason})" if e.reason else ""), "bad"),
    t.ConsoleWritten: _console,
    t.NotificationSent: _notified,
    t.EventRefused: lambda e: Told("✗", f"{e.was} was refused: {e.reason}", "bad"),
    t.EventsMissed: lambda e: Told("✗", f"{counted(e.count, 'event')} could not be kept: {e.reason}", "bad"),
    t.RunDeleted: lambda e: Told("✗", "deleted" + (f": {e.reason}" if e.reason else ""), "bad"),
    t.RunRestored: lambda _: Told("●", "restored", "good"),
    t.RunPurged: _purged,
    t.ArtifactLogged: _artifact,
    t.ArtifactUpdated: _updated,
    t.ArtifactTagged: lambda e: Told("▪", f"artifact {e.key} tagged {e.name}"),
    t.ArtifactDeleted: lambda e: Told("▪", f"artifact {e.key} deleted"),
    t.ProjectCreated: lambda e: Told("●", "project created" + (f": {e.description}" if e.description else "")),
    t.ProjectUpdated: lambda _: Told("·", "project updated"),
    t.ProjectDeleted: lambda _: Told("✗", "project deleted", "bad"),
    t.ProjectRestored: lambda _: Told("●", "project restored", "good"),
    t.TokenCreated: lambda e: Told("·", f"token {e.id} created, role {e.role}" + (f", for {e.name}" if e.name else "")),
    t.TokenRevoked: lambda e: Told("·", f"token {e.id} revoked"),
    t.EventRedacted: _redacted,
    t.Redacted: lambda e: Told("▒", f"redacted (was {e.was})", "quiet"),
}


def _some(values: dict[str, Any], what: str) -> str:
    shown = ", ".join(f"{key}={plain(value)}" for key, value in list(values.items())[:6])
    return f" with {what} {shown}" + (", …" if len(values) > 6 else "") if values else ""


class Story(msgspec.Struct, frozen=True):
    """An event of a story, with the time since the story's first event in nanoseconds."""

    recorded: Recorded
    since: int


async def paced(
    events: AsyncIterable[Recorded],
    sleep: Callable[[float], Awaitable[None]],
    *,
    speed: float | None = None,
    longest: float = 3.0,
) -> AsyncGenerator[Story, None]:
    """The events, each after the pause that came before it. `speed` 1 is real time, 10 ten times faster, None without any pause."""
    first = clock = None
    async for recorded in events:
        now = recorded.event.time or recorded.recorded_at
        if clock is None or first is None:
            first = clock = now
        elif now > clock:
            if speed:
                await sleep(min((now - clock) / SECOND / speed, longest))
            clock = now
        yield Story(recorded, clock - first)
