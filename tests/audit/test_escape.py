"""Nothing a job wrote can drive the terminal of the one who reads it."""

from hypothesis import given
from hypothesis import strategies as st

from tracker.audit.escape import Console, line


def shown(*chunks: bytes) -> str:
    """What a terminal gets for these chunks."""
    console = Console()
    return "".join(console.feed(chunk) for chunk in chunks) + console.end()


def test_colours_and_newlines_of_a_job_reach_the_reader() -> None:
    """A job's coloured output looks as it did, and the terminal is normal again after it."""
    assert shown(b"a\x1b[1;31mred\x1b[0m\r\n\tb") == "a\x1b[1;31mred\x1b[0m\r\n\tb\x1b[0m"


def test_cursor_titles_and_resets_do_not() -> None:
    """Sequences that move the cursor, clear the screen, retitle the window or reset the terminal are gone."""
    assert shown(b"a\x1b[2Jb\x1b[10;10Hc\x1b]0;owned\x07d\x1b]52;c;ZXZpbA==\x1b\\e\x1bcf\x1bPq\x1b\\g") == "abcdefg"


def test_a_sequence_cut_between_chunks_is_still_one() -> None:
    """However the bytes are cut on their way, the reader sees the same text."""
    data = "é\x1b[31mx\x1b]0;title\x1b\\y\x1b[2Kz€".encode()
    whole = shown(data)
    assert all(shown(data[:i], data[i:]) == whole for i in range(len(data)))
    assert shown(*(data[i : i + 1] for i in range(len(data)))) == whole == "é\x1b[31mxyz€\x1b[0m"


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_whatever_leave_an_escape_but_a_colour(data: bytes, cut: int) -> None:
    """For any bytes cut anywhere, every escape character that comes out begins a colour sequence."""
    text = shown(b"\x1b" + data[:cut], data[cut:])
    for rest in text.split("\x1b")[1:]:
        end = rest.find("m")
        assert rest.startswith("[")
        assert end > 0
        assert set(rest[1:end]) <= set("0123456789;:")


@given(st.text(max_size=100))
def test_a_name_is_always_one_printable_line(text: str) -> None:
    """Names and values in a table never break the line nor reorder the text around them."""
    clean = line(text + "\x1b[31m\n\u202e\x9b")
    assert not any(c < " " or "\x7f" <= c <= "\x9f" or c in "\u202e\u2028" for c in clean)


def test_megabytes_of_hostile_text_take_no_time() -> None:
    """Text made of beginnings of sequences is cleaned in linear time, not stalled on."""
    assert len(shown(b"\x1b]" * 200_000, b"\x1b[" + b"0" * 200_000)) > 0
