"""What a job printed, read from any byte."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.connection import SCRATCH
from events.types import ConsoleWritten, RunCreated
from projections.console import CONSOLES, Console
from projections.reads.console import ConsolePart, ConsolePiece, pieces, read_console
from projections.views import Views, open_views
from tests.oracle.histories import Told

pytestmark = pytest.mark.anyio


@pytest.fixture
async def views() -> AsyncIterator[Views]:
    """Empty views."""
    async with open_views(SCRATCH, (Console(),)) as views:
        yield views


writes = st.lists(
    st.tuples(st.binary(max_size=9), st.sampled_from(["stdout", "stderr"]), st.integers(0, 2), st.booleans()), min_size=1, max_size=12
)


@settings(max_examples=100)
@given(writes=writes, offset=st.integers(-90, 90), size=st.integers(0, 90))
async def test_any_part_is_exactly_what_was_printed(writes: list[tuple[bytes, str, int, bool]], offset: int, size: int) -> None:
    """From any byte, for any length, whole or of one source: the bytes as they were printed, in order, with the place to go on."""
    told, text, sources = Told(), b"".join(data for data, *_ in writes), b"".join(s[-1:].encode() * len(d) for d, s, *_ in writes)
    async with open_views(SCRATCH, (Console(),)) as views:
        group: list[ConsoleWritten] = []
        for data, source, iteration, cut in writes:
            group.append(ConsoleWritten(time=1, data=data, source=source, iteration=iteration))
            if cut:
                await views.apply([told.say("run/p/u", *group)])
                group = []
        if group:
            await views.apply([told.say("run/p/u", *group)])
        part = await read_console(views, "p", "u", offset, size)
        begin = max(0, len(text) + offset) if offset < 0 else offset
        assert (part.offset, part.data, part.size) == (begin, text[begin : begin + size], len(text))
        assert part.next == begin + len(part.data)
        errors = await read_console(views, "p", "u", offset, size, source="stderr")
        assert errors.data == bytes(b for b, s in zip(part.data, sources[begin:], strict=False) if s == ord("r"))
        assert errors.next == part.next


async def test_a_follower_by_offset_sees_all_bytes_once(views: Views) -> None:
    """Reading on from `next` while the job prints gives the console, whole; bytes that are not text stay as they are."""
    told, seen, at = Told(), b"", 0
    for n in range(20):
        data = bytes([n, 255, 0, 10]) * n
        await views.apply([told.say("run/p/u", ConsoleWritten(time=n, data=data), RunCreated(time=n, name="x"))])
        part = await read_console(views, "p", "u", at, 7)
        seen, at = seen + part.data, part.next
    while at < part.size:
        part = await read_console(views, "p", "u", at, 7)
        seen, at = seen + part.data, part.next
    assert seen == b"".join(bytes([n, 255, 0, 10]) * n for n in range(20))


async def test_each_piece_tells_where_it_came_from(views: Views) -> None:
    """Time, source, iteration and attempt stay with the bytes; a part of a write begins where it was asked for."""
    await views.apply(
        [
            Told().say(
                "run/p/u",
                ConsoleWritten(time=5, data=b"hello", source="logger", attempt="a"),
                ConsoleWritten(time=6, data=b""),
                ConsoleWritten(time=7, data=b"world", iteration=3),
            )
        ]
    )
    console = await views.get(CONSOLES, "p", "u")
    found = await views.query(lambda db: list(pieces(db, console, 2, 7)))
    assert found == [ConsolePiece(2, 5, "logger", 0, "a", b"llo"), ConsolePiece(5, 7, "stdout", 3, "", b"wo")]
    assert [p.end for p in found] == [5, 7]


async def test_a_run_that_never_printed_has_an_empty_console(views: Views) -> None:
    """Nothing, and no error."""
    assert await read_console(views, "p", "nobody") == ConsolePart(b"", 0, 0, 0)
