"""A run as somebody prepared it: from a dict of kind, metadata, spec and status to what a context starts with.

Pure: nothing is read, asked or recorded here. What the dict says of the run's parameters, inputs and places becomes the memory; the
rest of its spec is kept as it is, for whoever reads the run later, without what is secret: the sources of secrets, and the secret
parameters of notifications.
"""

import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

import msgspec

from projections.runs import RUNNING
from tracker.dataitem.nested import leaves
from tracker.dataitem.urls import check_url
from tracker.errors import InvalidRequest
from tracker.known import Memory
from tracker.names import check_key, check_name
from tracker.values import key_of, plain_dict, step_of, text_of, texts_of

DEFAULT_PROJECT = "default"
_TAKEN = ("parameters", "inputs", "input_path", "in_path", "output_path", "out_path", "artifact_path", "secret_sources")


class Prepared(msgspec.Struct, kw_only=True):
    """What a context starts with. An empty uid is still to be made."""

    name: str
    project: str
    uid: str
    iteration: int
    memory: Memory
    secret_sources: list[Any]
    notifications: list[Any]


def _inputs(given: Mapping[str, Any]) -> dict[str, str]:
    """The places of the inputs; a list or dict of them as one input each."""

    def text(url: Any) -> str:
        return check_url(url) if url not in (None, "") else ""

    return {name: url for key, urls in given.items() for name, url in leaves(key_of(key), urls, text).items()}


def prepared_from(attrs: Any, *, name: str = "", project: str = "", uid: str = "") -> Prepared:
    """Read such a dict, or an object with `to_dict()`. What is given beside it counts where it says nothing. Raises InvalidRequest."""
    attrs = as_dict(attrs)
    metadata, spec, status = (_mapping(attrs.get(part), part) for part in ("metadata", "spec", "status"))
    notifications = _list(spec.get("notifications"), "notifications")
    memory = Memory(
        state=RUNNING,
        parameters=plain_dict(spec.get("parameters"), "parameters"),
        results=plain_dict(status.get("results"), "results"),
        labels=texts_of(metadata.get("labels"), "labels"),
        annotations=texts_of(metadata.get("annotations"), "annotations"),
        inputs=_inputs(_mapping(spec.get("inputs"), "inputs")),
        in_path=_text(spec, "input_path", "in_path"),
        out_path=_text(spec, "output_path", "out_path", "artifact_path"),
        spec=plain_dict({key: value for key, value in spec.items() if key not in _TAKEN and value not in (None, "", [], {})}, "spec"),
        host=text_of(status.get("host") or ""),
    )
    if notifications:
        memory.spec["notifications"] = [_without_secrets(one) for one in notifications]
    uid = str(metadata.get("uid") or uid)
    iteration = step_of(metadata.get("iteration") or 0)
    if iteration < 0 or (iteration and not uid):
        raise InvalidRequest("an iteration is a number from 1 of a run whose uid is given, 0 is the run itself", field="iteration")
    return Prepared(
        name=check_key(str(metadata.get("name") or name or "run"), "name"),
        project=check_name(str(metadata.get("project") or project or DEFAULT_PROJECT), "project"),
        uid=check_name(uid, "uid") if uid else "",
        iteration=iteration,
        memory=memory,
        secret_sources=_list(spec.get("secret_sources"), "secret_sources"),
        notifications=notifications,
    )


def as_dict(attrs: Any) -> Mapping[str, Any]:
    """The dict of a run: itself, its JSON, or what an object that can be made one gives, its secrets included."""
    if isinstance(attrs, str | bytes):
        try:
            attrs = json.loads(attrs)
        except ValueError as error:
            raise InvalidRequest(f"the run's description is not JSON: {error}", field="attrs") from None
    if not isinstance(attrs, Mapping) and hasattr(attrs, "to_dict"):
        attrs = attrs.to_dict(secrets=True)
    return _mapping(attrs, "attrs")


def _mapping(value: Any, field: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{field} of a run must be a dict, not {type(value).__name__}", field=field)
    return value


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list | tuple | NoneType):
        raise InvalidRequest(f"{field} of a run must be a list, not {type(value).__name__}", field=field)
    return list(value or [])


def _text(spec: Mapping[str, Any], *names: str) -> str:
    return next((text_of(spec[name]) for name in names if spec.get(name)), "")


def _without_secrets(notification: Any) -> dict[str, Any]:
    """What may be kept of a notification."""
    said = notification if isinstance(notification, Mapping) else notification.to_dict()
    return plain_dict({key: value for key, value in _mapping(said, "notifications").items() if key != "secret_params"}, "notifications")
