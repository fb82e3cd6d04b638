"""Options of a search over hyper-parameters: what a person says of it, checked when it is said."""

from typing import Any

from tracker.errors import InvalidRequest
from tracker.expressions import compile_expression
from tracker.hyperparams.selector import parse_selector
from tracker.model.fields import ModelObj, text

STRATEGIES = ("grid", "list", "random", "custom")


class HyperParamOptions(ModelObj):
    """How combinations of hyper-parameters are made, run, compared and ended. Everything is optional.

    `param_file` is a path or URL of a CSV or JSON file with the values; `strategy` is grid, list, random or custom (the handler makes its
    own iterations); `selector` says which result is best ([min.|max.]result), `stop_condition` when to stop ("accuracy > 0.9");
    `parallel_runs` is how many run at once, in processes or on the Dask cluster at `dask_cluster_uri` ("local": one that the run starts);
    `max_iterations` is for random; more than `max_errors` failures end the search; `teardown_dask` stops the cluster afterwards.
    """

    def __init__(
        self,
        param_file: str | None = None,
        strategy: str | None = None,
        selector: str | None = None,
        stop_condition: str | None = None,
        parallel_runs: int | None = None,
        dask_cluster_uri: str | None = None,
        max_iterations: int | None = None,
        max_errors: int | None = None,
        teardown_dask: bool | None = None,
    ) -> None:
        self.param_file = param_file
        self.strategy = strategy
        self.selector = selector
        self.stop_condition = stop_condition
        self.parallel_runs = parallel_runs
        self.dask_cluster_uri = dask_cluster_uri
        self.max_iterations = max_iterations
        self.max_errors = max_errors
        self.teardown_dask = teardown_dask

    def validate(self) -> None:
        """Raises InvalidRequest naming the option at fault, InvalidExpression for a selector or condition that does not parse."""
        self.param_file = text(self.param_file, "param_file") or None
        self.strategy = text(self.strategy, "strategy") or None
        if self.strategy is not None and self.strategy not in STRATEGIES:
            raise InvalidRequest(f"strategy must be one of {', '.join(STRATEGIES)}, not {self.strategy!r}", field="strategy")
        if text(self.selector, "selector"):
            parse_selector(str(self.selector))
        if text(self.stop_condition, "stop_condition"):
            compile_expression(str(self.stop_condition), "stop_condition")
        text(self.dask_cluster_uri, "dask_cluster_uri")
        for name, least in (("parallel_runs", 0), ("max_iterations", 1), ("max_errors", 0)):
            _check_count(name, getattr(self, name), least)
        if self.max_iterations and self.strategy != "random":
            raise InvalidRequest(
                f"max_iterations is for the random strategy; the {self.strategy or 'grid'} strategy tries all there are",
                field="max_iterations",
            )
        if self.teardown_dask is not None and not isinstance(self.teardown_dask, bool):
            raise InvalidRequest(f"teardown_dask must be True or False, not {self.teardown_dask!r}", field="teardown_dask")


def _check_count(name: str, value: Any, least: int) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise InvalidRequest(f"{name} must be a whole number, {least} or more, not {value!r}", field=name)
