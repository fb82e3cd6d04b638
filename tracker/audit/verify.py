"""What can be proved about a data directory: each question has its own answer.

The log proves itself (chain, streams, producers, redactions, the store's structures); the views must equal a fold of the log done anew;
each artifact's bytes must have the digest its event names. None of this proves anything against whoever may write all the files: for
that a signed checkpoint, kept elsewhere, must name a prefix of this log. Works beside a running server: files are read as they were at
one moment.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, closing, contextmanager
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio.to_thread
import msgspec

from events.reading import LogReader
from events.verify import Anchor, Fault, Report, verify_chain
from projections.applier import Health, read_health
from projections.registry import PROJECTIONS
from projections.runner import groups
from projections.views import open_views
from tracker.audit.agreement import disagreements
from tracker.audit.moment import counted
from tracker.errors import InvalidRequest
from tracker.names import check_digest

Progress = Callable[[str, int, int], None]  # what is being done, how far, of how much

_MISSING = "is missing"
_NAMED = 20  # faults of one answer that are named; the rest is counted


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One question answered. `holds` is None when it could not be asked, and `text` says why."""

    question: str
    holds: bool | None
    text: str
    faults: list[str] = []


async def verify(
    log: LogReader, data: Path, views: Path, anchors: Iterable[Anchor] = (), progress: Progress = lambda *_: None
) -> list[Answer]:
    """All answers about the data directory `data`, whose log is `log` and whose views are in the file `views`."""
    anchors = list(anchors)
    total = log.head.offset
    report = await verify_chain(log, anchors=anchors, progress=lambda offset: progress("reading the log", offset, total))
    answers = [*_of_log(report), _of_anchors(report, anchors)]
    if report.chain:
        unknown = "not asked: the log is not whole"
        skipped = [Answer(question=question, holds=None, text=unknown) for question in ("views", "artifacts")]
        return [*answers[:-1], *skipped, answers[-1]]
    with TemporaryDirectory(prefix="tracker-verify-") as scratch:
        rebuilt = Path(scratch) / "views.db"
        agree = await _of_views(log, views, rebuilt, progress)
        blobs = await _of_blobs(data / "blobs", rebuilt, progress)
    return [*answers[:-1], agree, blobs, answers[-1]]


def _of_log(report: Report) -> list[Answer]:
    end, head = report.verified.offset, report.head.offset
    whole = f"{counted(end, 'event')} in {counted(report.batches, 'batch')}, each follows the one before it"
    chain = _answer("chain", [report.chain] if report.chain else [], whole, f"whole only up to offset {end:,} of {head:,}")
    redacted = f"{counted(report.redacted, 'event')} redacted, each on the record" if report.redacted else "nothing was redacted"
    more = [f"and {report.uncounted:,} more"] if report.uncounted else []
    return [
        chain,
        _answer("streams", report.streams, "the versions of every stream are gapless", "versions are missing or repeated"),
        _answer("producers", report.producers, "every producer's events are here, once, in order", "events are missing or repeated", more),
        _answer("redactions", report.redactions, redacted, "content was changed against the record"),
        _answer("store", [Fault(0, fault) for fault in report.store], "the database's structures are sound", "the database is damaged"),
    ]


def _of_anchors(report: Report, anchors: list[Anchor]) -> Answer:
    if not anchors:
        text = "no checkpoint was given: this proves nothing against whoever could rewrite all files, nor that no tail was cut off"
        return Answer(question="anchor", holds=None, text=text)
    return _answer(
        "anchor", report.anchors, f"the log is the one that was signed up to offset {report.anchored:,}", "not the log that was signed"
    )


def _answer(question: str, faults: list[Fault], good: str, bad: str, more: Iterable[str] = ()) -> Answer:
    named = [f"offset {fault.offset:,}: {fault.message}" if fault.offset else fault.message for fault in faults[:_NAMED]]
    if len(faults) > _NAMED:
        named.append(f"and {len(faults) - _NAMED:,} more")
    named += more
    return Answer(question=question, holds=not named, text=bad if named else good, faults=named)


# -- the views ------------------------------------------------------------------------------------------------------------


async def _of_views(log: LogReader, kept: Path, rebuilt: Path, progress: Progress) -> Answer:
    if not await anyio.Path(kept).exists():
        await _fold(log, rebuilt, log.head.offset, progress)
        return Answer(question="views", holds=None, text="there are none of this version yet: the next start makes them")
    faults: list[str] = []
    good = ""
    try:
        with _snapshot(kept) as old:
            health = await anyio.to_thread.run_sync(read_health, old)
            await log.refresh()
            reached = max(h.offset for h in health.values())
            await _fold(log, rebuilt, reached, progress)
            faults += [_stopped(name, h) for name, h in health.items() if h.error or h.offset != reached]
            tables = [table for p in PROJECTIONS if p.name in health and health[p.name].offset == reached for table in p.tables]
            with _snapshot(rebuilt) as new:
                progress("comparing the views", 0, 0)
                faults += await anyio.to_thread.run_sync(disagreements, old, new, tables)
            faults += await anyio.to_thread.run_sync(_unsound, old)
            good = f"equal to a rebuild from the log, {counted(len(tables), 'table')} at offset {reached:,}"
    except (sqlite3.DatabaseError, UnicodeDecodeError, TypeError, ValueError) as error:  # damage can look like anything
        faults.append(f"{kept.name} cannot be read: {error}")
        if not await anyio.Path(rebuilt).exists():
            await _fold(log, rebuilt, log.head.offset, progress)
    return Answer(
        question="views",
        holds=not faults,
        text="not what the log says: `tracker rebuild` makes them anew" if faults else good,
        faults=faults,
    )


def _unsound(db: sqlite3.Connection) -> list[str]:
    """Faults of the indexes and pages: rows may be equal, and yet not be found by a search."""
    return [str(text) for (text,) in db.execute("PRAGMA integrity_check(5)") if text != "ok"]


def _stopped(name: str, health: Health) -> str:
    why = f"stopped at offset {health.failed_at:,}: {health.error}" if health.error else f"has only reached offset {health.offset:,}"
    return f"projection {name} {why}"


async def _fold(log: LogReader, path: Path, until: int, progress: Progress) -> None:
    async with open_views(path, PROJECTIONS, write=True) as views, aclosing(groups(log, 0, until=until)) as all_groups:
        async for group in all_groups:
            await views.apply(group)
            progress("folding the views anew", group[-1].last, until)


@contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as it is now, for as long as the block lasts, whatever its writer does meanwhile."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)) as db:
        db.execute("PRAGMA query_only=ON")
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM checkpoint").fetchone()  # a read transaction begins with its first read
        yield db


# -- the bytes of artifacts -----------------------------------------------------------------------------------------------


async def _of_blobs(blobs: Path, rebuilt: Path, progress: Progress) -> Answer:
    """The digests are read from the views folded anew, so they are the log's."""
    with _snapshot(rebuilt) as db:
        wanted = await anyio.to_thread.run_sync(_named, db)
    faults: list[str] = []
    size = missing = 0
    for count, (digest, stated, name) in enumerate(wanted):
        progress("reading artifacts", count, len(wanted))
        fault = await anyio.to_thread.run_sync(_fault_of, blobs / digest[:2] / digest, digest, stated)
        size += stated
        if fault:
            faults.append(f"{name}: {fault}")
            missing += fault.endswith(_MISSING)
    good = (
        f"{counted(len(wanted), 'file')}, {counted(size, 'byte')}: the digests are those that events name" if wanted else "there are none"
    )
    counts = [f"{count:,} {what}" for count, what in ((missing, "missing"), (len(faults) - missing, "not what was logged")) if count]
    bad = f"of {counted(len(wanted), 'file')}, {' and '.join(counts)}"
    bad += "; `tracker import --blobs` adds what is missing" if missing else ""
    return _answer("artifacts", [Fault(0, fault) for fault in faults], good, bad)


def _named(db: sqlite3.Connection) -> list[tuple[str, int, str]]:
    """Digest, stated size, and who names it, of all bytes that artifacts have, each once."""
    found: dict[str, tuple[int, str]] = {}
    for digest, size, name, packed in db.execute(
        "SELECT digest, size, project || '/' || uid || ' ' || key, files FROM artifacts ORDER BY id"
    ):
        files = msgspec.msgpack.decode(packed)
        if digest:
            found.setdefault(digest, (0 if files else size, name))  # of several files, the size is theirs, not that of their list
        for file in files:
            found.setdefault(file["digest"], (file["size"], f"{name}/{file['path']}"))
    return [(digest, *stated) for digest, stated in sorted(found.items())]


def _fault_of(path: Path, digest: str, size: int) -> str:
    try:
        check_digest(digest, "digest")  # before it is a part of a path
        with path.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except InvalidRequest:
        return f"{digest[:12]!r} is no sha256"
    except FileNotFoundError:
        return f"{digest[:12]} {_MISSING}"
    except OSError as error:
        return f"{digest[:12]} cannot be read: {error.strerror}"
    if found != digest:
        return f"{digest[:12]} has other bytes now: sha256 {found[:12]}, {path.stat().st_size:,} bytes of {size:,}"
    return ""
