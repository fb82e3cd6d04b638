"""A run or iteration as plain values, in the shape that users of execution contexts know: kind, metadata, spec and status.

Pure: it reads what a context remembers and asks nobody. What it gives can be handed to `Context.from_dict`, or, its status, to
`Context.absorb`. Values of secrets are in it as the job said them; whoever shows or
writes it masks them first, as `Context.to_dict` does.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from events.types import ArtifactLogged

if TYPE_CHECKING:
    from tracker.known import Known

_OF_THE_RUN = ("hyperparams", "hyper_param_options")  # iterations do not repeat them


def shape_of(context: "Known") -> dict[str, Any]:
    """kind, metadata, spec and status of a run or iteration."""
    memory, iteration = context.memory, context.iteration
    spec = {key: value for key, value in memory.spec.items() if not (iteration and key in _OF_THE_RUN)}
    spec |= {"parameters": context.parameters, "inputs": dict(memory.inputs)}
    for key, value in (("input_path", memory.in_path), ("output_path", memory.out_path)):
        if value:
            spec[key] = value
    return {
        "kind": context.kind,
        "metadata": {
            "name": context.name,
            "uid": context.uid.removesuffix(f"-{iteration}") if iteration else context.uid,
            "iteration": iteration,
            "project": context.project,
            "labels": context.labels,
            "annotations": context.annotations,
        },
        "spec": spec,
        "status": _status(context),
    }


def _status(context: "Known") -> dict[str, Any]:
    memory = context.memory
    status: dict[str, Any] = {
        "state": memory.state,
        "results": context.results,
        "artifacts": {key: artifact_view(event) for key, event in memory.logged.items()},
        "start_time": _spelled(memory.started_at),
        "last_update": _spelled(memory.updated_at),
    }
    status |= {key: value for key, value in (("host", memory.host), ("error", memory.error), ("commit", memory.message)) if value}
    if table := memory.table or iteration_table(context.children):
        status["iterations"] = table
    return status


def artifact_view(event: ArtifactLogged) -> dict[str, Any]:
    """What an event says of an artifact, without what it says of the moment."""
    view: dict[str, Any] = msgspec.to_builtins(event)
    return {key: value for key, value in view.items() if key not in ("type", "time", "iteration")}


def iteration_table(children: Sequence["Known"]) -> list[list[Any]]:
    """A header (state, iter, param.*, output.*) and a row for each child; None where a child has no such value. Empty without children."""
    if not children:
        return []
    parameters, outputs = _columns([c.memory.parameters for c in children]), _columns([c.memory.results for c in children])
    header = ["state", "iter", *(f"param.{key}" for key in parameters), *(f"output.{key}" for key in outputs)]
    rows = [
        [
            child.state,
            child.iteration,
            *(child.memory.parameters.get(key) for key in parameters),
            *(child.memory.results.get(key) for key in outputs),
        ]
        for child in children
    ]
    return [header, *rows]


def _columns(values: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for one in values for key in one))


def _spelled(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat() if nanoseconds else ""
