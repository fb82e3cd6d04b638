"""A context as plain values, in the shape that users of execution contexts know: kind, metadata, spec, status."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tracker.context import Context


def shape(context: "Context") -> dict[str, Any]:
    """kind, metadata, spec and status of a run or iteration."""
    memory = context.memory
    status: dict[str, Any] = {
        "state": memory.state,
        "results": context.results,
        "artifacts": {key: msgspec.to_builtins(artifact) for key, artifact in memory.artifacts.items()},
        "start_time": _spelled(memory.started_at),
        "last_update": _spelled(memory.updated_at),
    }
    if memory.error:
        status["error"] = memory.error
    if children := context.children:
        status["iterations"] = [
            {"iteration": child.iteration, "state": child.state, "parameters": child.parameters, "results": child.results}
            for child in children
        ]
    return {
        "kind": context.kind,
        "metadata": {
            "name": context.name,
            "uid": context.uid.removesuffix(f"-{context.iteration}") if context.iteration else context.uid,
            "iteration": context.iteration,
            "project": context.project,
            "labels": context.labels,
            "annotations": context.annotations,
        },
        "spec": {"parameters": context.parameters, "inputs": dict(memory.inputs)},
        "status": status,
    }


def _spelled(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat() if nanoseconds else ""
