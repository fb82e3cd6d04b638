"""A run as three descriptions: metadata (who it is), spec (what was asked for), status (what became of it).

A spec knows each choice once: `selector`, `strategy` and `param_file` are read from and written to its `hyper_param_options`. What is
secret (`secret_sources`, notifications' `secret_params`) is left out of plain values unless asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from typing import Any, ClassVar, Self

from tracker.errors import InvalidRequest
from tracker.model.fields import ModelObj, mapping, sequence, text
from tracker.model.hints import parse_hint, parse_input_key
from tracker.model.hyper import HyperParamOptions
from tracker.model.notification import Notification, notifications_of
from tracker.values import step_of


class RunMetadata(ModelObj):
    """Who a run is: uid, name, project, labels, annotations; iteration 0 is the run itself."""

    strip_fields: ClassVar[tuple[str, ...]] = ("uid", "iteration")

    def __init__(
        self,
        uid: str | None = None,
        name: str | None = None,
        project: str | None = None,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        iteration: int | None = None,
    ) -> None:
        self.uid, self.name, self.project = text(uid, "uid"), text(name, "name"), text(project, "project")
        self.labels = mapping(labels, "labels")
        self.annotations = mapping(annotations, "annotations")
        self.iteration = step_of(iteration or 0)


class RunSpec(ModelObj):
    """What a run is to do: the handler, its parameters and inputs, what it is to give back, where things are, and how it is run.

    `verbose` has its logger write debug lines, too. `function`, `data_stores`, `scrape_metrics` and `allow_empty_resources` are facts about
    a job for who reads its description: they are recorded with the run, and nothing here acts on them.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("secret_sources",)
    struct_fields: ClassVar[dict[str, type[ModelObj]]] = {"hyper_param_options": HyperParamOptions}
    hyper_param_options: HyperParamOptions

    def __init__(
        self,
        parameters: dict[str, Any] | None = None,
        hyperparams: dict[str, Any] | None = None,
        param_file: str | None = None,
        selector: str | None = None,
        handler: str | Callable[..., Any] | None = None,
        inputs: dict[str, str] | None = None,
        outputs: list[str] | None = None,
        input_path: str | None = None,
        output_path: str | None = None,
        function: str | None = None,
        secret_sources: list[dict[str, Any]] | None = None,
        data_stores: list[Any] | None = None,
        strategy: str | None = None,
        verbose: bool | None = None,
        scrape_metrics: bool | None = None,
        hyper_param_options: HyperParamOptions | dict[str, Any] | None = None,
        allow_empty_resources: bool | None = None,
        inputs_type_hints: dict[str, str] | None = None,
        returns: list[str | dict[str, Any]] | None = None,
        notifications: list[Notification] | None = None,
        state_thresholds: dict[str, Any] | None = None,
    ) -> None:
        self.parameters = mapping(parameters, "parameters")
        self.hyperparams = mapping(hyperparams, "hyperparams")
        self.hyper_param_options = HyperParamOptions.from_dict(hyper_param_options)
        for name, value in (("param_file", param_file), ("selector", selector), ("strategy", strategy)):
            if value is not None:
                setattr(self.hyper_param_options, name, value)
        self.handler = handler
        self.inputs = inputs
        self.inputs_type_hints = inputs_type_hints
        self._outputs = _keys(outputs)
        self.returns = returns
        self.input_path, self.output_path = text(input_path, "input_path"), text(output_path, "output_path")
        self.function = text(function, "function")
        self.secret_sources = sequence(secret_sources, "secret_sources")
        self.data_stores = sequence(data_stores, "data_stores")
        self.verbose, self.scrape_metrics, self.allow_empty_resources = verbose, scrape_metrics, allow_empty_resources
        self.notifications = notifications_of(notifications)
        self.state_thresholds = mapping(state_thresholds, "state_thresholds")

    def to_dict(
        self, fields: Sequence[str] | None = None, exclude: Sequence[str] | None = None, strip: bool = False, *, secrets: bool = False
    ) -> dict[str, Any]:
        """Plain values; a handler that is not text (a function) is left out, and options stand under `hyper_param_options` only."""
        left_out = ["param_file", "selector", "strategy", *(exclude or ())]
        if not isinstance(self.handler, str):
            left_out.append("handler")
        struct = super().to_dict(fields, left_out, strip, secrets=secrets)
        if "outputs" in struct:
            struct["outputs"] = list(self._outputs)
            if not self._outputs:
                del struct["outputs"]
        return struct

    @classmethod
    def from_dict(cls, struct: Any = None, fields: Sequence[str] | None = None, deprecated_fields: Mapping[str, str] | None = None) -> Self:
        """A spec from plain values, in which paths may have the names that contexts give them: in_path, out_path, artifact_path."""
        names = {"in_path": "input_path", "artifact_path": "output_path", "out_path": "output_path", **(deprecated_fields or {})}
        return super().from_dict(struct, fields, names)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if callable(self.handler):  # a method brings its object with it, which is not ours to copy
            memo[id(self.handler)] = self.handler
        twin = copy(self)
        vars(twin).update({name: deepcopy(value, memo) for name, value in vars(self).items()})
        return twin

    @property
    def param_file(self) -> str | None:
        """The file that the combinations of parameters come from, as `hyper_param_options` have it."""
        return self.hyper_param_options.param_file

    @param_file.setter
    def param_file(self, param_file: str | None) -> None:
        self.hyper_param_options.param_file = param_file

    @property
    def selector(self) -> str | None:
        """What makes an iteration the best one, as `hyper_param_options` have it."""
        return self.hyper_param_options.selector

    @selector.setter
    def selector(self, selector: str | None) -> None:
        self.hyper_param_options.selector = selector

    @property
    def strategy(self) -> str | None:
        """How combinations are made, as `hyper_param_options` have it."""
        return self.hyper_param_options.strategy

    @strategy.setter
    def strategy(self, strategy: str | None) -> None:
        self.hyper_param_options.strategy = strategy

    @property
    def inputs(self) -> dict[str, str]:
        """Paths and URLs by the names of the inputs."""
        return self._inputs

    @inputs.setter
    def inputs(self, inputs: dict[str, str] | None) -> None:
        self._inputs = mapping(inputs, "inputs")

    @property
    def inputs_type_hints(self) -> dict[str, str]:
        """What type an input is wanted as, by its name; without one it is a data item."""
        return self._inputs_type_hints

    @inputs_type_hints.setter
    def inputs_type_hints(self, hints: dict[str, str] | None) -> None:
        self._inputs_type_hints = mapping(hints, "inputs_type_hints")

    @property
    def returns(self) -> list[str | dict[str, Any]]:
        """The log hints of the values that the handler returns."""
        return self._returns

    @returns.setter
    def returns(self, returns: Sequence[str | dict[str, Any]] | None) -> None:
        found = sequence(returns, "returns")
        for hint in found:
            parse_hint(hint)
        self._returns = found

    @property
    def outputs(self) -> list[str]:
        """The keys that the run is expected to log: those said, and those of the returned values."""
        return self.join_outputs_and_returns(self._outputs, self._returns)

    @outputs.setter
    def outputs(self, outputs: Sequence[str] | Mapping[str, Any] | None) -> None:
        self._outputs = _keys(outputs)

    def extract_type_hints_from_inputs(self) -> None:
        """Move the types from the inputs' keys ("data : pandas.DataFrame") into `inputs_type_hints`. Raises InvalidRequest."""
        inputs: dict[str, str] = {}
        hints = dict(self._inputs_type_hints)
        for key, url in self._inputs.items():
            name, kind = parse_input_key(key)
            if name in inputs:
                raise InvalidRequest(f"the input {name!r} is given twice", field="inputs")
            inputs[name] = url
            if kind:
                hints[name] = kind
        self._inputs, self._inputs_type_hints = inputs, hints

    @staticmethod
    def join_outputs_and_returns(outputs: list[str], returns: list[str | dict[str, Any]]) -> list[str]:
        """The keys of both, the outputs first, each once. Raises InvalidRequest for a log hint without a key."""
        return list(dict.fromkeys([*(outputs or ()), *(parse_hint(hint).key for hint in returns or ())]))


class RunStatus(ModelObj):
    """What became of a run: state, results, artifacts, the table of its iterations, and the notifications that were sent."""

    strip_fields: ClassVar[tuple[str, ...]] = (
        "state", "error", "host", "commit", "status_text", "results", "artifacts", "start_time", "last_update", "iterations", "ui_url",
        "reason", "notifications",
    )  # fmt: skip

    def __init__(
        self,
        state: str | None = None,
        error: str | None = None,
        host: str | None = None,
        commit: str | None = None,
        status_text: str | None = None,
        results: dict[str, Any] | None = None,
        artifacts: list[dict[str, Any]] | dict[str, dict[str, Any]] | None = None,
        start_time: str | None = None,
        last_update: str | None = None,
        iterations: list[list[Any]] | None = None,
        ui_url: str | None = None,
        reason: str | None = None,
        notifications: dict[str, Notification] | None = None,
    ) -> None:
        self.state = text(state, "state") or "created"
        self.error, self.host, self.commit = text(error, "error"), text(host, "host"), text(commit, "commit")
        self.status_text, self.reason = text(status_text, "status_text"), text(reason, "reason")
        self.results = mapping(results, "results")
        self.artifacts = sequence(list(artifacts.values()) if isinstance(artifacts, dict) else artifacts, "artifacts")
        self.start_time, self.last_update = text(start_time, "start_time"), text(last_update, "last_update")
        self.iterations = sequence(iterations, "iterations")
        self.ui_url = text(ui_url, "ui_url")
        self.notifications = {
            name: item if isinstance(item, Notification) else Notification.from_dict(item)
            for name, item in mapping(notifications, "notifications").items()
        }


def _keys(outputs: Any) -> list[str]:
    """The keys of expected outputs, of a dict, too. Raises InvalidRequest for a dict with paths: whoever logs a key says where it goes."""
    if isinstance(outputs, Mapping) and any(outputs.values()):
        key = next(key for key, path in outputs.items() if path)
        raise InvalidRequest(
            f"the output {key!r} is given a path, which is said where it is logged: log_artifact({key!r}, target_path=..., upload=True), "
            "or by out_path for all",
            field="outputs",
        )
    return [text(key, "outputs") for key in (outputs if isinstance(outputs, Mapping) else sequence(outputs, "outputs"))]
