"""What the views must say of a history, worked out the slow way: every question is its own pass over the whole list of events.

Written from the promises (the events' docstrings, `docs/design.md`), not from the folds, and shares nothing with them: no rows, no caches,
no increments. A history is a list of (offset, stream, event), all recorded at one time by one producer.
"""

import json
import math
from typing import Any, TypeAlias

from events import types as e
from events.types import Unknown

At: TypeAlias = tuple[int, Any]
History: TypeAlias = list[tuple[int, str, Any]]
Id: TypeAlias = tuple[str, str, int]

OVER = {"completed", "error", "aborted"}
LABOUR = (
    e.RunCreated, e.IterationStarted, e.ParameterSet, e.ResultLogged, e.MetricLogged, e.InputRead, e.ConsoleWritten, e.ArtifactLogged,
)  # fmt: skip
RUN_EVENTS = (e.OfRun, e.Redacted)


def run_of(stream: str) -> tuple[str, str] | None:
    """Project and uid."""
    parts = stream.split("/", 2)
    return (parts[1], parts[2]) if parts[0] == "run" and len(parts) == 3 and parts[1] and parts[2] else None


def spoken(event: Any) -> int:
    """The iteration an event speaks of."""
    return getattr(event, "iteration", 0)


def of_run(history: History, project: str, uid: str) -> list[At]:
    """The events of one run."""
    return [(offset, event) for offset, stream, event in history if run_of(stream) == (project, uid)]


def spoken_as(history: History, kind: type[Any]) -> list[tuple[int, str, str, Any]]:
    """The events of this kind, with project and uid."""
    return [(o, *subject, ev) for o, s, ev in history if isinstance(ev, kind) and (subject := run_of(s))]


def ids(history: History) -> list[Id]:
    """All runs and iterations, a run when only its children were spoken of too."""
    found: dict[Id, None] = {}
    for _, stream, event in history:
        if (subject := run_of(stream)) is not None:
            found[(*subject, 0)] = None
            found[(*subject, spoken(event))] = None
    return list(found)


def runs(history: History) -> dict[Id, dict[str, Any]]:
    """Every run and iteration with its fields."""
    return {each: run(of_run(history, *each[:2]), each[2]) for each in ids(history)}


def run(events: list[At], iteration: int) -> dict[str, Any]:
    """One of them, from the events of the whole run."""
    mine = [(offset, event) for offset, event in events if spoken(event) == iteration]
    first = birth(events, iteration)
    is_child_only = not mine or mine[0][0] > abs(first)  # nobody spoke of the run before its child did
    state = states(events, iteration)
    return {
        "id": -abs(first) if is_child_only else first,
        "created_at": min(
            [next(ev for o, ev in events if o == abs(first)).time, *(ev.time for _, ev in mine if isinstance(ev, e.RunCreated))]
        ),
        **state,
        **described(events, iteration),
        "parameters": parameters(mine),
        "results": results(events, iteration),
        "labels": worded(mine, e.LabelSet, "labels"),
        "annotations": worded(mine, e.AnnotationSet, "annotations"),
        "inputs": {ev.key: ev.url for _, ev in mine if isinstance(ev, e.InputRead)},
        "deleted": trashed(events, iteration),
        "purged": next((ev.time for _, ev in reversed(mine) if isinstance(ev, e.RunPurged)), 0),
        "children": 0 if iteration else len({spoken(ev) for _, ev in events} - {0}),
        "best_iteration": 0 if iteration else next((ev.iteration for _, ev in reversed(events) if best(ev)), 0),
        "message": next((ev.message for _, ev in reversed(mine) if isinstance(ev, e.RunCommitted)), ""),
        "host": next((host for _, ev in reversed(mine) if (host := host_of(ev)) is not None), ""),
        "refused": sum(isinstance(ev, e.EventRefused) for _, ev in mine),
        "missed": sum(ev.count for _, ev in mine if isinstance(ev, e.EventsMissed)),
        "unknown": sum(unreadable(ev) for _, ev in mine),
        "attempt_count": len({ev.attempt for _, ev in mine if isinstance(ev, (e.AttemptStarted, e.AttemptEnded))}),
    }


def host_of(event: Any) -> Any:
    """The host an event says, None when it says none."""
    return event.host if isinstance(event, e.HostSet) else event.facts.get("host") if isinstance(event, e.AttemptStarted) else None


def best(event: Any) -> bool:
    """Whether it names a child the best."""
    return isinstance(event, e.BestIterationMarked) and event.iteration > 0


def unreadable(event: Any) -> bool:
    """Whether it has no place in a run."""
    return (
        isinstance(event, Unknown)
        or not isinstance(event, RUN_EVENTS)
        or (isinstance(event, e.BestIterationMarked) and not event.iteration)
    )


def birth(events: list[At], iteration: int) -> int:
    """The offset of the event that first spoke of it; of a run, also through a child."""
    return next(offset for offset, event in events if not iteration or spoken(event) == iteration)


def trashed(events: list[At], iteration: int) -> int:
    """When it was put in the trash; a run takes the children with it that it has at that time."""
    since, born = 0, birth(events, iteration)
    if iteration:  # a child of a run in the trash is born there
        since = trashed([(offset, event) for offset, event in events if offset < born], 0) if any(o < born for o, _ in events) else 0
    for offset, event in events:
        if offset >= born and spoken(event) in (0, iteration):
            if isinstance(event, e.RunDeleted):
                since = event.time
            elif isinstance(event, e.RunRestored) and not purged(events, spoken(event), offset):
                since = 0
    return since


def purged(events: list[At], iteration: int, before: int) -> bool:
    """Whether it was purged by then: nothing brings it back."""
    return any(offset < before and spoken(event) == iteration and isinstance(event, e.RunPurged) for offset, event in events)


def described(events: list[At], iteration: int) -> dict[str, Any]:
    """Name, user, parent and spec. A child begins with the name and user that its run has then."""
    found: dict[str, Any] = {"name": "", "user": "", "parent": "", "spec": {}}
    born = birth(events, iteration)
    before = [(offset, event) for offset, event in events if offset < born]
    if iteration and before:
        of_parent = described(before, 0)
        found["name"], found["user"] = of_parent["name"], of_parent["user"]
    for _, event in events:
        if spoken(event) != iteration:
            continue
        if isinstance(event, e.RunCreated):
            for field in ("name", "user", "parent"):
                found[field] = getattr(event, field) or found[field]
            found["spec"] = {**found["spec"], **event.spec}
        elif isinstance(event, e.RunRenamed):
            found["name"] = event.name
        elif isinstance(event, e.AttemptStarted) and not found["user"]:
            found["user"] = event.facts.get("user", "")
    return found


def parameters(mine: list[At]) -> dict[str, Any]:
    """The last value of each."""
    found: dict[str, Any] = {}
    for _, event in mine:
        if isinstance(event, (e.RunCreated, e.IterationStarted)):
            found.update(event.parameters)
        elif isinstance(event, e.ParameterSet):
            found[event.key] = event.value
    return found


def results(events: list[At], iteration: int) -> dict[str, Any]:
    """The last value of each; a run takes over those its best child has at the mark."""
    found: dict[str, Any] = {}
    for offset, event in events:
        if not iteration and best(event):
            found.update(results([(o, ev) for o, ev in events if o < offset], event.iteration))
            found["best_iteration"] = event.iteration
        elif spoken(event) == iteration and isinstance(event, e.ResultLogged):
            found[event.key] = event.value
    return found


def worded(mine: list[At], kind: type[Any], field: str) -> dict[str, str]:
    """Labels or annotations: the last text of each, without those removed."""
    found: dict[str, str | None] = {}
    for _, event in mine:
        if isinstance(event, e.RunCreated) or (field == "labels" and isinstance(event, e.IterationStarted)):
            found.update(getattr(event, field))
        elif isinstance(event, kind):
            found[event.key] = event.value
    return {key: value for key, value in found.items() if value is not None}


def states(events: list[At], iteration: int) -> dict[str, Any]:
    """State, times and error, and how much came too late."""
    now: dict[str, Any] = {"state": "created", "started_at": 0, "ended_at": 0, "error": "", "traceback": "", "late": 0}

    def running(time: int) -> None:
        now.update(state="running", started_at=now["started_at"] or time, ended_at=0, error="", traceback="")

    for offset, event in events:
        labour = isinstance(event, LABOUR)
        if labour and now["state"] == "lost" and (spoken(event) == iteration or not iteration):
            running(now["started_at"])  # for a run, a sign of life of a child is one of its own
        if spoken(event) != iteration:
            continue
        earlier = [(o, ev) for o, ev in events if o < offset] + [(offset, e.RunCommitted(time=event.time, iteration=iteration))]
        if labour and (now["state"] in OVER or trashed(earlier, iteration)):
            now["late"] += 1
        match event:
            case e.AttemptStarted():
                running(event.time)
            case e.IterationStarted() if now["state"] == "created":
                running(event.time)
            case e.RunLost() if now["state"] in OVER:
                now["late"] += 1
            case e.RunLost():
                now.update(state="lost", ended_at=event.last_sign, error=event.reason)
            case e.StateChanged():
                _change(now, event)
    return now


def _change(now: dict[str, Any], event: e.StateChanged) -> None:
    failed_after_all = (now["state"], event.state) == ("completed", "error")
    if now["state"] in OVER and event.state in OVER and not failed_after_all:
        now["late"] += now["state"] != event.state
        now["error"], now["traceback"] = now["error"] or event.error, now["traceback"] or event.traceback
        return
    if event.state == "running":
        now["started_at"] = now["started_at"] or event.time
    now["ended_at"] = event.time if event.state in OVER else 0
    now["state"], now["error"], now["traceback"] = event.state, event.error, event.traceback


# -- search values ----------------------------------------------------------------------------------------------------------


def search_values(history: History) -> dict[tuple[Id, str, str], Any]:
    """What a search can find of each run and iteration."""
    found: dict[tuple[Id, str, str], Any] = {}
    for each, fields in runs(history).items():
        for kind in ("parameters", "results", "labels", "annotations"):
            found |= {(each, kind, key): plain(value) for key, value in fields[kind].items() if value is not None}
        for _, event in of_run(history, *each[:2]):
            if isinstance(event, e.MetricLogged) and event.iteration == each[2]:
                found[each, "metrics", event.key] = plain(event.value)
    return found


def plain(value: Any) -> Any:
    """A value as the search compares it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, int) and value.bit_length() > 63:
        return float(value)
    if isinstance(value, bytes):
        return value.hex()[:1000]
    if isinstance(value, (list, dict)):
        value = json.dumps(value, separators=(",", ":"))
    return value[:1000] if isinstance(value, str) else value


# -- artifacts, projects, tokens --------------------------------------------------------------------------------------------


def artifacts(history: History) -> dict[int, dict[str, Any]]:
    """Every version of every artifact, by the offset of its event."""
    logged = spoken_as(history, e.ArtifactLogged)
    return {
        offset: {
            "name": (project, uid, event.iteration, event.key),
            "db_key": registered(event),
            "version": sum(o <= offset and (p, registered(ev)) == (project, registered(event)) for o, p, _, ev in logged)
            if event.registered
            else 0,
            "content": (event.kind, event.digest, event.size, [{"path": f.path, "digest": f.digest, "size": f.size} for f in event.files]),
            **said_of(history, offset, (project, uid), event),
        }
        for offset, project, uid, event in logged
    }


def registered(event: e.ArtifactLogged) -> str:
    """The name the project has for it, "" when it has none."""
    return (event.db_key or event.key) if event.registered else ""


def said_of(history: History, offset: int, subject: tuple[str, str], event: e.ArtifactLogged) -> dict[str, Any]:
    """What an artifact's own run and iteration said of it after it was logged: until they log the next, that it is now so; and that it is
    deleted, at any time."""
    now = {"format": event.format, "viewer": event.viewer, "labels": event.labels, "spec": event.spec, "updated_at": 0, "deleted": 0}
    is_last = True
    for o, stream, later in history:
        same = run_of(stream) == subject and (spoken(later), getattr(later, "key", None)) == (event.iteration, event.key)
        if o <= offset or not same:
            continue
        if isinstance(later, e.ArtifactLogged):
            is_last = False
        elif isinstance(later, e.ArtifactUpdated) and is_last:
            now |= {f: getattr(later, f) for f in ("format", "viewer", "labels", "spec") if getattr(later, f) is not None}
            now["updated_at"] = later.time
        elif isinstance(later, e.ArtifactDeleted):
            now["deleted"] = now["deleted"] or later.time
    return now


def tags(history: History) -> dict[tuple[str, str, str], int]:
    """What each tag of each name in a project names."""
    found: dict[tuple[str, str, str], int] = {}
    for offset, stream, event in history:
        subject = run_of(stream)
        if subject is None or not isinstance(event, (e.ArtifactLogged, e.ArtifactTagged, e.ArtifactDeleted)):
            continue
        there = {o: a for o, a in artifacts([entry for entry in history if entry[0] <= offset]).items() if a["name"][0] == subject[0]}
        mine = [o for o, a in there.items() if a["name"] == (*subject, event.iteration, event.key)]
        if isinstance(event, e.ArtifactLogged) and event.registered:
            found |= {(subject[0], registered(event), name): offset for name in ("latest", event.tag_name) if name}
        elif isinstance(event, e.ArtifactTagged) and mine and there[max(mine)]["db_key"]:
            found[subject[0], there[max(mine)]["db_key"], event.name] = max(mine)
        elif isinstance(event, e.ArtifactDeleted):
            for name in {there[o]["db_key"] for o in mine}:
                latest = found.pop((subject[0], name, "latest"), 0)
                left = [o for o, a in there.items() if a["db_key"] == name and not a["deleted"] and o <= latest]
                if left:
                    found[subject[0], name, "latest"] = max(left)
    return found


def reads(history: History) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Which run read which version of which artifact, by what name, and when."""
    said = [(o, (*subject, ev.iteration), ev) for o, *subject, ev in spoken_as(history, e.InputRead) if ev.artifact]
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for _, reader, event in said:
        which = (event.key, event.artifact, event.version, event.digest)
        same = [(o, ev) for o, by, ev in said if by == reader and (ev.key, ev.artifact, ev.version, ev.digest) == which]
        (first, earliest), (_, last) = same[0], same[-1]
        found[(*reader, *which)] = {
            "id": first,
            "first_at": earliest.time,
            "last_at": last.time,
            "url": last.url,
            "count": len(same),
        }
    return found


def notifications(history: History) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The last word of each notification on each state, and how often there was one."""
    said = [(o, (*subject, ev.iteration, ev.name, ev.state), ev) for o, *subject, ev in spoken_as(history, e.NotificationSent)]
    fields = ("kind", "status", "severity", "time", "reason")
    return {
        about: {"id": o, "count": sum(other == about for _, other, _ in said), **{field: getattr(ev, field) for field in fields}}
        for o, about, ev in said
    }


def projects(history: History) -> dict[str, dict[str, Any]]:
    """Every project anything was recorded in."""
    found: dict[str, dict[str, Any]] = {}
    for offset, stream, event in history:
        kind, *rest = stream.split("/")
        if kind not in ("run", "project") or not rest or not rest[0]:
            continue
        project = found.setdefault(rest[0], {"id": offset, "declared": 0, "description": "", "labels": {}, "parameters": {}, "deleted": 0})
        if kind == "run":
            continue
        if isinstance(event, e.ProjectCreated):
            project["declared"] = 1
            project["description"] = event.description or project["description"]
            project["labels"] = {**project["labels"], **event.labels}
            project["parameters"] = {**project["parameters"], **event.parameters}
        elif isinstance(event, e.ProjectUpdated):
            project |= {f: getattr(event, f) for f in ("description", "labels", "parameters") if getattr(event, f) is not None}
        elif isinstance(event, (e.ProjectDeleted, e.ProjectRestored)):
            project["deleted"] = event.time if isinstance(event, e.ProjectDeleted) else 0
    return found


def counts(history: History) -> dict[tuple[str, str], int]:
    """How many runs of each project are in each state, without children and without the trash."""
    found: dict[tuple[str, str], int] = {}
    for (project, _, iteration), fields in runs(history).items():
        if not iteration and not fields["deleted"]:
            found[project, fields["state"]] = found.get((project, fields["state"]), 0) + 1
    return found


def tokens(history: History) -> dict[str, tuple[str, bool]]:
    """The role of each token, and whether it was revoked."""
    mine = [event for _, stream, event in history if stream == "access/tokens" and isinstance(event, (e.TokenCreated, e.TokenRevoked))]
    return {
        name: (
            next((ev.role for ev in reversed(mine) if isinstance(ev, e.TokenCreated) and ev.id == name), ""),
            any(isinstance(ev, e.TokenRevoked) and ev.id == name for ev in mine),
        )
        for name in {ev.id for ev in mine}
    }
