"""All projections, in one explicit tuple. A new one is a file and a line here."""

from projections.base import Projection
from projections.console import Console
from projections.lifecycle import Runs
from projections.metrics import Metrics

PROJECTIONS: tuple[Projection, ...] = (Runs(), Metrics(), Console())
