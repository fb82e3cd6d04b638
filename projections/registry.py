"""All projections, in one explicit tuple. A new one is a file and a line here."""

from projections.access import Access
from projections.artifacts import Artifacts
from projections.base import Projection
from projections.console import Console
from projections.lifecycle import Runs
from projections.lineage import Lineage
from projections.metrics import Metrics
from projections.notifications import Notifications
from projections.projects import Projects

PROJECTIONS: tuple[Projection, ...] = (
    Runs(),
    Metrics(),
    Console(),
    Artifacts(),
    Projects(),
    Access(),
    Lineage(),
    Notifications(),
)
