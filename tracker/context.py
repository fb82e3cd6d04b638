"""The execution context: what a job says about itself while it works.

Methods that record do it at once, in the caller's thread, and return an awaitable that is ready: `context.log_metric(...)` and `await
context.log_metric(...)` do the same, so a forgotten await loses nothing. Methods that have to wait for something (the target's
acknowledgement, the hashing of a file) are coroutines. What was recorded here is remembered here: properties never ask anybody.
The context of a child iteration shares the run's stream; its events carry its number.
"""

import os
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import anyio
import anyio.to_thread

from events.types import RunCommitted
from tracker import ambient
from tracker.artifacts.outside import base_of
from tracker.children import Children
from tracker.connection import PROCESS, Connection
from tracker.errors import InvalidRequest
from tracker.known import Memory
from tracker.preparing import Prepared, prepared_from
from tracker.recorded import Recorded
from tracker.recorder import new_id
from tracker.secrets.store import SecretsStore
from tracker.shape import shape_of
from tracker.values import text_of


class Context(Children):
    """A run, or a child iteration of one. Made by `get_or_create_ctx`, `from_dict` and `get_child_context`; an async context manager."""

    def __init__(
        self,
        connection: Connection,
        *,
        project: str,
        uid: str,
        name: str,
        memory: Memory | None = None,
        parent: "Context | None" = None,
        iteration: int = 0,
        prepare: Callable[["Context"], Coroutine[Any, Any, None]] | None = None,
        autocommit: bool = False,
        tmp: str | os.PathLike[str] = "",
        remote: bool = False,
    ) -> None:
        super().__init__(connection, project, uid, name, iteration, memory or Memory(), parent=parent, remote=remote)
        if not isinstance(tmp, str | os.PathLike):
            raise InvalidRequest(f"tmp is the path of a file, not {type(tmp).__name__}", field="tmp")
        self._autocommit, self._tmp = autocommit, Path(tmp) if tmp else None
        self._prepare, self._asking = prepare, anyio.Lock()
        if autocommit:
            self._reply = Recorded(self._acknowledged)
        if parent is None:
            self._first = self.begin

    @classmethod
    def from_dict(
        cls,
        attrs: Mapping[str, Any],
        rundb: str | os.PathLike[str] = "",
        autocommit: bool = False,
        tmp: str | os.PathLike[str] = "",
        host: str | None = None,
        log_stream: TextIO | None = None,
        is_api: bool = False,
        store_run: bool = True,
    ) -> "Context":
        """The context of a run that is described by a dict of metadata, spec and status. Asks nobody, and waits for nothing.

        `rundb` says where to record (as TRACKER_URI does); `autocommit` has every call's awaitable wait for the acknowledgement; `tmp` is a
        file that commit writes the run to, as JSON; `host` and `log_stream` are as set_hostname and set_logger_stream have them. With
        `is_api` somebody else works on the run: there is no attempt, no console, and it is not the ambient run. Without `store_run` nothing
        is recorded before `store_run()`, or the first thing said. Raises InvalidRequest.
        """
        prepared = prepared_from(attrs)
        prepared.memory.host = text_of(host or prepared.memory.host)
        context = cls.made(prepared, PROCESS.connection(str(rundb)), autocommit=autocommit, tmp=tmp, remote=is_api)
        if log_stream is not None:
            context.set_logger_stream(log_stream)
        if store_run:
            context.begin()
        return context

    @classmethod
    def made(
        cls,
        prepared: Prepared,
        connection: Connection,
        *,
        prepare: Callable[["Context"], Coroutine[Any, Any, None]] | None = None,
        autocommit: bool = False,
        tmp: str | os.PathLike[str] = "",
        remote: bool = False,
        followed: bool = False,
    ) -> "Context":
        """A context with its secrets and notifications, of which nothing is recorded yet. `followed`: its caller hears what others say of
        the run, and tells it."""
        memory, uid = prepared.memory, prepared.uid or new_id()
        if memory.out_path:
            memory.out_path = base_of(None, memory.out_path, project=prepared.project, uid=uid)
        context = cls(
            connection,
            project=prepared.project,
            uid=uid,
            name=prepared.name,
            memory=memory,
            iteration=prepared.iteration,
            prepare=prepare,
            autocommit=autocommit,
            tmp=tmp,
            remote=remote,
        )
        if prepared.secret_sources:
            context.secrets = SecretsStore.from_list(prepared.secret_sources)
        if prepared.notifications:
            from tracker.notifications.notifier import attach

            attach(context, prepared.notifications, followed=followed)
        return context

    def __repr__(self) -> str:
        return f"Context({self._name!r}, project={self._project!r}, uid={self.uid!r}, {self.state})"

    def __reduce__(self) -> tuple[Callable[..., "Context"], tuple[Any, ...]]:
        if self.secrets.masking:
            raise TypeError("a context with secrets is not handed to another process: hand over its uid, and open the run there")
        return _handed_over, (self.connection.target.uri, shape_of(self), self.memory.steps, self._autocommit)

    def _child(self, memory: Memory, number: int) -> "Context":
        return Context(
            self.connection,
            project=self._project,
            uid=self._uid,
            name=self._name,
            memory=memory,
            parent=self,
            iteration=number,
            autocommit=self._autocommit,
        )

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values: kind, metadata, spec and status. Values of secrets are masked."""
        shape: dict[str, Any] = self.secrets.masked(super().to_dict())
        return shape

    # -- waiting -----------------------------------------------------------------------------------------------------

    async def commit(self, message: str = "", completed: bool = False) -> bool:
        """Declare the run good so far, with a message, or `completed`; then wait until all that was recorded is stored at the target.
        False when the target does not answer in ten seconds (at once, when it is known to be away): the journal has it all."""
        self.memory.message = text_of(message) or self.memory.message  # a commit without one takes none back
        self.record(RunCommitted(time=time.time_ns(), iteration=self._iteration, message=self.memory.message))
        if completed:
            for child in self.children:
                child._complete()
            self._complete()
        if self._tmp is not None:
            try:
                await anyio.to_thread.run_sync(self._write, self._tmp)
            except OSError as error:
                self.connection.recorder.complaints.say(
                    "tmp", f"the run cannot be written to {self._tmp} ({error}); it is recorded all the same"
                )
        return await self._acknowledged()

    def _write(self, place: Path) -> None:
        """Write the run as JSON; the file is whole, old or new, at any moment."""
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f".{place.name}.{new_id()}")
        try:
            draft.write_text(self.to_json())
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)

    async def __aenter__(self) -> Self:
        await self
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):  # a run that is cancelled ends, too; nobody is waited for
            await anyio.to_thread.run_sync(self.end, error)
        ambient.leave(self)

    def __await__(self) -> Generator[Any, None, "Context"]:
        return self._ready().__await__()

    async def _ready(self) -> "Context":
        if self._prepare is not None:
            await self._find_out()
            ambient.enter(self)
        return self

    async def _find_out(self) -> None:
        async with self._asking:
            prepare = self._prepare
            if prepare is not None and not self._begun:  # else another task was first, or it began with the first thing said
                await prepare(self)
            self._prepare = None

    @property
    def asks(self) -> bool:
        """Whether the target is still to be asked what there is of this run; awaiting the context does it."""
        return self._prepare is not None

    def resumed(self, wait: Callable[[Coroutine[Any, Any, "Context"]], "Context"]) -> "Context":
        """`await self` for code that waits: only a context with a given uid has anything to wait for."""
        if self.asks:
            wait(self._ready())
            ambient.enter(self)
        return self

    def resume(self, memory: Memory, *, name: str, children: int) -> None:
        """Take over what earlier attempts left, and begin another one."""
        memory.in_path, memory.out_path = self.memory.in_path or memory.in_path, self.memory.out_path or memory.out_path
        memory.spec, memory.host = memory.spec | self.memory.spec, self.memory.host
        self.memory, self._name, self._resumed = memory, name, True
        self._numbering.skip(children)
        self._begun, self._first = True, None
        self.start(capture=self._capturing)


def _handed_over(uri: str, attrs: dict[str, Any], steps: dict[str, int], autocommit: bool) -> Context:
    """A context as another process unpickles it: it records into the same run, which goes on, and ends, where it was opened."""
    attrs["spec"].pop("notifications", None)  # they are sent where the run was opened
    context = Context.made(prepared_from(attrs), PROCESS.connection(uri), autocommit=autocommit, remote=True)
    context._begun, context._first = True, None
    context._numbering.elsewhere()
    context.absorb(attrs["status"])
    context.memory.steps = dict(steps)
    return context
