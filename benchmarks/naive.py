"""What one would write without thinking, and the ceiling of what SQLite can do: both in process, without HTTP, same durability."""

import json
import sqlite3
import time
from pathlib import Path

from benchmarks.data import metrics
from events.types import MetricLogged

_TABLE = "CREATE TABLE metrics (id INTEGER PRIMARY KEY, run TEXT, key TEXT, value REAL, step INTEGER, time INTEGER)"
_INSERT = "INSERT INTO metrics (run, key, value, step, time) VALUES (?, ?, ?, ?, ?)"
Row = tuple[str, str, float, int, int]


def rows(count: int) -> list[Row]:
    """Metric points as rows."""
    return [("run-1", e.key, e.value, e.step, e.time) for e in metrics(count) if isinstance(e, MetricLogged)]


def open_table(path: Path) -> sqlite3.Connection:
    """A table of points, one row each, in WAL with synchronous=FULL."""
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLE}; CREATE INDEX by_key ON metrics (run, key, step)")
    return db


def one_insert_per_event(path: Path, count: int) -> float:
    """Events per second when each is an INSERT and a commit."""
    points, db = rows(count), open_table(path)
    began = time.perf_counter()
    for row in points:
        db.execute(_INSERT, row)
    rate = count / (time.perf_counter() - began)
    db.close()
    return rate


def executemany(path: Path, count: int, batch: int = 1_000) -> float:
    """Events per second of raw executemany, a commit for every `batch`: the ceiling for a row per event."""
    points, db = rows(count), open_table(path)
    began = time.perf_counter()
    for i in range(0, count, batch):
        db.execute("BEGIN")
        db.executemany(_INSERT, points[i : i + batch])
        db.execute("COMMIT")
    rate = count / (time.perf_counter() - began)
    db.close()
    return rate


def bytes_per_event(path: Path, count: int) -> float:
    """Bytes on disk of a row per event with the index a history needs."""
    executemany(path, count)
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path.stat().st_size / count


def history_ms(path: Path, count: int) -> float:
    """Milliseconds to read a series of `count` rows and write it as JSON."""
    executemany(path, count * 4)
    db = sqlite3.connect(path)
    began = time.perf_counter()
    found = db.execute("SELECT step, time, value FROM metrics WHERE run = 'run-1' AND key = 'loss' ORDER BY step").fetchall()
    json.dumps([{"step": step, "time": at, "value": value} for step, at, value in found])
    elapsed = time.perf_counter() - began
    db.close()
    return elapsed * 1e3
