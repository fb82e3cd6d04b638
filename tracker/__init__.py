"""A run tracker: what a job says is kept in a local journal at once, stored at its target in the background, and never in the job's way.

    with tracker.get_or_create_ctx("train", project="demo") as run:
        run.log_metric("loss", 0.3)

`tracker.aio` has the same names for code in an event loop. Each name is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker import aio as aio
    from tracker.artifacts.artifact import Artifact
    from tracker.artifacts.chart import ChartArtifact
    from tracker.artifacts.dataset import DatasetArtifact
    from tracker.artifacts.model import ModelArtifact
    from tracker.artifacts.plot import PlotArtifact
    from tracker.artifacts.table import TableArtifact
    from tracker.dataitem.item import DataItem, get_dataitem
    from tracker.errors import RunFailed, RunTimeout, TrackerError
    from tracker.executors.sync_function import abort_run, run_function
    from tracker.model.data import DataSource, DataTarget, DataTargetBase, FeatureSetProducer, TargetPathObject
    from tracker.model.hyper import HyperParamOptions
    from tracker.model.notification import Notification
    from tracker.model.run import RunMetadata, RunSpec, RunStatus
    from tracker.model.sync_run_object import RunObject
    from tracker.model.template import RunTemplate, new_task
    from tracker.sync import Context, flush, get_or_create_ctx

    MLClientCtx = Context

_HOMES = {
    "Artifact": "artifacts.artifact",
    "ChartArtifact": "artifacts.chart",
    "Context": "sync",
    "DataItem": "dataitem.item",
    "DataSource": "model.data",
    "DataTarget": "model.data",
    "DataTargetBase": "model.data",
    "DatasetArtifact": "artifacts.dataset",
    "FeatureSetProducer": "model.data",
    "HyperParamOptions": "model.hyper",
    "MLClientCtx": "sync",
    "ModelArtifact": "artifacts.model",
    "Notification": "model.notification",
    "PlotArtifact": "artifacts.plot",
    "RunFailed": "errors",
    "RunMetadata": "model.run",
    "RunObject": "model.sync_run_object",
    "RunSpec": "model.run",
    "RunStatus": "model.run",
    "RunTemplate": "model.template",
    "RunTimeout": "errors",
    "TableArtifact": "artifacts.table",
    "TargetPathObject": "model.data",
    "TrackerError": "errors",
    "abort_run": "executors.sync_function",
    "flush": "sync",
    "get_dataitem": "dataitem.item",
    "get_or_create_ctx": "sync",
    "new_task": "model.template",
    "run_function": "executors.sync_function",
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
    if name == "aio":
        return import_module("tracker.aio")  # which makes it an attribute
    if name not in _HOMES:
        raise AttributeError(f"module 'tracker' has no attribute {name!r}")
    found = getattr(import_module(f"tracker.{_HOMES[name]}"), _ALIASES.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "aio"})
