"""A service in one event loop: three workers take jobs from a queue, each job is a run of its own.

The runs share a thread and a connection and nothing else: each worker's task has its own ambient run, so code deep in a job can ask
`get_or_create_ctx()` for it. A job that fails is a failed run, and the service goes on.

    python examples/asyncio_service.py
"""

import math

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream

import tracker.aio as tracker


async def integrate(context: tracker.Context, function: str, points: int) -> None:
    """The integral of a function of `math` from 0 to 1, by the trapezoid rule, refined step by step."""
    evaluate = getattr(math, function)
    for step, count in enumerate((points // 4, points // 2, points)):
        await anyio.lowlevel.checkpoint()  # other jobs go on meanwhile
        total = sum(evaluate(i / count) for i in range(1, count)) + (evaluate(0.0) + evaluate(1.0)) / 2
        context.log_metric("integral", total / count, step=step)
    report(total / count)


def report(value: float) -> None:
    """Far from where the run was made, the run is at hand."""
    tracker.get_or_create_ctx().log_result("integral", value)


async def work(jobs: MemoryObjectReceiveStream[dict[str, object]]) -> None:
    """Take jobs until there are no more."""
    async with jobs:
        async for params in jobs:
            try:
                await tracker.run_function(integrate, name="integrate", project="service", params=params, watch=False)
            except tracker.RunFailed as failure:
                print(f"{params}: {failure}")


async def main() -> None:
    """Start the workers, and hand out jobs; one of them cannot be done."""
    send, receive = anyio.create_memory_object_stream[dict[str, object]](max_buffer_size=4)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(work, receive.clone())
        receive.close()
        async with send:
            for function in ("exp", "sin", "cos", "atan", "log", "sqrt"):  # the logarithm of 0 is not to be had
                await send.send({"function": function, "points": 1000})


if __name__ == "__main__":
    anyio.run(main)
