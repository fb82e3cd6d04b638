"""The tasks and runs of the documentation, name by name: parameters in their order, with their defaults."""

import importlib
import inspect
from typing import Any

import pytest

import tracker.model
from tracker.model import run_object, sync_run_object


def none(names: str) -> dict[str, Any]:
    """Parameters that are None unless given."""
    return dict.fromkeys(names.split())


CLASSES: dict[str, dict[str, Any]] = {
    "DataSource": none("name path attributes key_field time_field schedule start_time end_time"),
    "DataTarget": {"kind": None, "name": "", "path": None, "online": None},
    "DataTargetBase": {
        "kind": None, "name": "", "path": None, "attributes": None, "after_step": None, "partitioned": False, "key_bucketing_number": None,
        "partition_cols": None, "time_partitioning_granularity": None, "max_events": None, "flush_after_seconds": None,
        "storage_options": None, "schema": None, "credentials_prefix": None,
    },
    "FeatureSetProducer": none("kind name uri owner sources"),
    "HyperParamOptions": none(
        "param_file strategy selector stop_condition parallel_runs dask_cluster_uri max_iterations max_errors teardown_dask"
    ),
    "Notification": none("kind name message severity when condition secret_params params status sent_time reason"),
    "RunMetadata": none("uid name project labels annotations iteration"),
    "RunObject": none("spec metadata status"),
    "RunSpec": none(
        "parameters hyperparams param_file selector handler inputs outputs input_path output_path function secret_sources data_stores "
        "strategy verbose scrape_metrics hyper_param_options allow_empty_resources inputs_type_hints returns notifications "
        "state_thresholds"
    ),
    "RunStatus": none(
        "state error host commit status_text results artifacts start_time last_update iterations ui_url reason notifications"
    ),
    "RunTemplate": none("spec metadata"),
    "TargetPathObject": {"base_path": None, "run_id": None, "is_single_file": False},
    "new_task": none(
        "name project handler params hyper_params param_file selector hyper_param_options inputs outputs in_path out_path artifact_path "
        "secrets base returns"
    ),
}  # fmt: skip
REQUIRED = object()
PROPERTY = object()
METHODS: list[tuple[str, str, Any]] = [
    ("DataTargetBase", "from_dict", {"struct": None, "fields": None, "deprecated_fields": None}),
    ("Notification", "validate_notification_uniqueness", {"notifications": REQUIRED}),
    ("RunObject", "artifact", {"key": REQUIRED}),
    ("RunObject", "error", PROPERTY),
    ("RunObject", "logs", {"watch": True, "db": None, "offset": 0}),
    ("RunObject", "output", {"key": REQUIRED}),
    ("RunObject", "outputs", PROPERTY),
    ("RunObject", "refresh", {}),
    ("RunObject", "show", {}),
    ("RunObject", "state", {}),
    ("RunObject", "to_json", {"exclude": None, "kwargs": REQUIRED}),
    ("RunObject", "ui_url", PROPERTY),
    ("RunObject", "uid", {}),
    (
        "RunObject",
        "wait_for_completion",
        {"sleep": 3, "timeout": 0, "raise_on_failure": True, "show_logs": None, "logs_interval": None},
    ),
    ("RunSpec", "extract_type_hints_from_inputs", {}),
    ("RunSpec", "inputs", PROPERTY),
    ("RunSpec", "inputs_type_hints", PROPERTY),
    ("RunSpec", "join_outputs_and_returns", {"outputs": REQUIRED, "returns": REQUIRED}),
    ("RunSpec", "outputs", PROPERTY),
    ("RunSpec", "returns", PROPERTY),
    ("RunTemplate", "set_label", {"key": REQUIRED, "value": REQUIRED}),
    ("RunTemplate", "with_hyper_params", {"hyperparams": REQUIRED, "selector": None, "strategy": None, "options": REQUIRED}),
    ("RunTemplate", "with_input", {"key": REQUIRED, "path": REQUIRED}),
    ("RunTemplate", "with_param_file", {"param_file": REQUIRED, "selector": None, "strategy": None, "options": REQUIRED}),
    ("RunTemplate", "with_params", {"kwargs": REQUIRED}),
    ("RunTemplate", "with_secrets", {"kind": REQUIRED, "source": REQUIRED}),
]


def parameters(function: Any) -> dict[str, Any]:
    """Names and defaults, in order."""
    empty = inspect.Parameter.empty
    found = inspect.signature(function).parameters.values()
    return {p.name: REQUIRED if p.default is empty else p.default for p in found if p.name != "self"}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_takes_the_documented_parameters(name: str) -> None:
    """A script that names or orders the parameters as the documentation does runs unchanged."""
    assert list(parameters(getattr(tracker.model, name)).items()) == list(CLASSES[name].items())


@pytest.mark.parametrize("module", ["tracker", "tracker.aio"])
@pytest.mark.parametrize("name", CLASSES)
def test_names_are_public_in_both_worlds(module: str, name: str) -> None:
    """Plain code and async code find the same names."""
    found = getattr(importlib.import_module(module), name)
    assert list(parameters(found)) == list(CLASSES[name])


@pytest.mark.parametrize(("owner", "name", "expected"), METHODS, ids=[f"{owner}.{name}" for owner, name, _ in METHODS])
def test_a_member_takes_the_documented_parameters(owner: str, name: str, expected: Any) -> None:
    """Every member of the documentation is there, with its parameters and defaults, in its sync and its async form."""
    classes = [sync_run_object.RunObject, run_object.RunObject] if owner == "RunObject" else [getattr(tracker.model, owner)]
    for kind in classes:
        member = inspect.getattr_static(kind, name)
        if expected is PROPERTY:
            assert isinstance(member, property)
        else:
            assert list(parameters(getattr(kind, name)).items()) == list(expected.items())


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt import fails as imports do."""
    with pytest.raises(AttributeError, match="no attribute 'new_tusk'"):
        _ = tracker.model.new_tusk
