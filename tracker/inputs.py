"""What a context reads for its run: inputs, data items, artifacts of other runs, secrets, parameters of the project.

Getting a data item does no I/O and is recorded; a store:// name is resolved by the item's first use, and then it is recorded, too, which
version of which artifact the run read: that is lineage.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, overload

from events.types import InputRead
from tracker.dataitem import item as blocking
from tracker.dataitem.aio_item import DataItem
from tracker.dataitem.credentials import Credentials
from tracker.dataitem.nested import each, shape_of, top_of
from tracker.dataitem.resolving import Stored
from tracker.dataitem.store_uri import is_store_uri, parse_store_uri
from tracker.dataitem.urls import MASK, check_url, is_relative, joined, secrets_in, shown
from tracker.errors import InvalidRequest, NotFound
from tracker.outputs import Outputs
from tracker.values import key_of


class Inputs(Outputs):
    """The part of a context that reads."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._items: dict[str, blocking.DataItem] = {}
        self._read: set[tuple[str, str]] = set()  # inputs and what they were resolved to, as recorded
        self.remembered: set[str] = set()  # inputs that an earlier attempt named for itself: it may name them otherwise now
        self._project_params: dict[str, Any] | None = None

    @property
    def inputs(self) -> dict[str, DataItem]:
        """The data item of every input, by key. No I/O."""
        return each("", self.blocking_inputs, lambda _, item: DataItem(item))  # type: ignore[no-any-return]

    @overload
    def get_input(self, key: str, url: str | os.PathLike[str] = "") -> DataItem: ...
    @overload
    def get_input(self, key: str, url: dict[str, Any] | list[Any] | tuple[Any, ...]) -> Any: ...
    def get_input(self, key: str, url: Any = "") -> Any:
        """The data item of an input. One that the run was not given gets `url`, or its key as path; a relative path begins at `in_path`. A
        list or dict of URLs is a list or dict of data items."""
        return each("", self.blocking_input(key, url), lambda _, item: DataItem(item))

    def get_dataitem(self, url: str | os.PathLike[str], secrets: Mapping[str, Any] | None = None) -> DataItem:
        """The data at a path, a URL or a store:// name; `secrets` are credentials that go before the run's own."""
        return DataItem(self.blocking_dataitem(url, secrets))

    async def get_store_resource(self, url: str, secrets: Mapping[str, Any] | None = None) -> Any:
        """The artifact with a store:// name. Raises NotFound when it does not resolve."""
        from tracker.artifacts.view import from_view

        parse_store_uri(check_url(url))  # nothing else is a resource
        item = await self.get_dataitem(url, secrets).resolve()
        return from_view(item.blocking.view, lambda _artifact: item)

    async def get_project_param(self, key: str, default: Any = None) -> Any:
        """A parameter of the project, or the default; the project is asked for once."""
        key = key_of(key)
        if self._project_params is None:
            try:
                project = await asyncio.wrap_future(self.connection.ask("GET", f"/v1/projects/{self._project}"))
            except NotFound:
                project = {}
            self._project_params = dict(project.get("parameters") or {})
        return deepcopy(self._project_params.get(key, default))

    def get_secret(self, key: str) -> str | None:
        """The value of a secret the run was given, None when it was given none of this name."""
        return self.secrets.get(key_of(key))

    @property
    def blocking_inputs(self) -> dict[str, Any]:
        """`inputs`, for code that waits."""
        tops = dict.fromkeys(map(top_of, self.memory.inputs))
        shapes = {top: "" if top in self.memory.inputs else shape_of(self.memory.inputs, top) for top in tops}
        return {top: each(top, shape, lambda key, _: self._item_of(key)) for top, shape in shapes.items()}

    def blocking_input(self, key: str, url: Any = "") -> Any:
        """`get_input`, for code that waits."""
        key, several = key_of(key), isinstance(url, (dict, list, tuple))
        given = [name for name in self.memory.inputs if not (url and name in self.remembered)]
        shape = ("" if several else url) if key in given else shape_of(given, key) or url
        return each(key, shape, self._one_input)

    def _one_input(self, key: str, url: str | os.PathLike[str]) -> blocking.DataItem:
        known = self.memory.inputs.get(key, "")
        if url and (not known or key in self.remembered or known == shown(check_url(url))):
            self.remembered.discard(key)
            self.memory.inputs[key] = check_url(url)
        elif not known:
            self.memory.inputs[key] = check_url(key)
        elif MASK in known:
            raise InvalidRequest(f"the URL of input {key!r} was recorded without what is secret in it, {known}: give it again", field="url")
        item = self._item_of(key)
        self._record_input(key, item.artifact_url)
        return item

    def blocking_dataitem(self, url: str | os.PathLike[str], secrets: Mapping[str, Any] | None = None) -> blocking.DataItem:
        """`get_dataitem`, for code that waits."""
        text = check_url(url)
        credentials = Credentials(secrets, self.secrets)
        if secrets:
            self.secrets.hide(credentials.hidden)
        key = parse_store_uri(text).key if is_store_uri(text) else ""
        return self._item(text, "", credentials, key)

    def _item_of(self, key: str) -> blocking.DataItem:
        url = self.memory.inputs[key]
        place = joined(self.memory.in_path, url) if self.memory.in_path and is_relative(url) else url
        item = self._items.get(key)
        if item is None or item.artifact_url != place:
            item = self._items[key] = self._item(place, key, Credentials(None, self.secrets), key)
        return item

    def _item(self, url: str, key: str, credentials: Credentials, recorded_as: str) -> blocking.DataItem:
        def resolved(stored: Stored) -> None:
            self._record_input(recorded_as, url, stored)

        if found := secrets_in(url):
            self.secrets.hide(found)  # whatever is raised or printed from now on
        return blocking.DataItem(url, key, credentials=credentials, connection=self.connection, on_resolved=resolved)

    def _record_input(self, key: str, url: str, stored: Stored | None = None) -> None:
        known = (key, f"{stored.name}:{stored.version}:{stored.digest}" if stored else url)
        if known in self._read:
            return
        self._read.add(known)
        event = InputRead(time=time.time_ns(), iteration=self._iteration, key=key, url=shown(url))
        if stored is not None:
            event = InputRead(
                time=event.time,
                iteration=event.iteration,
                key=key,
                url=event.url,
                artifact=stored.name,
                version=stored.version,
                digest=stored.digest,
            )
        self.record(event)
