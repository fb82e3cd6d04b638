"""The reply of a call that records: it is done when it returns, so the reply matters only to code that awaits it."""

from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Recorded:
    """What recording methods return: done already; awaiting it waits for the acknowledgement only where `commit=True` asked for it."""

    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, object]] | None = None) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        return self.done().__await__()

    async def done(self) -> None:
        """Wait, if there is anything to wait for."""
        if self._wait is not None:
            await self._wait()


DONE = Recorded()
