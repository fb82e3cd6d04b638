"""A run, for code that waits. Printing is done in the caller's thread, where redirected output and notebook cells expect it."""

import asyncio
import queue
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Self, TypeVar

from projections.runs import TERMINAL
from tracker.connection import PROCESS
from tracker.dataitem.item import DataItem
from tracker.errors import InvalidRequest
from tracker.model import following
from tracker.model.run_object import put
from tracker.model.run_record import RunRecord
from tracker.model.showing import show

T = TypeVar("T")


class RunObject(RunRecord):
    """A run: its metadata, spec and status, and what can be asked of it."""

    def state(self) -> str:
        """The current state, asked for unless the run has ended; "unknown" when its target does not know it."""
        return _wait(lambda _: following.state(self))

    def refresh(self) -> Self:
        """Learn the run as it stands at its target. Raises NotFound."""
        _wait(lambda _: following.refresh(self))
        return self

    @property
    def outputs(self) -> dict[str, Any]:
        """Results, and the names of artifacts (store://...), by key, when the run has ended. Raises RunFailed."""
        _wait(lambda _: following.ended(self))
        return self.outputs_now()

    def output(self, key: str) -> Any:
        """A result, or the name of an artifact, when the run has ended; None when there is none of this key. Raises RunFailed."""
        return self.outputs.get(key)

    def artifact(self, key: str) -> DataItem | None:
        """The data of an artifact, when the run has ended; None when there is none of this key. Raises RunFailed."""
        _wait(lambda _: following.ended(self))
        name = self.artifact_now(key)
        return None if name is None else DataItem(name, key, connection=self.where())

    def logs(self, watch: bool = True, db: Any = None, offset: int = 0) -> tuple[str, int]:
        """Print what the run printed, from byte `offset` on, and with `watch` what it goes on to print until it has ended.

        Returns its state, and the offset at which the text ends. `db` is where to look instead of where the run is recorded.
        """
        return _wait(lambda sink: following.logs(self, sink, watch, db, offset))

    def wait_for_completion(
        self,
        sleep: float = 3,
        timeout: float = 0,
        raise_on_failure: bool = True,
        show_logs: bool | None = None,
        logs_interval: float | None = None,
    ) -> str:
        """Wait until the run has ended, at most `timeout` seconds (0: for ever), and return its state.

        The end is heard of at once; `sleep` is only the pause before a target that went away is asked again. What the run printed is
        printed at its end, or every `logs_interval` seconds; never with `show_logs=False`. A run whose job was lost has ended, too.

        Raises RunTimeout (the run goes on), and RunFailed when it ended otherwise than completed and `raise_on_failure` is set.
        """
        return _wait(lambda sink: following.wait_for_completion(self, sink, sleep, timeout, raise_on_failure, show_logs, logs_interval))

    def show(self) -> None:
        """Show the run as it stands: as a table in a terminal, as HTML in a notebook."""
        if self.uid() and self.status.state not in TERMINAL:
            self.refresh()
        show(self)


def _wait(work: Callable[[following.Sink], Coroutine[Any, Any, T]]) -> T:
    """The result of work that prints, done in the portal's loop; this thread prints. Interrupted, the work is cancelled."""
    if PROCESS.portal.here:
        raise InvalidRequest("code in the tracker's own loop cannot wait for it: use tracker.aio")
    pieces: queue.SimpleQueue[tuple[str, Future[None]] | None] = queue.SimpleQueue()

    async def sink(text: str) -> None:
        done: Future[None] = Future()
        pieces.put((text, done))
        await asyncio.wrap_future(done)  # one piece at a time

    future = PROCESS.portal.submit(work(sink))
    future.add_done_callback(lambda _: pieces.put(None))
    try:
        while (piece := pieces.get()) is not None:
            put(piece[0])
            with suppress(InvalidStateError):  # who printed it was cancelled meanwhile
                piece[1].set_result(None)
        return future.result()
    finally:
        future.cancel()
