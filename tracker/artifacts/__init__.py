"""Artifacts: what a run made, with its bytes. The names a user imports; each is loaded when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.artifacts.artifact import Artifact as Artifact
    from tracker.artifacts.chart import ChartArtifact as ChartArtifact
    from tracker.artifacts.dataset import DatasetArtifact as DatasetArtifact
    from tracker.artifacts.model import ModelArtifact as ModelArtifact
    from tracker.artifacts.plot import PlotArtifact as PlotArtifact
    from tracker.artifacts.table import TableArtifact as TableArtifact
    from tracker.artifacts.view import from_view as from_view

_HOMES = {
    "Artifact": "artifact",
    "ChartArtifact": "chart",
    "DatasetArtifact": "dataset",
    "ModelArtifact": "model",
    "PlotArtifact": "plot",
    "TableArtifact": "table",
    "from_view": "view",
}

__all__ = ["Artifact", "ChartArtifact", "DatasetArtifact", "ModelArtifact", "PlotArtifact", "TableArtifact", "from_view"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tracker.artifacts.{_HOMES[name]}"), name)
