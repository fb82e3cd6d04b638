"""The tracker for code in an event loop. `tracker` has the same names for code that waits. Each is loaded when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.artifacts.artifact import Artifact
    from tracker.artifacts.chart import ChartArtifact
    from tracker.artifacts.dataset import DatasetArtifact
    from tracker.artifacts.model import ModelArtifact
    from tracker.artifacts.plot import PlotArtifact
    from tracker.artifacts.table import TableArtifact
    from tracker.context import Context
    from tracker.dataitem.aio_item import DataItem, get_dataitem
    from tracker.errors import RunFailed, RunTimeout, TrackerError
    from tracker.executors.abort import abort_run
    from tracker.executors.function import run_function
    from tracker.model.data import DataSource, DataTarget, DataTargetBase, FeatureSetProducer, TargetPathObject
    from tracker.model.hyper import HyperParamOptions
    from tracker.model.notification import Notification
    from tracker.model.run import RunMetadata, RunSpec, RunStatus
    from tracker.model.run_object import RunObject
    from tracker.model.template import RunTemplate, new_task
    from tracker.opening import get_or_create_ctx

    MLClientCtx = Context

_HOMES = {
    "Artifact": "artifacts.artifact",
    "ChartArtifact": "artifacts.chart",
    "Context": "context",
    "DataItem": "dataitem.aio_item",
    "DataSource": "model.data",
    "DataTarget": "model.data",
    "DataTargetBase": "model.data",
    "DatasetArtifact": "artifacts.dataset",
    "FeatureSetProducer": "model.data",
    "HyperParamOptions": "model.hyper",
    "MLClientCtx": "context",
    "ModelArtifact": "artifacts.model",
    "Notification": "model.notification",
    "PlotArtifact": "artifacts.plot",
    "RunFailed": "errors",
    "RunMetadata": "model.run",
    "RunObject": "model.run_object",
    "RunSpec": "model.run",
    "RunStatus": "model.run",
    "RunTemplate": "model.template",
    "RunTimeout": "errors",
    "TableArtifact": "artifacts.table",
    "TargetPathObject": "model.data",
    "TrackerError": "errors",
    "abort_run": "executors.abort",
    "get_dataitem": "dataitem.aio_item",
    "get_or_create_ctx": "opening",
    "new_task": "model.template",
    "run_function": "executors.function",
}
_ALIASES = {"MLClientCtx": "Context"}

__all__ = [
    "Artifact",
    "ChartArtifact",
    "Context",
    "DataItem",
    "DataSource",
    "DataTarget",
    "DataTargetBase",
    "DatasetArtifact",
    "FeatureSetProducer",
    "HyperParamOptions",
    "MLClientCtx",
    "ModelArtifact",
    "Notification",
    "PlotArtifact",
    "RunFailed",
    "RunMetadata",
    "RunObject",
    "RunSpec",
    "RunStatus",
    "RunTemplate",
    "RunTimeout",
    "TableArtifact",
    "TargetPathObject",
    "TrackerError",
    "abort_run",
    "flush",
    "get_dataitem",
    "get_or_create_ctx",
    "new_task",
    "run_function",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tracker.aio' has no attribute {name!r}")
    found = getattr(import_module(f"tracker.{_HOMES[name]}"), _ALIASES.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


async def flush(timeout: float = 10.0) -> bool:
    """Wait until all that this process recorded is stored at its targets; False when that takes longer than `timeout` seconds."""
    import anyio.to_thread

    from tracker.connection import PROCESS

    return await anyio.to_thread.run_sync(PROCESS.flush, timeout)
