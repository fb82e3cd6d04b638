"""A data directory with a finished search, a running job and a hostile one, written as jobs write: events of producers."""

from hashlib import sha256
from pathlib import Path

from events import types as t
from events.codec import AnyEvent
from events.log import open_log
from events.record import New
from events.sqlite import open_sqlite

START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
MODEL = b"the model's bytes"
DIGEST = sha256(MODEL).hexdigest()
HOSTILE = "\x1b]0;owned\x07\x1b[2Jname\nwith\u202e tricks"
CONSOLE = b"\x1b[32mepoch 1\x1b[0m\r\nepoch 2 \xff\x1b]0;owned\x07\n"


def search() -> list[AnyEvent]:
    """A search with three children, the second one best; 1,000 points of loss in each."""
    now = START
    events: list[AnyEvent] = [
        t.RunCreated(time=now, name="train", user="ada", parameters={"data": "digits", "seed": 7}, labels={"team": "vision"}),
        t.AttemptStarted(time=now, attempt="a1", facts={"host": "box", "user": "ada", "pid": 41}),
        t.ConsoleWritten(time=now + SECOND, data=CONSOLE),
    ]
    for child in (1, 2, 3):
        accuracy = (0.9, 0.97, 0.95)[child - 1]
        events.append(t.IterationStarted(time=now + child * SECOND, iteration=child, parameters={"lr": child / 10}))
        events += [
            t.MetricLogged(time=now + child * SECOND + i, iteration=child, key="loss", value=child / (i + 1), step=i) for i in range(1000)
        ]
        events.append(t.ResultLogged(time=now + (child + 1) * SECOND, iteration=child, key="accuracy", value=accuracy))
        events.append(t.StateChanged(time=now + (child + 1) * SECOND, iteration=child, state="completed"))
    events += [
        t.BestIterationMarked(time=now + 5 * SECOND, iteration=2),
        t.ParameterSet(time=now + 5 * SECOND, key="seed", value=8),
        t.ArtifactLogged(time=now + 6 * SECOND, key="model", kind="model", digest=DIGEST, size=len(MODEL), path="model.bin"),
        t.MetricLogged(time=now + 6 * SECOND, key="strange", value=float("nan")),
        t.StateChanged(time=now + 65 * SECOND, state="completed"),
        t.AttemptEnded(time=now + 65 * SECOND, attempt="a1", reason="completed"),
    ]
    return events


def broken() -> list[AnyEvent]:
    """A run that failed, with names made to harm a terminal."""
    return [
        t.RunCreated(time=START, name=HOSTILE, parameters={"p": HOSTILE}),
        t.AttemptStarted(time=START, attempt="a2"),
        t.StateChanged(time=START + SECOND, state="error", error="boom\x1b[2J", traceback="Traceback:\n  line \x1b[31m1"),
    ]


async def write(data: Path) -> None:
    """Record both runs in `data`, and keep the artifact's bytes."""
    async with open_sqlite(data / "log.db", write=True) as store, open_log(store) as log:
        await log.append(New(stream="run/digits/aaaa1111", producer="p1", sequence=1, events=search(), actor="ada"))
        await log.append(New(stream="run/digits/bbbb2222", producer="p2", sequence=1, events=broken()))
    blob = data / "blobs" / DIGEST[:2] / DIGEST
    blob.parent.mkdir(parents=True)
    blob.write_bytes(MODEL)
