"""The journal: what was said is in it, whatever happens to the process or to its bytes."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tracker.journal import Journal
from tracker.journal_reader import JournalReader, Piece, is_alive, read_header, scan

STREAM = b"run/digits/r1"


def event(number: int) -> bytes:
    """An event known by its number."""
    return msgspec.msgpack.encode({"type": "result.logged", "time": number, "key": f"k{number}", "value": number})


def fill(journal: Journal, first: int, last: int, stream: bytes = STREAM) -> None:
    """Append events first..last."""
    for number in range(first, last + 1):
        journal.append(stream, 1, event(number))


def read_all(directory: Path, *, dead: bool = True, limit: int = 1024) -> tuple[list[Piece], JournalReader]:
    """All pieces of the one journal in a directory."""
    (segments,) = scan(directory).values()
    reader = JournalReader(segments[0])
    pieces: list[Piece] = []
    while got := reader.read(limit=limit, dead=dead):
        pieces += got
    return pieces, reader


def numbers(pieces: list[Piece]) -> list[int]:
    """The times of the events, 0 for a placeholder; checks that sequences are gapless."""
    out: list[int] = []
    following = pieces[0].sequence
    for piece in pieces:
        assert piece.sequence == following
        events = msgspec.msgpack.decode(msgspec.msgpack.encode(piece.array()))
        assert len(events) == piece.count
        out += [0 if e["type"] == "event.refused" else e["time"] for e in events]
        following += piece.count
    return out


def test_what_was_written_is_read_in_order_and_merged_by_stream(tmp_path: Path) -> None:
    """Neighbouring events of one stream come as one piece; order and sequences are those of the calls."""
    journal = Journal(tmp_path, "http://x", "p1")
    fill(journal, 1, 10)
    fill(journal, 11, 12, b"run/digits/r2")
    fill(journal, 13, 13)
    pieces, reader = read_all(tmp_path)
    journal.close()
    assert [(p.stream, p.sequence, p.count) for p in pieces] == [
        ("run/digits/r1", 1, 10),
        ("run/digits/r2", 11, 2),
        ("run/digits/r1", 13, 1),
    ]
    assert numbers(pieces) == list(range(1, 14))
    assert not reader.damages


def test_segments_rotate_and_vanish_once_acknowledged(tmp_path: Path) -> None:
    """A long journal is many files, each gone as soon as all in it is stored elsewhere; the rest is read from its first event."""
    journal = Journal(tmp_path, "http://x", "p1", segment_bytes=2000)
    fill(journal, 1, 200)
    before = scan(tmp_path)["p1"]
    assert len(before) > 5
    journal.acknowledge(100)
    after = scan(tmp_path)["p1"]
    assert 0 < len(after) < len(before)
    pieces, _ = read_all(tmp_path)
    assert 1 < pieces[0].sequence <= 101
    assert numbers(pieces)[-1] == 200
    journal.close(200)
    assert not list(tmp_path.iterdir())


def test_a_live_journal_is_read_as_it_grows(tmp_path: Path) -> None:
    """A reader asks again and gets only what is new; it holds the end to be unfinished, not torn."""
    journal = Journal(tmp_path, "http://x", "p1", segment_bytes=500)
    reader = JournalReader(journal.path)
    seen: list[int] = []
    for number in range(1, 60):
        fill(journal, number, number)
        while got := reader.read():
            seen += numbers(got)
    assert seen == list(range(1, 60))
    assert is_alive(journal.path)
    journal.close()
    assert not is_alive(journal.path)


@pytest.mark.parametrize("lost", range(1, 90, 11))
def test_a_torn_tail_is_cut_and_reported(tmp_path: Path, lost: int) -> None:
    """Whatever part of the last frame is missing, all events before it are read."""
    journal = Journal(tmp_path, "http://x", "p1")
    fill(journal, 1, 5)
    journal.close()
    path = journal.path
    os.truncate(path, path.stat().st_size - lost)
    whole = 4 if lost < len(event(5)) + 24 + len(STREAM) else 3
    live, _ = read_all(tmp_path, dead=False)
    assert numbers(live) == list(range(1, whole + 1))
    pieces, reader = read_all(tmp_path)
    assert numbers(pieces) == list(range(1, whole + 1))
    assert [d.count for d in reader.damages] == ([0] if lost != len(event(5)) + 24 + len(STREAM) else [])


def test_a_flipped_bit_is_located_and_hides_only_its_own_frame(tmp_path: Path) -> None:
    """Any one flipped bit costs at most one frame, which is reported where it lies; a placeholder takes each lost sequence."""
    journal = Journal(tmp_path / "whole", "http://x", "p1")
    fill(journal, 1, 40)
    journal.close()
    whole = journal.path.read_bytes()
    _, start = read_header(journal.path)
    choice = random.Random(7)
    (tmp_path / "bad").mkdir()
    bad = tmp_path / "bad" / journal.path.name
    for _ in range(300):
        at = choice.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[at] ^= 1 << choice.randrange(8)
        bad.write_bytes(flipped)
        pieces, reader = read_all(bad.parent, limit=500)
        got = numbers(pieces)
        assert len(reader.damages) == 1
        assert reader.damages[0].position <= at
        if at < start:
            assert got == list(range(1, 41))
        else:
            assert len([n for n in got if n]) == 39
            assert [n for n in got if n] == [n for n in range(1, 41) if n in got]
            assert reader.damages[0].position + reader.damages[0].length > at


def test_missing_ends_of_segments_are_noticed(tmp_path: Path) -> None:
    """A segment that lost whole frames at its end is found out by the next one, and their sequences are taken."""
    journal = Journal(tmp_path, "http://x", "p1", segment_bytes=2000)
    fill(journal, 1, 60)
    journal.close()
    second = scan(tmp_path)["p1"][1]
    _, start = read_header(second)
    os.truncate(second, start + 3 * (len(event(30)) + 24 + len(STREAM)))
    pieces, reader = read_all(tmp_path)
    got = numbers(pieces)
    assert len(got) == 60
    assert sum(d.count for d in reader.damages) == got.count(0) > 0


def test_a_killed_process_loses_nothing_it_had_said(tmp_path: Path) -> None:
    """SIGKILL at any moment: each event whose call had returned is in the journal, once and in order."""
    code = (
        "import sys; from pathlib import Path; from tracker.journal import Journal; import msgspec\n"
        "journal = Journal(Path(sys.argv[1]), 'http://x', 'p1', segment_bytes=4000)\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    journal.append(b'run/p/u', 1, msgspec.msgpack.encode({'type': 'result.logged', 'time': n, 'key': 'k', 'value': n}))\n"
        "    sys.stdout.write(f'{n}\\n'); sys.stdout.flush()\n"
    )
    for round_ in range(8):
        directory = tmp_path / str(round_)
        process = subprocess.Popen([sys.executable, "-c", code, str(directory)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(20 + 37 * round_):
            said = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        process.wait()
        process.stdout.close()
        said = max([said, *(int(line) for line in rest[:-1] if line)])
        pieces, _ = read_all(directory)
        got = numbers(pieces)
        assert got == list(range(1, len(got) + 1))
        assert said <= len(got) <= said + 1


def test_a_deleted_segment_is_written_anew(tmp_path: Path) -> None:
    """Somebody removes the journal of a running job, directory and all: all that was said stands under the same name again."""
    journal = Journal(tmp_path / "journals", "http://x", "p1")
    journal.append(b"run/p/r", 1, event(1))
    reader = JournalReader(journal.path)
    assert [piece.sequence for piece in reader.read()] == [1]
    assert not journal.restore()
    shutil.rmtree(tmp_path / "journals")
    journal.append(b"run/p/r", 1, event(2))
    assert journal.restore()
    journal.append(b"run/p/r", 1, event(3))
    assert [(piece.sequence, piece.count) for piece in (*reader.read(), *reader.read())] == [(2, 1), (3, 1)]
    again = JournalReader(journal.path)
    assert [(piece.sequence, piece.count) for piece in again.read()] == [(1, 3)]
    assert is_alive(journal.path)
    journal.close(3)
    assert not list((tmp_path / "journals").iterdir())
