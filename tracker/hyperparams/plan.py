"""What a search over parameters is to do, read from a run's spec and checked as a whole before anything starts.

Every fault of what a user wrote (a selector, a condition, a space that does not fit its strategy) is found here, so that no iteration runs
in vain. A run whose spec has hyper-parameters, or names a file of them, is a search; any other is not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tracker.errors import InvalidRequest
from tracker.expressions import Expression, compile_expression
from tracker.hyperparams.param_file import read_param_file
from tracker.hyperparams.selector import Selector, parse_selector
from tracker.hyperparams.strategies import Combination, Space, combinations, count, space_of

MAX_ERRORS = 3  # failures that a search goes on after, when nobody says how many
MAX_PARALLEL = 1024
LOCAL = "local"  # a Dask cluster of this machine
SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://", "inproc://")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A search that can start."""

    space: Space
    strategy: str
    total: int
    seed: str
    max_iterations: int | None = None
    selector: Selector | None = None
    stop: Expression | None = None
    max_errors: int = MAX_ERRORS
    parallel: int = 0  # 0: one after the other in this process, unless a cluster says how many it can take
    dask: str = ""  # the scheduler's address, or LOCAL
    teardown: bool = False

    def combinations(self) -> Iterator[Combination]:
        """What to try, one by one."""
        return combinations(self.space, self.strategy, max_iterations=self.max_iterations, seed=self.seed)


def is_search(spec: Any) -> bool:
    """Whether a spec asks for iterations."""
    return bool(spec.hyperparams or param_file_of(spec)) or option(spec, "strategy") == "custom"


def param_file_of(spec: Any) -> str:
    """The URL of the file with the combinations, "" when they are inline."""
    return str(getattr(spec, "param_file", None) or option(spec, "param_file") or "")


def option(spec: Any, name: str) -> Any:
    """One of the hyper-parameter options of a spec, which are an object, a dict or nothing."""
    options = getattr(spec, "hyper_param_options", None)
    return options.get(name) if isinstance(options, Mapping) else getattr(options, name, None)


def plan_of(spec: Any, seed: str, content: bytes | None = None) -> Plan:
    """The plan of a spec; `content` is what its parameter file holds. Raises InvalidRequest and InvalidExpression."""
    strategy = str(getattr(spec, "strategy", None) or option(spec, "strategy") or "")
    url = param_file_of(spec)
    if url and spec.hyperparams:
        raise InvalidRequest(f"hyper-parameters come from a file ({url}) or from a dict, not from both", field="param_file")
    if url:
        space, strategy = read_param_file(content or b"", url, strategy)
    else:
        space = space_of(spec.hyperparams or {})
    strategy = strategy or "grid"
    most = option(spec, "max_iterations")
    selector = getattr(spec, "selector", None) or option(spec, "selector")
    condition = option(spec, "stop_condition")
    plan = Plan(
        space=space,
        strategy=strategy,
        total=count(space, strategy, most),
        seed=seed,
        max_iterations=most,
        selector=parse_selector(selector) if selector else None,
        stop=compile_expression(condition, "stop_condition") if condition else None,
        max_errors=_whole(spec, "max_errors", MAX_ERRORS, 1_000_000),
        parallel=_whole(spec, "parallel_runs", 0, MAX_PARALLEL),
        dask=_dask(spec),
        teardown=bool(option(spec, "teardown_dask")),
    )
    if strategy == "custom" and (plan.dask or plan.parallel > 1 or plan.stop):
        raise InvalidRequest(
            "with the custom strategy the handler runs its own iterations: parallel_runs, stop_condition and Dask are not for it",
            field="strategy",
        )
    return plan


def _dask(spec: Any) -> str:
    """Where the Dask cluster is; "" for none."""
    address = str(option(spec, "dask_cluster_uri") or "")
    if not address and option(spec, "teardown_dask") is None:
        return ""
    if address in ("", LOCAL) or address.startswith(SCHEMES):
        return address or LOCAL
    raise InvalidRequest(
        f"dask_cluster_uri must be the address of a scheduler (tcp://host:8786) or {LOCAL!r}, a cluster of this machine, not {address!r}",
        field="dask_cluster_uri",
    )


def _whole(spec: Any, name: str, default: int, most: int) -> int:
    number = option(spec, name)
    if number is None:
        return default
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
        raise InvalidRequest(f"{name} must be a whole number from 0 to {most}, not {number!r}", field=name)
    return number
