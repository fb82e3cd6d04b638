"""A run, for code in an event loop: everything that asks the target is awaited, `outputs` too (`await run.outputs`)."""

import sys
from typing import Any, Self

import anyio.to_thread

from projections.runs import TERMINAL
from tracker.dataitem.aio_item import DataItem
from tracker.dataitem.item import DataItem as Blocking
from tracker.model import following
from tracker.model.run_record import RunRecord
from tracker.model.showing import show


class RunObject(RunRecord):
    """A run: its metadata, spec and status, and what can be asked of it."""

    async def state(self) -> str:
        """The current state, asked for unless the run has ended; "unknown" when its target does not know it."""
        return await following.state(self)

    async def refresh(self) -> Self:
        """Learn the run as it stands at its target. Raises NotFound."""
        await following.refresh(self)
        return self

    @property
    async def outputs(self) -> dict[str, Any]:
        """Results, and the names of artifacts (store://...), by key, when the run has ended. Raises RunFailed."""
        await following.ended(self)
        return self.outputs_now()

    async def output(self, key: str) -> Any:
        """A result, or the name of an artifact, when the run has ended; None when there is none of this key. Raises RunFailed."""
        return (await self.outputs).get(key)

    async def artifact(self, key: str) -> DataItem | None:
        """The data of an artifact, when the run has ended; None when there is none of this key. Raises RunFailed."""
        await following.ended(self)
        name = self.artifact_now(key)
        return None if name is None else DataItem(Blocking(name, key, connection=self.where()))

    async def logs(self, watch: bool = True, db: Any = None, offset: int = 0) -> tuple[str, int]:
        """Print what the run printed, from byte `offset` on, and with `watch` what it goes on to print until it has ended.

        Returns its state, and the offset at which the text ends. `db` is where to look instead of where the run is recorded.
        """
        return await following.logs(self, printed, watch, db, offset)

    async def wait_for_completion(
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
        return await following.wait_for_completion(self, printed, sleep, timeout, raise_on_failure, show_logs, logs_interval)

    async def show(self) -> None:
        """Show the run as it stands: as a table in a terminal, as HTML in a notebook."""
        if self.uid() and self.status.state not in TERMINAL:
            await self.refresh()
        show(self)


async def printed(text: str) -> None:
    """Print a piece of text in a worker thread: a terminal may be slow."""
    await anyio.to_thread.run_sync(put, text)


def put(text: str) -> None:
    """Print a piece of text now."""
    sys.stdout.write(text)
    sys.stdout.flush()
