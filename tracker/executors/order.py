"""What `run_function` is asked for, put together from a task and from its arguments, which count more.

Everything that can be said to be wrong without running anything is refused here, before a run exists.
"""

import copy
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from projections.runs import TERMINAL
from tracker import ambient
from tracker.errors import InvalidRequest
from tracker.executors.durations import executing_limit
from tracker.executors.handler import Handler, resolve
from tracker.executors.plan import plan_of
from tracker.executors.script import Script
from tracker.model.fields import fields_of, text
from tracker.model.hints import parse_hint
from tracker.model.hyper import HyperParamOptions
from tracker.model.notification import Notification
from tracker.model.run import RunSpec
from tracker.preparing import as_dict
from tracker.values import plain_dict, texts_of


@dataclasses.dataclass
class Order:
    """A run to be made: its description as Context.from_dict takes it, what it calls, and how."""

    attrs: dict[str, Any]
    spec: RunSpec
    handler: Handler
    limit: float | None  # seconds the handler may take
    subprocess: bool
    workdir: str
    echo: bool
    uri: str
    parent: str  # uid of the run in which this one is started

    @property
    def search(self) -> bool:
        """Whether the handler is called for combinations of hyper-parameters, or makes them itself."""
        return bool(self.spec.hyperparams or self.spec.param_file or self.custom)

    @property
    def custom(self) -> bool:
        """Whether the handler makes the combinations, and is called once."""
        return self.spec.strategy == "custom"

    @property
    def elsewhere(self) -> bool:
        """Whether another process does all of the work."""
        return (self.subprocess or self.handler.script) and not self.search


def order_of(handler: Any, task: Any, said: Mapping[str, Any]) -> Order:
    """Put a task and the arguments of `run_function` together. Raises InvalidRequest naming what is wrong."""
    if task is None and handler is not None and (isinstance(handler, Mapping) or hasattr(handler, "to_dict")):
        handler, task = None, handler
    attrs = _copied(task)
    metadata, spec = attrs.setdefault("metadata", {}), attrs.setdefault("spec", {})
    workdir = str(Path(text(said["workdir"], "workdir")).expanduser().absolute()) if said["workdir"] else ""
    if workdir and not Path(workdir).is_dir():
        raise InvalidRequest(f"there is no directory {workdir!r} to work in", field="workdir")
    wanted = handler if handler is not None else getattr(getattr(task, "spec", None), "handler", None) or spec.get("handler")
    if wanted is None or wanted == "":
        raise InvalidRequest("there is nothing to run: give a handler, or a task that has one", field="handler")
    found = resolve(wanted, workdir)
    echo = bool(said["watch"])
    if found.script:
        found = dataclasses.replace(found, callable=Script(found.path, echo=echo, cwd=workdir))
    _merge(metadata, spec, said, found)
    described = RunSpec.from_dict({**spec, "handler": str(found)})
    described.extract_type_hints_from_inputs()
    for hint in described.returns or []:
        parse_hint(hint)
    spec["handler"], spec["inputs"] = str(found), dict(described.inputs or {})
    spec["inputs_type_hints"] = dict(described.inputs_type_hints or {})
    if (options := described.hyper_param_options).param_file:
        options.validate()  # the rest is seen with what the file holds
    else:
        plan_of(described, "")
    if workdir and not (spec.get("input_path") or spec.get("in_path")):
        spec["input_path"] = workdir
    return Order(
        attrs=attrs,
        spec=described,
        handler=found,
        limit=executing_limit(spec.get("state_thresholds")),
        subprocess=bool(said["subprocess"] or workdir),
        workdir=workdir,
        echo=echo,
        uri=os.fspath(said["uri"]) if said["uri"] else "",
        parent=_parent(metadata),
    )


def _copied(task: Any) -> dict[str, Any]:
    """The task as a dict of our own; of a run that has ended, what it was asked for."""
    attrs = copy.deepcopy({key: value for key, value in as_dict(task).items() if key in ("kind", "metadata", "spec", "status")})
    status = attrs.pop("status", None) or {}
    for part in ("metadata", "spec"):
        attrs[part] = dict(attrs.get(part) or {})
    if status.get("state") in TERMINAL:
        attrs["metadata"].pop("uid", None)
    attrs["metadata"].pop("iteration", None)
    return attrs


def _merge(metadata: dict[str, Any], spec: dict[str, Any], said: Mapping[str, Any], handler: Handler) -> None:
    known = ambient.current()
    metadata["name"] = text(said["name"], "name") or metadata.get("name") or handler.name
    metadata["project"] = text(said["project"], "project") or metadata.get("project") or (known.project if known is not None else "")
    metadata["labels"] = {**(metadata.get("labels") or {}), **texts_of(said["labels"])}
    for name, key in (("params", "parameters"), ("inputs", "inputs")):
        spec[key] = {**(spec.get(key) or {}), **plain_dict(said[name], name)}
    for name, key in (
        ("hyperparams", "hyperparams"),
        ("param_file", "param_file"),
        ("selector", "selector"),
        ("returns", "returns"),
        ("outputs", "outputs"),
        ("artifact_path", "output_path"),
        ("state_thresholds", "state_thresholds"),
    ):
        if said[name]:
            spec[key] = said[name]
    spec["hyper_param_options"] = {**_options(spec.get("hyper_param_options")), **_options(said["hyper_param_options"])}
    if said["notifications"]:
        spec["notifications"] = [*(spec.get("notifications") or []), *_notifications(said["notifications"])]
    if spec.get("notifications"):
        Notification.validate_notification_uniqueness([Notification.from_dict(one) for one in spec["notifications"]])
    spec["secret_sources"] = [*(spec.get("secret_sources") or []), *_sources(said["secrets"])]


def _options(given: Any) -> dict[str, Any]:
    options = plain_dict(given.to_dict() if isinstance(given, HyperParamOptions) else given, "hyper_param_options")
    for name in options.keys() - set(fields_of(HyperParamOptions)):
        known = ", ".join(fields_of(HyperParamOptions))
        raise InvalidRequest(f"there is no hyper-parameter option {name!r}: there are {known}", field=name)
    return options


def _notifications(given: Any) -> list[dict[str, Any]]:
    many = given if isinstance(given, (list, tuple)) else [given]
    for one in many:
        if not isinstance(one, Mapping | Notification):
            raise InvalidRequest(f"a notification is a Notification or a dict, not {type(one).__name__}", field="notifications")
    return [dict(one) if isinstance(one, Mapping) else one.to_dict(secrets=True) for one in many]


def _sources(secrets: Any) -> list[Any]:
    """Sources of secrets: a list of them, one alone, or names with their values."""
    if not secrets:
        return []
    if isinstance(secrets, Mapping):
        return [dict(secrets)] if set(secrets) <= {"kind", "source", "prefix"} and "kind" in secrets else [_inline(secrets)]
    return list(secrets) if isinstance(secrets, (list, tuple)) else [secrets]


def _inline(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "inline", "source": dict(values)}


def _parent(metadata: Mapping[str, Any]) -> str:
    """The run in whose handler this is called, if both are of one project."""
    known = ambient.current()
    if known is None or known.project != (metadata.get("project") or known.project):
        return ""
    return known.uid.removesuffix(f"-{known.iteration}") if known.iteration else known.uid
