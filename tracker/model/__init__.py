"""Tasks and runs as people describe them: `from tracker.model import new_task`. Each name is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.model.data import DataSource, DataTarget, DataTargetBase, FeatureSetProducer, TargetPathObject
    from tracker.model.fields import ModelObj
    from tracker.model.hyper import HyperParamOptions
    from tracker.model.notification import Notification
    from tracker.model.run import RunMetadata, RunSpec, RunStatus
    from tracker.model.sync_run_object import RunObject
    from tracker.model.template import RunTemplate, new_task

__all__ = [
    "DataSource", "DataTarget", "DataTargetBase", "FeatureSetProducer", "HyperParamOptions", "ModelObj", "Notification", "RunMetadata",
    "RunObject", "RunSpec", "RunStatus", "RunTemplate", "TargetPathObject", "new_task",
]  # fmt: skip

_MODULES = {
    **dict.fromkeys(("DataSource", "DataTarget", "DataTargetBase", "FeatureSetProducer", "TargetPathObject"), "data"),
    **dict.fromkeys(("RunMetadata", "RunSpec", "RunStatus"), "run"),
    **dict.fromkeys(("RunTemplate", "new_task"), "template"),
    "ModelObj": "fields",
    "HyperParamOptions": "hyper",
    "Notification": "notification",
    "RunObject": "sync_run_object",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tracker.model.{_MODULES[name]}"), name)
