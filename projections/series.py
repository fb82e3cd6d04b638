"""Points of a metric as columns of numbers, and what a chart needs of them.

A chunk is 512 points: arrays of steps, times and values, integers as differences, bytes of equal weight side by side, one zstd
frame around all. Nothing is rounded: integers wrap modulo 2**64 and floats keep their bits, so NaN and infinities come back as
they went in. A pyramid stands beside the chunks: 16 consecutive points make a bucket (first step and time, first and last value,
minimum, maximum, number of NaN), 32 buckets of one level make one of the next. A chart of any length reads a few thousand buckets
of the level that just suffices, and is exact: its buckets are unions of buckets of a level. Minimum and maximum know nothing of
NaN, unless a bucket holds nothing else. That (first, last, min, max) draws every pixel is M4's idea (Jugel et al., VLDB 2014).
"""

import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise
from operator import sub
from typing import Any, TypeAlias

import msgspec
import zstandard

CHUNK = 512  # points
BUCKET = 16  # points in a bucket of level 0
RECORD = 56  # bytes of one bucket of an upper level
FANOUT = 32  # buckets of one level in a row, and in a bucket of the next level

_WRAP, _HALF = 1 << 64, 1 << 63

Integers: TypeAlias = "array[int]"
Floats: TypeAlias = "array[float]"
Column: TypeAlias = "array[int] | array[float]"


class Points(msgspec.Struct):
    """Three columns of one length."""

    steps: Integers
    times: Integers
    values: Floats


class Buckets(msgspec.Struct):
    """Seven columns of one length: what is kept of each run of consecutive points."""

    steps: Integers  # of the first point
    times: Integers
    firsts: Floats
    lasts: Floats
    minima: Floats
    maxima: Floats
    nans: Integers  # how many values are NaN

    def __len__(self) -> int:
        return len(self.steps)

    def extend(self, columns: Sequence[Any]) -> None:
        """Append these columns, in the order of the fields."""
        for mine, more in zip(self.columns(), columns, strict=True):
            mine.extend(more)

    def part(self, begin: int, end: int) -> "Buckets":
        """The buckets from `begin` to `end`, without `end`."""
        at = slice(begin, end)
        x, y = (self.steps[at], self.times[at]), (self.firsts[at], self.lasts[at], self.minima[at], self.maxima[at])
        return Buckets(*x, *y, self.nans[at])

    def columns(self) -> tuple[Column, ...]:
        """The columns in the order of the fields."""
        return self.steps, self.times, self.firsts, self.lasts, self.minima, self.maxima, self.nans


# -- numbers and bytes ----------------------------------------------------------------------------------------------------


def integers(numbers: Iterable[int]) -> Integers:
    """An array of 64-bit integers; a number outside becomes the nearest one inside, since a fold never refuses history."""
    numbers = list(numbers)
    try:
        return array("q", numbers)
    except OverflowError:
        return array("q", [max(-_HALF, min(_HALF - 1, n)) for n in numbers])


def to_bytes(column: Column) -> bytes:
    """The numbers as little-endian bytes, eight each."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def integers_of(data: bytes | bytearray) -> Integers:
    """The 64-bit integers in little-endian bytes."""
    column = array("q", data)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def floats_of(data: bytes | bytearray) -> Floats:
    """The doubles in little-endian bytes."""
    column = array("d", data)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _wrapped(numbers: Iterable[int]) -> Integers:
    numbers = list(numbers)
    try:
        return array("q", numbers)
    except OverflowError:
        return array("q", [(n + _HALF) % _WRAP - _HALF for n in numbers])


def _pack(columns: Sequence[Column], zstd: zstandard.ZstdCompressor) -> bytes:
    parts = []
    for column in columns:
        data = to_bytes(_wrapped(map(sub, column, chain((0,), column))) if column.typecode == "q" else column)
        parts += [data[i::8] for i in range(8)]
    return zstd.compress(b"".join(parts))


def _unpack(data: bytes, codes: str, zstd: zstandard.ZstdDecompressor) -> list[Any]:
    plain = zstd.decompress(data)
    n = len(plain) // (8 * len(codes))
    columns: list[Any] = []
    for at, code in enumerate(codes):
        column = bytearray(8 * n)
        for i in range(8):
            begin = (8 * at + i) * n
            column[i::8] = plain[begin : begin + n]
        columns.append(_wrapped(accumulate(integers_of(column))) if code == "q" else floats_of(column))
    return columns


def pack_points(points: Points, zstd: zstandard.ZstdCompressor) -> bytes:
    """The bytes of a chunk."""
    return _pack((points.steps, points.times, points.values), zstd)


def unpack_points(chunks: Iterable[bytes]) -> Points:
    """The points of these chunks, one after the other."""
    zstd, whole = zstandard.ZstdDecompressor(), Points(array("q"), array("q"), array("d"))
    for chunk in chunks:
        steps, times, values = _unpack(chunk, "qqd", zstd)
        whole.steps += steps
        whole.times += times
        whole.values += values
    return whole


def pack_buckets(buckets: Buckets, zstd: zstandard.ZstdCompressor) -> bytes:
    """The bytes of a full row of level 0."""
    return _pack(buckets.columns(), zstd)


def unpack_buckets(rows: Iterable[bytes]) -> Buckets:
    """The buckets of these rows of level 0, one after the other."""
    zstd, whole = zstandard.ZstdDecompressor(), no_buckets()
    for row in rows:
        whole.extend(_unpack(row, "qqddddq", zstd))
    return whole


def record_of(bucket: Buckets) -> bytes:
    """One bucket as 56 bytes: rows above level 0 are records, since they grow by one and are a 32nd of the pyramid at most."""
    return b"".join(map(to_bytes, bucket.columns()))


def buckets_of(records: bytes) -> Buckets:
    """The buckets in consecutive records."""
    whole, numbers = integers_of(records), floats_of(records)
    return Buckets(whole[0::7], whole[1::7], numbers[2::7], numbers[3::7], numbers[4::7], numbers[5::7], whole[6::7])


# -- what a chart needs ---------------------------------------------------------------------------------------------------


def no_buckets() -> Buckets:
    """Not one bucket yet."""
    return Buckets(array("q"), array("q"), array("d"), array("d"), array("d"), array("d"), array("q"))


def extremes(values: Sequence[float]) -> tuple[float, float, int]:
    """Minimum, maximum and the number of NaN; without any number both are NaN. Of equal values (-0.0, 0.0) the earliest counts."""
    if (total := sum(values)) == total and values:
        return min(values), max(values), 0
    numbers = [v for v in values if v == v]
    if not numbers:
        return math.nan, math.nan, len(values)
    return min(numbers), max(numbers), len(values) - len(numbers)


def single(points: Points) -> Buckets:
    """Each point as a bucket of its own."""
    values = points.values
    nans = array("q", [v != v for v in values]) if sum(values) != sum(values) else array("q", bytes(8 * len(values)))
    return Buckets(points.steps, points.times, values, values, values, values, nans)


def merge(buckets: Buckets, edges: Sequence[int]) -> Buckets:
    """The unions of buckets between consecutive edges, which are positions from 0 to the number of buckets."""
    begins, spans = edges[:-1], list(pairwise(edges))
    low, high = buckets.minima, buckets.maxima
    if sum(low) == sum(low) and sum(high) == sum(high):
        minima, maxima = [min(low[a:b]) for a, b in spans], [max(high[a:b]) for a, b in spans]
    else:
        minima, maxima = [extremes(low[a:b])[0] for a, b in spans], [extremes(high[a:b])[1] for a, b in spans]
    return Buckets(
        array("q", [buckets.steps[a] for a in begins]),
        array("q", [buckets.times[a] for a in begins]),
        array("d", [buckets.firsts[a] for a in begins]),
        array("d", [buckets.lasts[b - 1] for b in edges[1:]]),
        array("d", minima),
        array("d", maxima),
        array("q", [sum(buckets.nans[a:b]) for a, b in spans]),
    )
