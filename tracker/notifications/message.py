"""What is sent: one message about one state of a run, in words and as plain values, without the values of secrets."""

from collections.abc import Callable
from typing import Any

import msgspec

from tracker.errors import TrackerError

SEVERITIES = ("info", "debug", "verbose", "warning", "error")
TIMEOUT = 10.0  # seconds for one answer of a channel

_MOST = 20  # results that the default text names


class NotSent(TrackerError):
    """A channel did not take a message; the text says why."""

    code = "not_sent"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """`run` is the run as its context has it; `values` are what templates may name."""

    title: str
    text: str
    severity: str
    state: str
    run: dict[str, Any]
    values: dict[str, Any]


Channel = Callable[[Message], None]  # sends, or raises NotSent or OSError; may block


def title_of(severity: str, project: str, name: str, state: str) -> str:
    """One line that says all."""
    return f"[{severity}] {project}/{name}: {state}"


def text_of_run(values: dict[str, Any]) -> str:
    """What is said when the notification has no message of its own."""
    lines = [f"Run {values['name']} ({values['uid']}) of project {values['project']} is {values['state']}."]
    if values["error"]:
        lines.append(f"Error: {values['error']}")
    results = list(values["results"].items())
    lines += [f"{key} = {value}" for key, value in results[:_MOST]]
    if len(results) > _MOST:
        lines.append(f"... and {len(results) - _MOST} more results")
    return "\n".join(lines)
