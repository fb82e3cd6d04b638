"""Datasets: what `log_dataset` takes beyond writing the same parquet file, which pandas does alone."""

import os
import time
from pathlib import Path

import numpy
import pandas

import tracker
from benchmarks.figure import Figure, number, size
from tracker.connection import PROCESS

ROWS, COLUMNS = 1_000_000, 20
ROUNDS = 7


def frame(rows: int) -> pandas.DataFrame:
    """Numbers as measurements have them, which cannot be compressed; two columns of counts, one of words."""
    numbers = numpy.random.default_rng(1)
    columns = {f"x{i}": numbers.standard_normal(rows) for i in range(COLUMNS - 3)}
    columns |= {f"n{i}": numbers.integers(0, 1000, rows) for i in range(2)}
    return pandas.DataFrame({**columns, "word": numpy.array(["red", "green", "blue"])[numbers.integers(0, 3, rows)]})


def run(directory: Path) -> list[Figure]:
    """Both in turns, each in its best round: what else the machine does falls on either."""
    os.environ.setdefault("TRACKER_JOURNALS", str(directory / "journals"))
    rows = size(ROWS, 1_000)
    data = frame(rows)
    alone, logged = [], []
    with tracker.get_or_create_ctx("dataset", project="bench", uri=str(directory / "data")) as context:
        context.log_dataset("warm", data.head(100))
        for turn in range(ROUNDS):
            data.iloc[0, 0] = float(turn)  # other bytes each time, or there would be nothing to keep
            began = time.perf_counter()
            data.to_parquet(directory / "alone.parquet")
            alone.append(time.perf_counter() - began)
            began = time.perf_counter()
            context.log_dataset("measured", data)
            logged.append(time.perf_counter() - began)
    PROCESS.end()
    megabytes = (directory / "alone.parquet").stat().st_size / 1e6
    return [
        Figure(
            verb="dataset",
            name=f"log_dataset of {rows:,} x {COLUMNS}, by the time of that parquet alone",
            value=min(logged) / min(alone),
            unit="x",
            target=1.5,
            method=f"{megabytes:.0f} MB into a data directory: hashed, synced, described, recorded; the best of {ROUNDS} in turns with "
            f"DataFrame.to_parquet, which syncs nothing; log_dataset {number(min(logged))} s",
            beside=f"to_parquet alone {number(min(alone))} s",
        )
    ]
