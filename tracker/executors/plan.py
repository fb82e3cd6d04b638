"""What a search over parameters is to do, read from a run's spec and checked as a whole before anything starts.

Every fault of what a user wrote (a selector, a condition, a space that does not fit its strategy) is found here, so that no iteration runs
in vain.
"""

from collections.abc import Iterator

import msgspec

from tracker.errors import InvalidRequest
from tracker.expressions import Expression, compile_expression
from tracker.hyperparams.param_file import read_param_file
from tracker.hyperparams.selector import Selector, parse_selector
from tracker.hyperparams.strategies import Combination, Space, combinations, count, space_of
from tracker.model.hyper import HyperParamOptions
from tracker.model.run import RunSpec

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


def plan_of(spec: RunSpec, seed: str, content: bytes | None = None) -> Plan:
    """The plan of a spec; `content` is what its parameter file holds. Raises InvalidRequest and InvalidExpression."""
    options = spec.hyper_param_options
    strategy, url = options.strategy or "", options.param_file or ""
    if url and spec.hyperparams:
        raise InvalidRequest(f"hyper-parameters come from a file ({url}) or from a dict, not from both", field="param_file")
    if url:
        space, strategy = read_param_file(content or b"", url, strategy)
    else:
        space = space_of(spec.hyperparams or {})
    strategy = strategy or "grid"
    plan = Plan(
        space=space,
        strategy=strategy,
        total=count(space, strategy, options.max_iterations),
        seed=seed,
        max_iterations=options.max_iterations,
        selector=parse_selector(options.selector) if options.selector else None,
        stop=compile_expression(options.stop_condition, "stop_condition") if options.stop_condition else None,
        max_errors=_whole(options, "max_errors", MAX_ERRORS, 1_000_000),
        parallel=_whole(options, "parallel_runs", 0, MAX_PARALLEL),
        dask=_dask(options),
        teardown=bool(options.teardown_dask),
    )
    if strategy == "custom" and (plan.dask or plan.parallel > 1 or plan.stop or options.max_errors is not None):
        raise InvalidRequest(
            "with the custom strategy the handler runs its own iterations: parallel_runs, stop_condition, max_errors, Dask are not for it",
            field="strategy",
        )
    return plan


def _dask(options: HyperParamOptions) -> str:
    """Where the Dask cluster is; "" for none."""
    address = str(options.dask_cluster_uri or "")
    if not address:
        return LOCAL if options.teardown_dask else ""
    if address == LOCAL or address.startswith(SCHEMES):
        return address
    raise InvalidRequest(
        f"dask_cluster_uri must be the address of a scheduler (tcp://host:8786) or {LOCAL!r}, a cluster of this machine, not {address!r}",
        field="dask_cluster_uri",
    )


def _whole(options: HyperParamOptions, name: str, default: int, most: int) -> int:
    number = getattr(options, name)
    if number is None:
        return default
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
        raise InvalidRequest(f"{name} must be a whole number from 0 to {most}, not {number!r}", field=name)
    return number
