"""Which version of the tracker this is."""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _installed


@cache
def version() -> str:
    """The version of the installed distribution, "0" when the packages were not installed."""
    try:
        return _installed("run-tracker")
    except PackageNotFoundError:
        return "0"
