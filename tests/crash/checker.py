"""The judge: what a log holds, held against what its users were told. It shares no code with the product.

Users write a history outside of the system, one line for each thing they did or saw: an attempt to record, its acknowledgement, an
event that a tail showed them. Afterwards the log's file is read with nothing but sqlite3, zstd and msgpack, and these must hold:

    acknowledged is a subset of stored is a subset of attempted; each event once, as it was sent
    the sequences of a producer and the versions of a stream rise by one; offsets are 1..N without a gap
    what was acknowledged before something else was first attempted has the smaller offset
    every tail saw the log's events from the first on, each once, in their order, up to the end
    the chain of digests, computed anew, ends in the digest of the head
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zstandard


class Stored(NamedTuple):
    """One event as the file has it."""

    offset: int
    stream: str
    version: int
    producer: str
    sequence: int
    event: dict[str, Any]


class History:
    """What users did and saw, in the order they did and saw it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, what: str, **facts: Any) -> None:
        """One line."""
        os.write(self._fd, json.dumps({"what": what, **facts}).encode() + b"\n")

    def lines(self, what: str | None = None) -> list[dict[str, Any]]:
        """All lines, or those of one kind."""
        lines = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [line for line in lines if what is None or line["what"] == what]

    def close(self) -> None:
        """No more lines."""
        os.close(self._fd)


def stored_events(data: Path) -> tuple[list[Stored], list[str]]:
    """The events in a data directory's log that nobody writes, and what is wrong with the log by itself."""
    faults: list[str] = []
    events: list[Stored] = []
    with closing(sqlite3.connect(f"{(data / 'log.db').as_uri()}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT * FROM batch ORDER BY offset").fetchall()
        ((end, digest),) = db.execute("SELECT offset, digest FROM head").fetchall()
        faults += [f"integrity: {text}" for (text,) in db.execute("PRAGMA integrity_check") if text != "ok"]
    chain = bytes(32)
    for offset, count, stream, version, recorded_at, actor, producer, sequence, body, claimed, original in rows:
        header = msgspec.msgpack.encode((offset, count, stream, version, recorded_at, actor, producer, sequence))
        chain = sha256(chain + header + (original or sha256(body).digest())).digest()
        if chain != claimed:
            faults.append(f"chain: the batch at offset {offset} does not follow the one before it")
            chain = claimed
        plain = zstandard.ZstdDecompressor().decompress(body) if body[:4] == b"\x28\xb5\x2f\xfd" else body
        found = msgspec.msgpack.decode(plain)
        if len(found) != count:
            faults.append(f"chain: the batch at offset {offset} has {len(found)} events, not {count}")
        events += [Stored(offset + i, stream, version + i, producer, sequence + i, event) for i, event in enumerate(found)]
    if (end, digest) != (events[-1].offset if events else 0, chain):
        faults.append(f"head: it says {end}, the log ends at {events[-1].offset if events else 0}")
    return events, faults + list(_numbers(events))


def _numbers(events: list[Stored]) -> Iterator[str]:
    versions: dict[str, int] = {}
    sequences: dict[str, int] = {}
    for expected, event in enumerate(events, 1):
        if event.offset != expected:
            yield f"offsets: {event.offset} stands where {expected} should"
        if event.version != versions.get(event.stream, 0) + 1:
            yield f"versions: {event.stream} goes from {versions.get(event.stream, 0)} to {event.version} at offset {event.offset}"
        if event.sequence != sequences.get(event.producer, 0) + 1:
            yield f"order: {event.producer} goes from {sequences.get(event.producer, 0)} to {event.sequence} at offset {event.offset}"
        versions[event.stream], sequences[event.producer] = event.version, event.sequence


def judge(data: Path, history: History, made: Callable[[str, int], dict[str, Any]], *, ended: bool = True) -> list[str]:
    """What is wrong, in words; empty when all promises were kept. `made` is what a producer sends under a sequence; `ended` says
    that the tails were given the time to see everything."""
    events, faults = stored_events(data)
    lines = history.lines()
    return [*faults, *_promises(events, lines, made), *_tails(events, lines, ended=ended)]


def _promises(events: list[Stored], lines: list[dict[str, Any]], made: Callable[[str, int], dict[str, Any]]) -> Iterator[str]:
    places: dict[tuple[str, int], int] = {}
    for event in events:
        name = (event.producer, event.sequence)
        if name in places:
            yield f"once: {name} is stored at {places[name]} and again at {event.offset}"
        places[name] = event.offset
        if event.event != made(*name):
            yield f"content: {name} at {event.offset} is {event.event}, sent was {made(*name)}"
    attempted: set[tuple[str, int]] = set()
    known = 0  # the greatest offset of an event whose acknowledgement somebody had
    for line in lines:
        if line["what"] not in ("attempt", "acknowledged"):
            continue
        names = [(line["producer"], sequence) for sequence in range(line["first"], line["first"] + line["count"])]
        if line["what"] == "attempt":
            for name in names:
                if name not in attempted and places.get(name, known + 1) <= known:
                    yield f"order: {name} was first sent after offset {known} was acknowledged, and stands at {places[name]}"
            attempted.update(names)
            continue
        missing = [name for name in names if name not in places]
        if missing:
            yield f"lost: {missing[0]} and {len(missing) - 1} more were acknowledged, and are not stored"
        else:
            known = max(known, places[names[-1]])
            if line["offset"] < known and line["offset"] < places[names[-1]]:
                yield f"acknowledgement: {names[-1]} is at {places[names[-1]]}, its acknowledgement said {line['offset']}"
    yield from (f"invented: {name} is stored, and nobody sent it" for name in places if name not in attempted)


def _tails(events: list[Stored], lines: list[dict[str, Any]], *, ended: bool) -> Iterator[str]:
    seen: dict[str, int] = {line["tail"]: 0 for line in lines if line["what"] == "tail"}
    for line in lines:
        if line["what"] != "seen":
            continue
        expected = seen[line["tail"]] + 1
        if line["offset"] != expected:
            yield f"tail: {line['tail']} saw offset {line['offset']} where {expected} should come"
        elif expected > len(events):
            yield f"tail: {line['tail']} saw offset {expected}, which is not stored"
        elif (line["producer"], line["sequence"]) != (events[expected - 1].producer, events[expected - 1].sequence):
            yield f"tail: {line['tail']} saw another event at offset {expected} than is stored there"
        seen[line["tail"]] = line["offset"]
    if ended:
        yield from (f"tail: {name} ended at {last}, the log at {len(events)}" for name, last in seen.items() if last < len(events))
