"""Descriptions of data sources and targets, and the path of a target that has a directory for each run."""

import posixpath
from datetime import datetime
from typing import Any, ClassVar

from tracker.errors import InvalidRequest
from tracker.model.fields import ModelObj, fields_of, mapping, sequence, text

PLACEHOLDER = "{run_id}"


class DataSource(ModelObj):
    """Where data comes from, online or offline."""

    kind: ClassVar[str] = ""

    def __init__(
        self,
        name: str | None = None,
        path: str | None = None,
        attributes: dict[str, object] | None = None,
        key_field: str | None = None,
        time_field: str | None = None,
        schedule: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
    ) -> None:
        self.name = text(name, "name")
        self.path = path if path is None else text(path, "path")
        self.attributes = mapping(attributes, "attributes")
        self.key_field, self.time_field, self.schedule = key_field, time_field, schedule
        self.start_time, self.end_time = _moment(start_time, "start_time"), _moment(end_time, "end_time")


class DataTargetBase(ModelObj):
    """Where data goes to."""

    secret_fields: ClassVar[tuple[str, ...]] = ("storage_options",)  # credentials are kept in them

    def __init__(
        self,
        kind: str | None = None,
        name: str = "",
        path: str | None = None,
        attributes: dict[str, str] | None = None,
        after_step: str | None = None,
        partitioned: bool = False,
        key_bucketing_number: int | None = None,
        partition_cols: list[str] | None = None,
        time_partitioning_granularity: str | None = None,
        max_events: int | None = None,
        flush_after_seconds: int | None = None,
        storage_options: dict[str, str] | None = None,
        schema: dict[str, Any] | None = None,
        credentials_prefix: str | None = None,
    ) -> None:
        self.kind, self.name = text(kind, "kind"), text(name, "name")
        self.path = path if path is None else text(path, "path")
        self.attributes = mapping(attributes, "attributes")
        self.after_step = after_step
        self.partitioned = bool(partitioned)
        self.key_bucketing_number = key_bucketing_number
        self.partition_cols = None if partition_cols is None else sequence(partition_cols, "partition_cols")
        self.time_partitioning_granularity = time_partitioning_granularity
        self.max_events, self.flush_after_seconds = max_events, flush_after_seconds
        self.storage_options = mapping(storage_options, "storage_options")
        self.schema = mapping(schema, "schema")
        self.credentials_prefix = credentials_prefix


class FeatureSetProducer(ModelObj):
    """The task or job that produced the data of a feature set."""

    def __init__(
        self,
        kind: str | None = None,
        name: str | None = None,
        uri: str | None = None,
        owner: str | None = None,
        sources: dict[str, Any] | None = None,
    ) -> None:
        self.kind, self.name, self.uri, self.owner = text(kind, "kind"), text(name, "name"), text(uri, "uri"), text(owner, "owner")
        self.sources = mapping(sources, "sources")


class DataTarget(DataTargetBase):
    """Where data went to, with what became of it: `status`, when it was `updated`, its `size`, the `producer`, the `run_id`."""

    struct_fields: ClassVar[dict[str, type[ModelObj]]] = {"producer": FeatureSetProducer}
    extra_fields: ClassVar[tuple[str, ...]] = (
        *(name for name in fields_of(DataTargetBase) if name not in ("kind", "name", "path")),
        *("status", "updated", "size", "last_written", "run_id", "producer"),
    )

    def __init__(self, kind: str | None = None, name: str = "", path: str | None = None, online: bool | None = None) -> None:
        super().__init__(kind, name, path)
        self.online = online
        self.status = ""
        self.updated: str | None = None
        self.size: int | None = None
        self.last_written: str | None = None
        self.run_id: str | None = None
        self.producer: FeatureSetProducer | None = None


class TargetPathObject:
    """A path with a place for the run's id, so that each run has a directory of its own.

    A `base_path` without `{run_id}` gets it when a `run_id` is given: as the last directory, or as the one of the file when it
    `is_single_file`. Other braces stay as they are.
    """

    def __init__(self, base_path: str | None = None, run_id: str | None = None, is_single_file: bool = False) -> None:
        path = text(base_path, "base_path")
        if not path:
            raise InvalidRequest("a target path needs a base_path", field="base_path")
        self.run_id, self.is_single_file = run_id, is_single_file
        if PLACEHOLDER in path:
            if run_id is None:
                raise InvalidRequest(f"the path {path!r} has a place for a run's id: give run_id", field="run_id")
        elif run_id is not None:
            path = _with_placeholder(path, is_single_file)
        self.full_path_template = path

    def get_templated_path(self) -> str:
        """The path with `{run_id}` in it, if a run_id was given."""
        return self.full_path_template

    def get_absolute_path(self, project_name: str | None = None) -> str:
        """The path with the run's id in it, and the project's name in place of `{project}` when one is given."""
        path = self.full_path_template
        if self.run_id is not None:
            path = path.replace(PLACEHOLDER, self.run_id)
        return path if project_name is None else path.replace("{project}", project_name)


def _with_placeholder(path: str, single_file: bool) -> str:
    if not single_file:
        return f"{path.rstrip('/')}/{PLACEHOLDER}/"
    directory, name = posixpath.split(path)
    if not name:
        raise InvalidRequest(f"{path!r} is a directory: a single file needs a name", field="base_path")
    return f"{directory.rstrip('/')}/{PLACEHOLDER}/{name}" if directory else f"{PLACEHOLDER}/{name}"


def _moment(value: datetime | str | None, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        raise InvalidRequest(f"{field} must be a datetime or its text, not {type(value).__name__}", field=field)
    return value.isoformat()
