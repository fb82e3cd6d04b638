"""The log against a plain list: whatever happens to it, in whatever order, it holds what the list holds.

The model is a list of (stream, producer, sequence, event) whose index is the offset. Followers run through the whole story, closing and
opening included, and must have seen exactly the list in the end.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from events.codec import AnyEvent
from events.errors import LogClosed, SequenceConflict, SequenceGap, VersionConflict
from events.log import EventLog, open_log
from events.record import New, Recorded
from events.redaction import PRODUCER, STREAM
from events.sqlite import open_sqlite
from events.types import EventRedacted, LabelSet, MetricLogged, Redacted
from events.verify import verify_chain

STREAMS = ["run/p/a", "run/p/b", "run/q/a"]
PRODUCERS = ["one", "two"]
FILTERS: list[dict[str, str]] = [{}, {"stream": "run/p/a"}, {"prefix": "run/p/"}, {"prefix": "log/"}]

Entry = tuple[str, str, int, AnyEvent]

events_ = st.lists(
    st.builds(LabelSet, time=st.just(1), key=st.sampled_from("ab"), value=st.sampled_from(["x", "y" * 600]))
    | st.builds(MetricLogged, time=st.just(1), key=st.just("loss"), value=st.floats(), step=st.integers(0, 9)),
    min_size=1,
    max_size=4,
)
streams, producers, filters = st.sampled_from(STREAMS), st.sampled_from(PRODUCERS), st.sampled_from(FILTERS)


@asynccontextmanager
async def opened(path: Path, clock: Callable[[], int]) -> AsyncIterator[EventLog]:
    """The log at `path`, with a clock of the test."""
    async with open_sqlite(path, write=True) as store, open_log(store, clock=clock) as log:
        yield log


def entry(recorded: Recorded) -> Entry:
    """What the model keeps of a recorded event."""
    return recorded.stream, recorded.producer, recorded.sequence, recorded.event


class Follower:
    """Tails from an offset with a filter, and goes on from where it was when the log is opened again."""

    def __init__(self, after: int, wanted: dict[str, str]) -> None:
        self.start = self.after = after
        self.wanted = wanted
        self.seen: list[tuple[int, Entry]] = []

    async def follow(self, log: EventLog) -> None:
        """See all there is until the log ends."""
        with suppress(LogClosed):
            async for batch in log.tail(self.after, **self.wanted):
                for recorded in batch.recorded(self.after):
                    self.seen.append((recorded.offset, entry(recorded)))
                self.after = max(self.after, batch.last)


class LogMachine(RuleBasedStateMachine):
    """Everything that can be done to a log."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.portal: BlockingPortal = self.stack.enter_context(start_blocking_portal())
        self.path = Path(self.stack.enter_context(TemporaryDirectory())) / "log.db"
        self.model: list[Entry] = []
        self.redacted: set[int] = set()
        self.followers: list[Follower] = []
        self.running: list[Any] = []
        self.now = 1000

    @initialize()
    def open(self) -> None:
        """Open the log and let all followers go on."""
        self.context: AbstractContextManager[EventLog] = self.portal.wrap_async_context_manager(opened(self.path, lambda: self.now))
        self.log = self.context.__enter__()
        self.running = [self.portal.start_task_soon(follower.follow, self.log) for follower in self.followers]

    def close(self) -> None:
        """Close the log; the followers end by themselves."""
        self.context.__exit__(None, None, None)
        for task in self.running:
            task.result(timeout=10)

    def teardown(self) -> None:
        """Whatever happened, the log verifies, and every follower has seen all that was its own."""
        with self.stack:
            if hasattr(self, "log"):
                try:
                    report = self.portal.call(verify_chain, self.log)
                    assert report.sound, report
                    assert report.verified.offset == len(self.model)
                finally:
                    self.close()
                self.compare_followers()

    def compare_followers(self) -> None:
        """Each has seen every event that fits it, once, in order; perhaps before it was redacted."""
        for follower in self.followers:
            story = enumerate(self.model[follower.start :], follower.start + 1)
            assert [offset for offset, _ in follower.seen] == [offset for offset, entry in story if self.fits(entry, follower.wanted)]
            for offset, seen in follower.seen:
                assert repr(seen) == repr(self.model[offset - 1]) or offset in self.redacted

    @staticmethod
    def fits(entry: Entry, wanted: dict[str, str]) -> bool:
        """Whether a follower with this filter wants the entry."""
        return entry[0] == wanted.get("stream", entry[0]) and entry[0].startswith(wanted.get("prefix", ""))

    def position(self, producer: str) -> int:
        """The last sequence of a producer."""
        return sum(1 for entry in self.model if entry[1] == producer)

    def version(self, stream: str) -> int:
        """The last version of a stream."""
        return sum(1 for entry in self.model if entry[0] == stream)

    def record(self, new: New, known: int = 0) -> None:
        """Bring the model to after `new`, of which the first `known` events were there."""
        for i, event in enumerate(new.events[known:], known):
            self.model.append((new.stream, new.producer, new.sequence + i, event))

    def append(self, new: New, **more: Any) -> Any:
        """Append to the log under test."""

        async def call() -> Any:
            return await self.log.append(new, **more)

        return self.portal.call(call)

    @rule(stream=streams, producer=producers, events=events_, checked=st.booleans(), right=st.booleans())
    def append_new(self, stream: str, producer: str, events: list[AnyEvent], checked: bool, right: bool) -> None:
        """New events get the next offsets, whether or not the caller says at which version the stream must be."""
        new = New(stream=stream, events=events, producer=producer, sequence=self.position(producer) + 1)
        receipt = self.append(new, checked=checked, expected_version=self.version(stream) if right else None)
        self.record(new)
        assert (receipt.offset, receipt.version, receipt.duplicates) == (len(self.model), self.version(stream), 0)

    @rule(stream=streams, producer=producers, events=events_, by=st.integers(1, 3))
    def append_with_a_gap(self, stream: str, producer: str, events: list[AnyEvent], by: int) -> None:
        """A producer that skips is told where to go on."""
        with pytest.raises(SequenceGap) as caught:
            self.append(New(stream=stream, events=events, producer=producer, sequence=self.position(producer) + 1 + by))
        assert caught.value.expected == self.position(producer) + 1

    @rule(stream=streams, producer=producers, events=events_, off=st.sampled_from([-1, 1, 7]))
    def append_at_a_wrong_version(self, stream: str, producer: str, events: list[AnyEvent], off: int) -> None:
        """A decision taken on an old state is refused."""
        new = New(stream=stream, events=events, producer=producer, sequence=self.position(producer) + 1)
        with pytest.raises(VersionConflict) as caught:
            self.append(new, expected_version=self.version(stream) + off)
        assert caught.value.actual == self.version(stream)

    @precondition(lambda self: any(self.position(producer) for producer in PRODUCERS))
    @rule(data=st.data(), more=events_ | st.just([]))
    def send_again(self, data: st.DataObject, more: list[AnyEvent]) -> None:
        """Events sent again are recognised, and what is new behind them is recorded."""
        producer = data.draw(st.sampled_from([p for p in PRODUCERS if self.position(p)]))
        mine = [(offset, entry) for offset, entry in enumerate(self.model, 1) if entry[1] == producer]
        first = data.draw(st.integers(1, len(mine)))
        stream = mine[first - 1][1][0]
        known = next((i for i, (_, entry) in enumerate(mine[first - 1 :]) if entry[0] != stream), len(mine) - first + 1)
        if first - 1 + known < len(mine):
            more = []  # the events behind are already there, in another stream
        again: list[AnyEvent] = [
            LabelSet(time=9, key="gone", value="") if o in self.redacted else e[3] for o, e in mine[first - 1 :][:known]
        ]
        new = New(stream=stream, events=again + more, producer=producer, sequence=first)
        receipt = self.append(new)
        self.record(new, known)
        assert receipt.duplicates == known
        assert receipt.offset == (len(self.model) if more else mine[first - 1 + known - 1][0])

    @precondition(lambda self: any(self.position(producer) for producer in PRODUCERS))
    @rule(data=st.data(), other_stream=st.booleans())
    def send_something_else_again(self, data: st.DataObject, other_stream: bool) -> None:
        """Another event, or the same in another stream, under a used sequence is refused."""
        producer = data.draw(st.sampled_from([p for p in PRODUCERS if self.position(p)]))
        stream, _, sequence, event = data.draw(st.sampled_from([entry for entry in self.model if entry[1] == producer]))
        if other_stream:
            stream += "x"
        elif isinstance(event, Redacted):
            return  # nobody can tell any more
        else:
            event = LabelSet(time=2, key="other", value=None)
        with pytest.raises(SequenceConflict):
            self.append(New(stream=stream, events=[event], producer=producer, sequence=sequence))

    @rule(data=st.data(), count=st.integers(1, 5), turns=st.integers(0, 6), cancelled=st.booleans())
    def append_at_once(self, data: st.DataObject, count: int, turns: int, cancelled: bool) -> None:
        """Appends that wait together are all recorded; those cancelled are recorded whole or not at all, and once when sent again."""
        position = Counter({producer: self.position(producer) for producer in PRODUCERS})
        news = []
        for _ in range(count):
            producer, events = data.draw(producers), data.draw(events_)
            news.append(New(stream=data.draw(streams), events=events, producer=producer, sequence=position[producer] + 1))
            position[producer] += len(events)

        async def send() -> None:
            async with anyio.create_task_group() as tasks:
                for new in news:
                    tasks.start_soon(self.log.append, new)
                for _ in range(turns if cancelled else 0):
                    await anyio.lowlevel.checkpoint()
                if cancelled:
                    tasks.cancel_scope.cancel()

        self.portal.call(send)
        before = len(self.model)
        for new in news:
            receipt = self.append(new)
            assert receipt.duplicates in (0, len(new.events))
            assert cancelled or receipt.duplicates
            self.record(new)
            assert receipt.offset == len(self.model)
        assert len(self.model) == before + sum(len(new.events) for new in news)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def redact(self, data: st.DataObject) -> None:
        """A redacted event leaves its place, and a notice behind."""
        offset = data.draw(st.integers(1, len(self.model)))
        stream, producer, sequence, event = self.model[offset - 1]
        if isinstance(event, (Redacted, EventRedacted)):
            return

        async def call() -> None:
            await self.log.redact(offset, reason="asked for")

        self.portal.call(call)
        tag = type(event).__struct_config__.tag
        self.model[offset - 1] = stream, producer, sequence, Redacted(time=event.time, was=str(tag))
        self.redacted.add(offset)

        async def last() -> Recorded:
            return [recorded async for batch in self.log.read(len(self.model)) for recorded in batch.recorded()][-1]

        notice = self.portal.call(last)
        assert isinstance(notice.event, EventRedacted)
        assert (notice.stream, notice.producer, notice.event.offset) == (STREAM, PRODUCER, offset)
        self.model.append(entry(notice))

    @rule(wanted=filters, data=st.data())
    def follow(self, wanted: dict[str, str], data: st.DataObject) -> None:
        """A new follower begins anywhere, the future included."""
        follower = Follower(data.draw(st.integers(0, len(self.model))), wanted)
        self.followers.append(follower)
        self.running.append(self.portal.start_task_soon(follower.follow, self.log))

    @rule(wanted=filters, data=st.data())
    def read(self, wanted: dict[str, str], data: st.DataObject) -> None:
        """A read of any stretch gives that stretch."""
        after = data.draw(st.integers(0, len(self.model) + 2))
        until = data.draw(st.none() | st.integers(0, len(self.model) + 2))

        async def call() -> list[tuple[int, Entry]]:
            batches = [batch async for batch in self.log.read(after, until=until, **wanted)]
            return [(recorded.offset, entry(recorded)) for batch in batches for recorded in batch.recorded(after)]

        end = len(self.model) if until is None else until
        got = [pair for pair in self.portal.call(call) if pair[0] <= end]
        expected = [pair for pair in enumerate(self.model[:end], 1) if pair[0] > after and self.fits(pair[1], wanted)]
        assert repr(got) == repr(expected)

    @rule(backwards=st.integers(-500, 500))
    def clock_moves(self, backwards: int) -> None:
        """The machine's clock goes anywhere."""
        self.now += backwards

    @rule()
    def reopen(self) -> None:
        """The process ends and another takes over."""
        self.close()
        self.open()

    @invariant()
    def head_is_the_end(self) -> None:
        """The head is the offset of the last event."""
        if hasattr(self, "log"):
            assert self.log.head.offset == len(self.model)


LogMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestLog = LogMachine.TestCase
