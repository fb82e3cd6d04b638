"""What every store promises the log, whatever database it is on. A new store is one line in STORES."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path

import anyio
import msgspec
import pytest

from events.chain import seal
from events.codec import encode
from events.errors import Fenced, LogClosed
from events.record import Batch, Head
from events.sqlite import open_sqlite
from events.store import Store
from events.types import LabelSet, Redacted

pytestmark = pytest.mark.anyio

Open = Callable[..., AbstractAsyncContextManager[Store]]  # open_store(write=...)

STORES: dict[str, Callable[[Path], Open]] = {
    "sqlite": lambda directory: partial(open_sqlite, directory / "log.db"),
}


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the one store of this test, as often as wanted."""
    return STORES[request.param](tmp_path)


@pytest.fixture
async def store(open_store: Open) -> AsyncIterator[Store]:
    """A new store, open for writing."""
    async with open_store(write=True) as store:
        yield store


def follow(
    head: Head, stream: str = "run/p/a", *, count: int = 1, producer: str = "", version: int = 1, sequence: int = 1, body: bytes = b""
) -> Batch:
    """A well-sealed batch after `head`; its producer is called as its stream, unless told."""
    body = body or encode([LabelSet(time=head.offset + i, key="k", value=stream) for i in range(count)])
    header = {"offset": head.offset + 1, "count": count, "stream": stream, "version": version, "recorded_at": head.offset + 1}
    header |= {"actor": "ann", "producer": producer or stream, "sequence": sequence}
    batch = Batch(**header, body=body, digest=b"")
    return msgspec.structs.replace(batch, digest=seal(head.digest, batch, sha256(body).digest()))


def after(batch: Batch, head: Head) -> Head:
    """The head once `batch` is in."""
    return Head(batch.last, batch.digest, batch.recorded_at, head.epoch)


async def fill(store: Store, *wanted: tuple[str, int]) -> list[Batch]:
    """Insert batches of (stream, count), each in its own commit, with versions and sequences that follow."""
    head, last, batches = await store.head(), dict[str, int](), []
    for stream, count in wanted:
        number = last.get(stream, 0) + 1
        batch = follow(head, stream, count=count, version=number, sequence=number)
        await store.insert([batch], head)
        head, last[stream] = after(batch, head), number + count - 1
        batches.append(batch)
    return batches


async def test_a_new_store_is_empty(store: Store) -> None:
    """A new log ends before its first event."""
    head = await store.head()
    assert (head.offset, head.digest, head.recorded_at) == (0, bytes(32), 0)
    assert await store.read(0, 10) == []
    assert await store.check() == []


async def test_what_was_inserted_is_read_back_whole(store: Store, open_store: Open) -> None:
    """A committed batch comes back equal in every field: at once, after reopening, and to a reader beside the writer."""
    batches = await fill(store, ("run/p/a", 2), ("run/p/b", 1), ("run/p/a", 3))
    assert await store.read(0, 10) == batches
    async with open_store(write=False) as reader:
        assert await reader.read(0, 10) == batches
        assert await reader.head() == await store.head()


async def test_the_log_survives_reopening(open_store: Open) -> None:
    """A store closed and opened again goes on where it ended, under a higher epoch."""
    async with open_store(write=True) as store:
        batches = await fill(store, ("run/p/a", 2))
        before = await store.head()
    async with open_store(write=True) as store:
        head = await store.head()
        assert await store.read(0, 10) == batches
        assert (head.offset, head.digest) == (before.offset, before.digest)
        assert head.epoch > before.epoch


async def test_a_commit_is_all_or_nothing(store: Store) -> None:
    """Of an insert of which one batch is refused nothing is kept, and the store goes on working."""
    (first,) = await fill(store, ("run/p/a", 1))
    head = await store.head()
    good = follow(head, "run/p/b")
    bad = follow(head, "run/p/c")  # at the same offset
    with pytest.raises(Exception, match=r"append-only|unique"):
        await store.insert([good, bad], head)
    assert await store.read(0, 10) == [first]
    assert await store.head() == head
    await store.insert([good], head)
    assert await store.read(0, 10) == [first, good]


async def test_a_sequence_is_stored_once(store: Store) -> None:
    """The store itself refuses a second event under the same producer and sequence."""
    await fill(store, ("run/p/a", 1))
    head = await store.head()
    with pytest.raises(Exception, match=r"append-only|unique"):
        await store.insert([follow(head, "run/p/b", producer="run/p/a")], head)
    assert await store.head() == head


async def test_an_insert_after_another_head_is_fenced(store: Store) -> None:
    """Nothing is written after a head that is not the log's."""
    head = await store.head()
    await fill(store, ("run/p/a", 1))
    now = await store.head()
    for stale in (
        head,
        Head(now.offset, bytes(32), now.recorded_at, now.epoch),
        Head(now.offset, now.digest, now.recorded_at, now.epoch - 1),
    ):
        with pytest.raises(Fenced):
            await store.insert([follow(stale, "run/p/b")], stale)
    assert await store.head() == now


async def test_a_second_writer_fences_the_first(open_store: Open) -> None:
    """Once another writer has opened the store, the earlier one can commit nothing."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_store(write=True))
        (kept,) = await fill(first, ("run/p/a", 1))
        head = await first.head()
        second = await stack.enter_async_context(open_store(write=True))
        with pytest.raises(Fenced):
            await first.insert([follow(head, "run/p/b")], head)
        now = await second.head()
        batch = follow(now, "run/p/b")
        await second.insert([batch], now)
        assert await first.read(0, 10) == [kept, batch]


async def test_a_reader_writes_nothing(store: Store, open_store: Open) -> None:
    """A store opened for reading refuses to insert and to redact."""
    (batch,) = await fill(store, ("run/p/a", 1))
    head = await store.head()
    async with open_store(write=False) as reader:
        with pytest.raises(LogClosed):
            await reader.insert([follow(head)], head)
        with pytest.raises(LogClosed):
            await reader.redact(batch, follow(head), head)


async def test_a_reader_of_nothing_says_so(open_store: Open) -> None:
    """Reading where there is no log is an error, and makes none."""
    with pytest.raises(OSError, match="no log"):
        async with open_store(write=False) as store:
            await store.head()


@pytest.mark.parametrize(("given", "first"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, None), (99, None)])
async def test_a_read_begins_with_the_batch_that_holds_the_next_event(store: Store, given: int, first: int | None) -> None:
    """A read after N begins with the batch in which N + 1 stands, even in its middle."""
    batches = await fill(store, ("run/p/a", 2), ("run/p/b", 1), ("run/p/a", 3), ("run/q/c", 1))
    assert await store.read(given, 10) == ([] if first is None else batches[first:])


async def test_a_read_is_bounded(store: Store) -> None:
    """A page has at most `limit` batches and about `size` bytes, and at least one batch when there is any."""
    batches = await fill(store, *[("run/p/a", 1)] * 6)
    assert await store.read(0, 4) == batches[:4]
    assert await store.read(0, 10, size=1) == batches[:1]
    assert await store.read(0, 10, size=2 * len(batches[0].body)) == batches[:2]


async def test_a_stream_is_read_alone(store: Store) -> None:
    """A read of one stream gives that stream's batches from any offset, and no other's."""
    batches = await fill(store, ("run/p/a", 2), ("run/p/ab", 1), ("run/p/a", 3), ("run/p/a", 1))
    mine = [batch for batch in batches if batch.stream == "run/p/a"]
    assert await store.read(0, 10, stream="run/p/a") == mine
    assert await store.read(1, 10, stream="run/p/a") == mine
    assert await store.read(2, 10, stream="run/p/a") == mine[1:]
    assert await store.read(4, 10, stream="run/p/a") == mine[1:]
    assert await store.read(6, 1, stream="run/p/a") == mine[2:]
    assert await store.read(7, 10, stream="run/p/a") == []
    assert await store.read(0, 10, stream="run/p/none") == []


async def test_a_prefix_is_taken_literally(store: Store) -> None:
    """A read by prefix gives the streams that begin with exactly these characters, signs of patterns included."""
    batches = await fill(store, ("run/a_b/x", 1), ("run/aXb/x", 1), ("run/a%/x", 1), ("run/A_b/x", 1), ("run/ä/x", 2))
    assert await store.read(0, 10, prefix="run/a_") == [batches[0]]
    assert await store.read(0, 10, prefix="run/a%") == [batches[2]]
    assert await store.read(0, 10, prefix="run/ä/") == [batches[4]]
    assert await store.read(0, 10, prefix="run/") == batches
    assert await store.read(5, 10, prefix="run/") == batches[4:]
    assert await store.read(0, 2, prefix="run/a") == batches[:2]


async def test_a_rare_prefix_is_found_far_away(store: Store) -> None:
    """However many other events lie between, a read by prefix finds the next one."""
    head, batches = await store.head(), []
    for number, stream in enumerate(("run/a/x", "run/b/x", "run/b/y", "run/a/y")):
        batch = follow(head, stream, count=100_000, body=b"%d" % number)
        await store.insert([batch], head)
        head = after(batch, head)
        batches.append(batch)
    assert await store.read(100_000, 1, prefix="run/a/") == [batches[3]]
    assert await store.read(50_000, 5, prefix="run/a/") == [batches[0]]
    assert await store.read(0, 5, prefix="run/c/") == []


async def test_versions_and_positions_follow_the_batches(store: Store) -> None:
    """The last version of a stream and the last sequence of a producer are those of their last events, 0 before any."""
    await fill(store, ("run/p/a", 2), ("run/p/b", 1), ("run/p/a", 3))
    assert [await store.version(s) for s in ("run/p/a", "run/p/b", "run/p/c")] == [5, 1, 0]
    assert [await store.position(p) for p in ("run/p/a", "run/p/b", "run/p/c")] == [5, 1, 0]


async def test_what_a_producer_wrote_is_found_by_its_sequences(store: Store) -> None:
    """The batches that hold any of the given sequences come back in order, and no others."""
    batches = await fill(store, ("a", 2), ("b", 1), ("a", 3), ("a", 1))
    mine = [batch for batch in batches if batch.producer == "a"]
    assert await store.written("a", 1, 6) == mine
    assert await store.written("a", 2, 2) == mine[:1]
    assert await store.written("a", 2, 3) == mine[:2]
    assert await store.written("a", 4, 9) == mine[1:]
    assert await store.written("a", 6, 6) == mine[2:]
    assert await store.written("c", 1, 9) == []


async def test_a_redaction_replaces_the_body_and_commits_its_notice(store: Store, open_store: Open) -> None:
    """A redacted batch differs in body and original only, and the notice is committed with it or not at all."""
    first, second = await fill(store, ("run/p/a", 1), ("run/p/b", 1))
    head = await store.head()
    body = encode([Redacted(time=0, was="label.set")])
    changed = Batch(**{f: getattr(first, f) for f in first.__struct_fields__} | {"body": body, "original": sha256(first.body).digest()})
    with pytest.raises(Fenced):
        await store.redact(changed, follow(Head(), "log/redactions"), Head())
    assert await store.read(0, 10) == [first, second]
    notice = follow(head, "log/redactions")
    await store.redact(changed, notice, head)
    assert await store.read(0, 10) == [changed, second, notice]
    assert await store.head() == after(notice, head)
    async with open_store(write=False) as reader:
        assert await reader.read(0, 10) == [changed, second, notice]


async def test_what_is_compacted_is_what_it_was(store: Store, open_store: Open) -> None:
    """Giving space back changes nothing that is stored, and appends go on; a store opened for reading refuses."""
    written = await fill(store, ("run/p/a", 3), ("run/p/b", 2))
    async with open_store(write=False) as reader:
        with pytest.raises(LogClosed):
            await reader.compact()
        await store.compact()
        assert await store.read(0, 10) == await reader.read(0, 10) == written
    head = await store.head()
    await store.insert([follow(head, "run/p/c")], head)
    assert await store.check() == []


async def test_a_cancelled_insert_leaves_no_half_state(store: Store) -> None:
    """Whenever its caller is cancelled, an insert happens whole or not at all, and the next one works."""
    for n in range(20):
        head = await store.head()
        batches = [follow(head, f"a{n}")]
        batches.append(follow(after(batches[0], head), f"b{n}"))
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.insert, batches, head)
                for _ in range(n % 4):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        now = await store.version(f"b{n}"), await store.version(f"a{n}")
        assert now in ((0, 0), (1, 1))
        assert (await store.head()).offset in (head.offset, head.offset + 2)


async def test_many_readers_see_whole_commits_only(store: Store, open_store: Open) -> None:
    """Readers that run beside the writer see a prefix of the log, cut between commits."""

    async def look(reader: Store) -> None:
        seen = 0
        while seen < 60:
            page = await reader.read(0, 1000)
            assert [batch.offset for batch in page] == list(range(1, len(page) + 1))
            assert len(page) % 3 == 0
            assert len(page) >= seen
            seen = len(page)

    async with open_store(write=False) as reader, anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(look, reader)
        head = await store.head()
        for n in range(20):
            group: list[Batch] = []
            for k in range(3):
                group.append(follow(head if not group else after(group[-1], head), f"s{n}-{k}"))
            await store.insert(group, head)
            head = after(group[-1], head)
