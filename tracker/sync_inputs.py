"""What a context reads for its run, for code that waits."""

import os
from collections.abc import Mapping
from typing import Any, overload

from tracker.dataitem.item import DataItem
from tracker.dataitem.store_uri import parse_store_uri
from tracker.dataitem.urls import check_url
from tracker.sync_outputs import Outputs, wait


class Inputs(Outputs):
    """The part of a context that reads."""

    @property
    def inputs(self) -> dict[str, DataItem]:
        """The data item of every input, by key. No I/O."""
        return self._context.blocking_inputs

    @overload
    def get_input(self, key: str, url: str | os.PathLike[str] = "") -> DataItem: ...
    @overload
    def get_input(self, key: str, url: dict[str, Any] | list[Any] | tuple[Any, ...]) -> Any: ...
    def get_input(self, key: str, url: Any = "") -> Any:
        """The data item of an input. One that the run was not given gets `url`, or its key as path; a relative path begins at `in_path`. A
        list or dict of URLs is a list or dict of data items."""
        return self._context.blocking_input(key, url)

    def get_dataitem(self, url: str | os.PathLike[str], secrets: Mapping[str, Any] | None = None) -> DataItem:
        """The data at a path, a URL or a store:// name; `secrets` are credentials that go before the run's own."""
        return self._context.blocking_dataitem(url, secrets)

    def get_store_resource(self, url: str, secrets: Mapping[str, Any] | None = None) -> Any:
        """The artifact with a store:// name. Raises NotFound when it does not resolve."""
        from tracker.artifacts.view import from_view

        parse_store_uri(check_url(url))  # nothing else is a resource
        item = self._context.blocking_dataitem(url, secrets).resolve()
        return from_view(item.view, lambda _artifact: item)

    def get_project_param(self, key: str, default: Any = None) -> Any:
        """A parameter of the project, or the default; the project is asked for once."""
        return wait(self._context.get_project_param(key, default))

    def get_secret(self, key: str) -> str | None:
        """The value of a secret the run was given, None when it was given none of this name."""
        return self._context.get_secret(key)
