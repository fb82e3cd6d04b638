"""Twenty runs recorded at once from one event loop.

Each task has its own run; recording never waits for the disk of a server or for a network, so nothing here blocks the loop.

    python examples/many_at_once.py
"""

import math

import anyio

import tracker.aio as tracker


async def simulate(frequency: float) -> None:
    """A job that waits more than it computes."""
    async with tracker.get_or_create_ctx("wave", project="waves", parameters={"frequency": frequency}) as run:
        for step in range(50):
            await anyio.sleep(0.002)
            run.log_metric("height", math.sin(frequency * step / 10), step=step)
        run.log_result("last", math.sin(frequency * 4.9))


async def main() -> None:
    """Start them all, wait for them all."""
    async with anyio.create_task_group() as tasks:
        for number in range(1, 21):
            tasks.start_soon(simulate, number / 2)


if __name__ == "__main__":
    anyio.run(main)
