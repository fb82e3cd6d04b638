"""Tasks: what a run is to do, before it is one. A task is made once and may be run many times; running it never changes it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from tracker.errors import InvalidRequest
from tracker.model.fields import ModelObj, fields_of, mapping, text
from tracker.model.hyper import HyperParamOptions
from tracker.model.run import RunMetadata, RunSpec

SECRET_KINDS = ("inline", "env", "file", "vault", "kubernetes", "azure_vault")


class RunTemplate(ModelObj):
    """A task: the metadata and the spec of runs to come. Its `with_...` methods return the task, so that they chain."""

    kind = "task"
    struct_fields: ClassVar[dict[str, type[ModelObj]]] = {"spec": RunSpec, "metadata": RunMetadata}
    spec: RunSpec
    metadata: RunMetadata

    def __init__(self, spec: RunSpec | None = None, metadata: RunMetadata | None = None) -> None:
        self.spec = spec if spec is not None else RunSpec()
        self.metadata = metadata if metadata is not None else RunMetadata()

    def with_params(self, **kwargs: Any) -> Self:
        """Set the parameters; those of an earlier call are replaced."""
        self.spec.parameters = kwargs
        return self

    def with_input(self, key: str, path: str) -> Self:
        """Add an input: its name, or "name : type", and its path, URL or store:// name."""
        self.spec.inputs[text(key, "key")] = text(path, "path")
        return self

    def with_hyper_params(
        self, hyperparams: dict[str, Any], selector: str | None = None, strategy: str | None = None, **options: Any
    ) -> Self:
        """Set the values that each hyper-parameter takes, and how they are tried; `options` are those of HyperParamOptions.

        task.with_hyper_params({"p1": [2, 4, 1], "p2": [10, 20]}, selector="max.accuracy")
        """
        self.spec.hyperparams = mapping(hyperparams, "hyperparams")
        self.spec.hyper_param_options = _options(selector=selector, strategy=strategy, **options)
        return self

    def with_param_file(self, param_file: str, selector: str | None = None, strategy: str | None = None, **options: Any) -> Self:
        """Take the combinations of parameters from a CSV or JSON file, by path or URL; `options` are those of HyperParamOptions."""
        self.spec.hyper_param_options = _options(param_file=param_file, selector=selector, strategy=strategy, **options)
        return self

    def with_secrets(self, kind: str, source: Any) -> Self:
        """Add a source of secrets: inline, env, file, vault, kubernetes or azure_vault. Nothing is read before the run begins.

        task.with_secrets("file", "file.txt").with_secrets("inline", {"key": "val"}).with_secrets("env", "ENV1,ENV2")
        """
        if kind not in SECRET_KINDS:
            raise InvalidRequest(f"there are no secrets of kind {kind!r}: use one of {', '.join(SECRET_KINDS)}", field="kind")
        self.spec.secret_sources.append({"kind": kind, "source": source})
        return self

    def set_label(self, key: str, value: Any) -> Self:
        """Set a label, as text."""
        self.metadata.labels[text(key, "key")] = str(value)
        return self


def new_task(
    name: str | None = None,
    project: str | None = None,
    handler: str | Callable[..., Any] | None = None,
    params: dict[str, Any] | None = None,
    hyper_params: dict[str, Any] | None = None,
    param_file: str | None = None,
    selector: str | None = None,
    hyper_param_options: HyperParamOptions | dict[str, Any] | None = None,
    inputs: dict[str, str] | None = None,
    outputs: list[str] | dict[str, str] | None = None,
    in_path: str | None = None,
    out_path: str | None = None,
    artifact_path: str | None = None,
    secrets: Sequence[str] | Mapping[str, Any] | None = None,
    base: RunTemplate | dict[str, Any] | None = None,
    returns: list[str | dict[str, Any]] | None = None,
) -> RunTemplate:
    """A task; with `base`, one that begins as a copy of another, which what is given here changes.

    `out_path` and `artifact_path` are two names for where artifacts go. `secrets` are sources: "file=<path>", "env=A,B", or dicts with kind
    and source. Raises InvalidRequest naming the argument at fault.
    """
    task = base.copy() if type(base) is RunTemplate else RunTemplate.from_dict(base)
    metadata, spec = task.metadata, task.spec
    metadata.name, metadata.project = text(name, "name") or metadata.name, text(project, "project") or metadata.project
    metadata.uid, metadata.iteration = ("", 0) if base is not None else (metadata.uid, metadata.iteration)
    spec.handler = handler or spec.handler
    spec.parameters = mapping(params, "params") or spec.parameters
    spec.hyperparams = mapping(hyper_params, "hyper_params") or spec.hyperparams
    if hyper_param_options is not None:
        spec.hyper_param_options = HyperParamOptions.from_dict(hyper_param_options)
    spec.hyper_param_options.param_file = param_file or spec.hyper_param_options.param_file
    spec.hyper_param_options.selector = selector or spec.hyper_param_options.selector
    spec.hyper_param_options.validate()
    spec.inputs = mapping(inputs, "inputs") or spec.inputs
    if outputs is not None:
        spec.outputs = outputs
    if returns is not None:
        spec.returns = returns
    spec.input_path = text(in_path, "in_path") or spec.input_path
    spec.output_path = text(artifact_path, "artifact_path") or text(out_path, "out_path") or spec.output_path
    spec.secret_sources = [*spec.secret_sources, *_sources(secrets)]
    return task


def _options(**options: Any) -> HyperParamOptions:
    known = fields_of(HyperParamOptions)
    for name in options:
        if name not in known:
            raise InvalidRequest(f"there is no hyper-parameter option {name!r}: there are {', '.join(known)}", field=name)
    found = HyperParamOptions(**options)
    found.validate()
    return found


def _sources(secrets: Any) -> list[dict[str, Any]]:
    """Sources of secrets as a task has them. Errors never show a source, which may be a secret itself."""
    if secrets is None:
        return []
    if not isinstance(secrets, str | Mapping | list | tuple):
        raise InvalidRequest(f"secrets must be a list of sources, not {type(secrets).__name__}", field="secrets")
    probe = RunTemplate()
    for given in [secrets] if isinstance(secrets, (str, Mapping)) else secrets:
        if isinstance(given, Mapping) and set(given) == {"kind", "source"}:
            probe.with_secrets(str(given["kind"]), given["source"])
        elif isinstance(given, str) and "=" in given:
            kind, _, source = given.partition("=")
            probe.with_secrets(kind.strip() if kind.strip() in SECRET_KINDS else "?", source.strip())
        else:
            raise InvalidRequest("secrets are sources: 'file=<path>', 'env=NAME1,NAME2', or {'kind': ..., 'source': ...}", field="secrets")
    return probe.spec.secret_sources
