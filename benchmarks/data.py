"""Made-up training jobs: four metrics a step, values that do not compress, clocks that jitter. Equal seeds give equal data."""

import random
from collections.abc import Iterator

from events.codec import encode
from events.log import EventLog
from events.record import Batch, New
from events.types import Event, MetricLogged, RunCreated, StateChanged

KEYS = ("loss", "accuracy", "train_accuracy", "learning_rate")
START = 1_763_690_000_000_000_000


def metrics(count: int, *, first_step: int = 0, seed: int = 1) -> list[Event]:
    """`count` points of the four series, a step about every 10 ms."""
    rng = random.Random(seed * 1_000_003 + first_step)
    time, events = START + first_step * 10_000_000, []
    for i in range(count):
        time += rng.randrange(1_000, 20_000) if i % 4 else rng.randrange(9_000_000, 11_000_000)
        events.append(MetricLogged(time=time, key=KEYS[i % 4], value=rng.random(), step=first_step + i // 4))
    return events


def batches(total: int, *, size: int = 1_000, runs: int = 10) -> Iterator[New]:
    """`total` metric events in batches of `size`, over some runs, as their SDKs would send them."""
    sequence = [1] * runs
    for turn in range(total // size):
        run = turn % runs
        events = metrics(size, first_step=(turn // runs) * size // 4, seed=run)
        yield New(stream=f"run/bench/run-{run}", events=events, producer=f"bench-{run}", sequence=sequence[run])  # type: ignore[arg-type]
        sequence[run] += size


async def fill(log: EventLog, total: int) -> None:
    """Append `total` metric events."""
    for new in batches(total):
        await log.append(new, checked=True)


def search_batch(offset: int, run: int, rng: random.Random) -> Batch:
    """A run with ten parameters, ten metrics, ten results and five labels, as one batch; half of the values are texts."""
    words = ("adam", "sgd", "rmsprop", "lion", "adagrad")
    parameters = {f"p{i}": rng.random() if i % 2 else f"{rng.choice(words)}-{rng.randrange(20)}" for i in range(10)}
    labels = {f"l{i}": f"{rng.choice(words)}-{rng.randrange(1000)}" for i in range(5)}
    events = [
        RunCreated(time=START + run, name=f"run {run}", parameters=parameters, labels=labels),
        *(MetricLogged(time=START + run, key=f"m{i}", value=rng.random()) for i in range(10)),
        StateChanged(time=START + run, state="completed"),
    ]
    return Batch(
        offset=offset,
        count=len(events),
        stream=f"run/bench/{run:08x}",
        version=1,
        recorded_at=START + run,
        actor="",
        producer=f"{run:08x}",
        sequence=1,
        body=encode(events),
        digest=b"",
    )
