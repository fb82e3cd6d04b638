"""Append, read, tail and wait, where the story is clearer told than generated (see tests/stateful/test_log.py)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from events import sqlite
from events.errors import EventsError, Fenced, InvalidEvent, LogClosed, Overloaded, SequenceConflict, SequenceGap
from events.log import EventLog, open_log, open_reader
from events.record import New
from events.sqlite import open_sqlite
from events.types import LabelSet, MetricLogged, Unknown
from events.verify import verify_chain

pytestmark = pytest.mark.anyio

Make = Callable[..., New]
OpenLog = Callable[[], AbstractAsyncContextManager[EventLog]]


async def first(batches: Any, count: int) -> list[Any]:
    """The first batches of a tail, within a bound."""
    found = []
    with anyio.fail_after(10):
        async with aclosing(batches):
            async for batch in batches:
                found.append(batch)
                if len(found) == count:
                    break
    return found


async def test_an_event_is_recorded_with_who_when_and_where(log: EventLog) -> None:
    """What is read back carries the stream, the version, the producer's number, the actor and the time of recording."""
    await log.append(
        New(stream="run/p/a", events=[LabelSet(time=1, key="k", value=v) for v in "abc"], producer="one", sequence=1, actor="ann")
    )
    (batch,) = [batch async for batch in log.read()]
    third = list(batch.recorded())[2]
    assert (third.offset, third.stream, third.version, third.actor, third.producer, third.sequence) == (3, "run/p/a", 3, "ann", "one", 3)
    assert third.event == LabelSet(time=1, key="k", value="c")
    assert third.recorded_at > 1_500_000_000_000_000_000
    assert [recorded.offset for recorded in batch.recorded(1)] == [2, 3]


async def test_followers_get_from_memory_what_readers_get_from_disk(log: EventLog) -> None:
    """An event is the same whether it is seen as it happens or read years later."""
    await log.append(
        New(
            stream="run/p/a",
            events=[MetricLogged(time=1, key="k", value=1), LabelSet(time=1, key="k", value=None)],
            producer="p",
            sequence=1,
        )
    )
    (live,) = await first(log.tail(), 1)
    (stored,) = await log.stored(0)
    assert live == stored
    assert repr(live.events) == repr(stored.events)


async def test_an_unknown_event_is_recorded_whole(log: EventLog) -> None:
    """An event of a later version passes through this one's log unharmed."""
    event = Unknown(type="model.deployed", data={"type": "model.deployed", "time": 5, "to": ["eu", {"n": 1}]}, time=5)
    await log.append(New(stream="run/p/a", events=[event], producer="p", sequence=1))
    assert (await log.stored(0))[0].events == [event]


async def test_recorded_time_never_goes_back(path: Path, labels: Make) -> None:
    """A clock set back does not make an event older than the one before it, also after reopening."""
    times = iter([500, 400, 600, 100])
    for sequences in ((1, 2, 3), (4,)):
        async with open_sqlite(path, write=True) as store, open_log(store, clock=lambda: next(times)) as log:
            for sequence in sequences:
                await log.append(labels(sequence))
            recorded = [batch.recorded_at for batch in await log.stored(0)]
    assert recorded == [500, 500, 600, 600]


@pytest.mark.parametrize(
    "wrong",
    [
        {"stream": ""},
        {"stream": "run/p/\n"},
        {"stream": "run/p/\x00"},
        {"stream": "run/\ud800"},
        {"stream": "x" * 513},
        {"producer": ""},
        {"producer": "a\x7fb"},
        {"actor": "\x1b[2J"},
        {"sequence": 0},
        {"sequence": -5},
        {"events": []},
        {"events": [MetricLogged(time=1, key="k", value="high")]},  # type: ignore[arg-type]
    ],
    ids=repr,
)
async def test_what_cannot_be_recorded_is_refused_and_nothing_else(log: EventLog, labels: Make, wrong: dict[str, Any]) -> None:
    """A malformed append is refused with its reason, and the log goes on."""
    whole = {"stream": "run/p/a", "producer": "p", "sequence": 1, "events": [LabelSet(time=1, key="k", value="v")]}
    with pytest.raises(InvalidEvent):
        await log.append(New(**whole | wrong))
    assert (await log.append(labels())).offset == 1


async def test_a_refused_append_does_not_harm_those_beside_it(log: EventLog, labels: Make) -> None:
    """Of appends committed together, each is accepted or refused for itself."""
    outcomes: dict[str, Any] = {}

    async def send(name: str, new: New) -> None:
        try:
            outcomes[name] = await log.append(new)
        except EventsError as error:
            outcomes[name] = type(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, "first", labels(1, 2))
        tasks.start_soon(send, "gap", labels(9, 1))
        tasks.start_soon(send, "again, and one more", labels(2, 2))
        tasks.start_soon(
            send, "conflict", New(stream="run/p/a", events=[LabelSet(time=1, key="k", value="else")], producer="p", sequence=1)
        )
        tasks.start_soon(send, "other", labels(1, 1, producer="q", stream="run/p/b"))
    assert outcomes["gap"] is SequenceGap
    assert outcomes["conflict"] is SequenceConflict
    assert (outcomes["first"].offset, outcomes["first"].duplicates) == (2, 0)
    assert (outcomes["again, and one more"].offset, outcomes["again, and one more"].duplicates) == (3, 1)
    assert outcomes["other"].offset == 4
    assert (await verify_chain(log)).sound


async def test_appends_that_wait_share_one_commit(log: EventLog, labels: Make) -> None:
    """A hundred waiting callers cost far fewer than a hundred fsyncs."""
    commits = 0
    insert = log._store.insert

    async def counted(*arguments: Any) -> None:
        nonlocal commits
        commits += 1
        await insert(*arguments)

    log._store.insert = counted  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        for n in range(100):
            tasks.start_soon(log.append, labels(stream=f"run/p/{n}", producer=f"p{n}"))
    assert log.head.offset == 100
    assert commits <= 5


async def test_a_withdrawn_append_was_never_there(log: EventLog, labels: Make) -> None:
    """An append cancelled while it waits leaves nothing, and its sequence is free for another event."""
    async with log._committing:  # a commit is under way
        with anyio.move_on_after(0.01):
            await log.append(labels(1, 3))
    await log.append(labels(1, 1, producer="q"))
    receipt = await log.append(New(stream="run/p/a", events=[LabelSet(time=1, key="k", value="else")], producer="p", sequence=1))
    assert (receipt.offset, receipt.duplicates) == (2, 0)


async def test_too_much_waiting_is_refused_before_memory_grows(log: EventLog, console: Make) -> None:
    """When the disk cannot follow, further appends are told to come again, and those accepted are kept."""
    outcomes: list[Any] = []

    async def send(n: int) -> None:
        try:
            outcomes.append(await log.append(console(1, bytes(30_000_000), producer=f"p{n}"), checked=True))
        except Overloaded as error:
            outcomes.append(error.retry_after)

    async with anyio.create_task_group() as tasks:
        for n in range(4):
            tasks.start_soon(send, n)
    assert sum(isinstance(outcome, float) for outcome in outcomes) == 2
    assert log.head.offset == 2
    await send(9)
    assert log.head.offset == 3


async def test_events_sent_again_are_compared_page_by_page(log: EventLog, labels: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much stands under the sequences a producer sends again, little of it is held at a time; a difference anywhere is found."""
    for n in range(6):
        await log.append(labels(2 * n + 1, 2))
    monkeypatch.setattr(sqlite, "PAGE", 1)
    again = labels(1, 14)
    receipt = await log.append(again)
    assert (receipt.offset, receipt.version, receipt.duplicates) == (14, 14, 12)
    with pytest.raises(SequenceConflict) as caught:
        await log.append(New(stream=again.stream, events=[*again.events[:8], *again.events[:1]], producer="p", sequence=1))
    assert caught.value.sequence == 9
    assert len(await log._store.written("p", 1, 14)) == 1


async def test_a_tail_has_no_gap_between_history_and_live(log: EventLog, labels: Make) -> None:
    """Followers that start at any moment of a busy log each see every event once, in order."""
    seen: dict[int, list[int]] = {}

    async def follow(after: int) -> None:
        mine = seen[after] = []
        async for batch in log.tail(after):
            mine.extend(recorded.offset for recorded in batch.recorded(after))
            if mine[-1] == 400:
                return

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(log.append, labels(1, 2, stream=f"run/p/{n}", producer=f"p{n}"))
                if n % 10 == 0:
                    tasks.start_soon(follow, n)
                    await anyio.lowlevel.checkpoint()
            for n in range(100, 200):
                await log.append(labels(1, 2, stream=f"run/p/{n}", producer=f"p{n}"))
    assert all(offsets == list(range(after + 1, 401)) for after, offsets in seen.items())


async def test_a_follower_of_a_stream_sleeps_while_others_write(log: EventLog, labels: Make) -> None:
    """Followers of one stream are woken for it only, and then get all of it."""
    await log.append(labels(stream="run/p/mine"))
    signal = log._pulse.next("run/p/mine")
    for n in range(5):
        await log.append(labels(stream="run/p/other", producer="q", sequence=n + 1))
    assert not signal.is_set()
    await log.append(labels(2, stream="run/p/mine"))
    assert signal.is_set()
    assert [batch.offset for batch in await first(log.tail(stream="run/p/mine"), 2)] == [1, 7]


async def test_wait_returns_when_the_event_is_there(log: EventLog, labels: Make) -> None:
    """Waiting for an offset ends with the commit that holds it."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.wait, 3)
            tasks.start_soon(log.wait, 0)
            await log.append(labels(1, 2))
            await log.append(labels(3, 2))
        await log.wait(4)


async def test_closing_commits_what_waits_and_ends_tails(opened: OpenLog, labels: Make) -> None:
    """At the end of the block accepted appends are committed, tails have seen them, and both end."""
    seen: list[int] = []
    receipts: list[Any] = []

    async def follow(log: EventLog) -> None:
        with suppress(LogClosed):
            async for batch in log.tail():
                seen.append(batch.offset)  # noqa: PERF401 - what was seen counts, also when the tail ends with an error

    async def send(log: EventLog, n: int) -> None:
        receipts.append(await log.append(labels(producer=f"p{n}", stream=f"run/p/{n}")))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with opened() as log:
                tasks.start_soon(follow, log)
                for n in range(5):
                    tasks.start_soon(send, log, n)
                await anyio.lowlevel.checkpoint()
            with pytest.raises(LogClosed):
                await log.append(labels(producer="late"))
            with pytest.raises(LogClosed):
                await log.wait(99)
    assert seen == [1, 2, 3, 4, 5]
    assert len(receipts) == 5


async def test_an_error_of_the_block_comes_out_as_it_is(opened: OpenLog) -> None:
    """The log does not wrap its user's exceptions in groups."""
    with pytest.raises(KeyError, match="mine"):
        async with opened():
            raise KeyError("mine")


async def test_a_replaced_writer_commits_nothing_more(path: Path, labels: Make) -> None:
    """A writer that was paused while another took over is fenced at its next commit, tells all its callers, and harms nothing."""
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(open_log(await stack.enter_async_context(open_sqlite(path, write=True))))
        await old.append(labels(1))
        new = await stack.enter_async_context(open_log(await stack.enter_async_context(open_sqlite(path, write=True))))
        with pytest.raises(Fenced):
            await old.append(labels(2))
        with pytest.raises(Fenced):
            await old.append(labels(2))
        with pytest.raises(Fenced):
            await first(old.tail(), 2)
        assert isinstance(old.failure, Fenced)
        assert (await new.append(labels(2))).offset == 2
        assert (await verify_chain(new)).sound


async def test_a_reader_follows_another_process(opened: OpenLog, path: Path, labels: Make) -> None:
    """A log opened for reading sees, soon and in order, what its writer commits."""
    async with opened() as log:
        await log.append(labels(1, 2))
        async with open_sqlite(path, write=False) as store, open_reader(store, interval=0.01) as reader:
            assert reader.head.offset == 2
            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(reader.wait, 3)
                    await log.append(labels(3))
            assert [batch.offset for batch in await first(reader.tail(), 2)] == [1, 3]
            assert (await verify_chain(reader)).sound


async def test_an_empty_log_reads_as_nothing(log: EventLog) -> None:
    """Before the first event there is nothing to read, and it verifies."""
    assert [batch async for batch in log.read()] == []
    assert [batch async for batch in log.read(5, until=9, stream="run/p/a")] == []
    assert (await verify_chain(log)).sound
