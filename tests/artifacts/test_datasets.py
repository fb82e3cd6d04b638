"""Frames of any library as datasets: the same description and the same rows, whoever made the frame."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tracker
from tests.artifacts.conftest import blob, versions
from tracker.artifacts import DatasetArtifact
from tracker.errors import InvalidRequest

RAW: dict[str, list[Any]] = {
    "first_name": ["Jason", "Molly", "Tina", "Jake", "Amy"],
    "age": [42, 52, 36, 24, 73],
    "score": [25.0, 94.0, None, 62.0, 70.0],
}
FRAMES = {
    "pandas": lambda: pd.DataFrame(RAW),
    "polars": lambda: pl.DataFrame(RAW),
    "lazy": lambda: pl.LazyFrame(RAW),
    "pyarrow": lambda: pa.table(RAW),
    "arrow-backed": lambda: pa.table(RAW).to_pandas(types_mapper=pd.ArrowDtype),
}


@pytest.mark.parametrize("format", ["", "parquet", "pq", "csv"])
@pytest.mark.parametrize("library", FRAMES)
def test_every_library_says_the_same(run: tracker.Context, library: str, format: str) -> None:
    """Header, schema, length, preview and statistics do not depend on the library, and the rows come back."""
    logged = run.log_dataset("people", FRAMES[library](), format=format, label_column="score")
    assert (logged.header, logged.length, logged.label_column) == (list(RAW), 5, "score")
    assert [field["type"] for field in logged.schema["fields"]] == ["string", "integer", "number"]
    assert logged.preview[0] == ["Jason", 42, 25.0]
    assert (logged.stats["age"]["mean"], logged.stats["score"]["count"], logged.stats["first_name"]["unique"]) == (45.4, 4, 5)
    assert logged.format == ("csv" if format == "csv" else "parquet")
    assert logged.path == f"people.{logged.format}"
    frame = logged.to_dataitem().as_df()
    assert frame["age"].to_list() == RAW["age"]
    [shown] = versions(run, "people")
    assert (shown["kind"], shown["spec"]["length"], shown["spec"]["schema"]) == ("dataset", 5, logged.schema)


def test_the_file_is_what_the_library_writes(run: tracker.Context) -> None:
    """What is kept is a parquet file of the frame, nothing of ours in it."""
    frame = FRAMES["pandas"]()
    expected = io.BytesIO()
    frame.to_parquet(expected)
    assert blob(run, run.log_dataset("d", frame).digest) == expected.getvalue()


def test_an_index_that_says_something_counts(run: tracker.Context) -> None:
    """A named index is a column of the description and of the csv; one that only counts rows is not."""
    frame = FRAMES["pandas"]().set_index("first_name")
    logged = run.log_dataset("d", frame, format="csv")
    assert logged.header == ["first_name", "age", "score"]
    assert logged.schema["primaryKey"] == ["first_name"]
    assert logged.preview[1] == ["Molly", 52, 94.0]
    assert logged.get_body().startswith(b"first_name,age,score\nJason,42")
    assert run.log_dataset("e", FRAMES["pandas"](), format="csv").get_body().startswith(b"first_name,age,score\nJason,42")


def test_previews_and_statistics_are_bounded(run: tracker.Context) -> None:
    """Twenty rows of a hundred columns unless said otherwise; a big frame has statistics only when they are asked for."""
    wide = run.log_dataset("wide", pd.DataFrame({f"c{i}": range(50) for i in range(150)}))
    assert (len(wide.preview), len(wide.preview[0]), len(wide.header), wide.spec["header_original_length"]) == (20, 100, 150, 150)
    long = pd.DataFrame({"x": range(50_000)})
    assert run.log_dataset("long", long, preview=3).stats == {}
    assert len(run.log_dataset("long", long, preview=3).preview) == 3
    stats = run.log_dataset("long", long, stats=True).stats["x"]
    assert (stats["count"], stats["min"], stats["50%"], stats["max"]) == (50_000, 0.0, 24_999.5, 49_999.0)
    assert sum(stats["hist"][0]) == 50_000
    assert len(stats["hist"][1]) == 21
    assert run.log_dataset("long", long.head(3), stats=False).stats == {}


def test_strange_columns_are_described(run: tracker.Context) -> None:
    """NaN, infinities, dates, lists, bytes, categories, nothing at all: each has a description that can be recorded."""
    frame = pl.DataFrame(
        {
            "f": [float("nan"), float("inf"), 1.0],
            "t": pl.Series(["2024-01-01T00:00:00", None, None]).str.to_datetime(),
            "l": [[1], [2, 3], None],
            "b": [b"\x00", b"x", None],
            "n": [None, None, None],
            "o": [True, False, None],
        }
    )
    logged = run.log_dataset("odd", frame, stats=True)
    assert [field["type"] for field in logged.schema["fields"]] == ["number", "datetime", "array", "binary", "any", "boolean"]
    assert logged.stats["f"]["count"] == 1
    assert logged.preview[0][1] == "2024-01-01T00:00:00"
    assert run.log_dataset("empty", pd.DataFrame({"x": []}), stats=True).length == 0
    assert versions(run, "odd")[0]["spec"]["header_original_length"] == 6


def test_a_file_takes_the_place_of_the_frame(run: tracker.Context, tmp_path: Path) -> None:
    """A file at local_path is kept as it is, and described; its suffix is the format."""
    file = tmp_path / "people.csv"
    file.write_text("a,b\n1,x\n2,y\n")
    logged = run.log_dataset("people", None, local_path=file)
    assert (logged.format, logged.header, logged.length, logged.get_body()) == ("csv", ["a", "b"], 2, file.read_bytes())
    assert run.log_dataset("new", FRAMES["pandas"](), local_path="there/is/no.csv").get_body().startswith(b"first_name,")
    pq.write_table(pa.table(RAW), tmp_path / "t.parquet")
    assert run.log_dataset("t", None, local_path=str(tmp_path / "t.parquet")).length == 5


def test_a_dataset_goes_where_it_is_told(run: tracker.Context, tmp_path: Path) -> None:
    """target_path gets the file; without upload it is only described."""
    target = tmp_path / "out" / "people.csv"
    logged = run.log_dataset("people", FRAMES["polars"](), target_path=str(target))
    assert target.read_bytes() == blob(run, logged.digest)
    only = run.log_dataset("only", FRAMES["polars"](), upload=False)
    assert (only.digest, only.length) == ("", 5)
    far = run.log_dataset("far", None, target_path="s3://bucket/people.parquet", upload=False)
    assert (far.target_path, far.format) == ("s3://bucket/people.parquet", "parquet")


def test_extra_data_are_links(run: tracker.Context) -> None:
    """Bytes are kept with the run, artifacts and URLs are pointed to."""
    chart = run.log_artifact("chart", body="<svg/>", format="html")
    logged = run.log_dataset("d", FRAMES["pandas"](), extra_data={"chart": chart, "raw": b"raw", "doc": "https://example.org/doc"})
    assert logged.extra_data == {"chart": chart.uri, "raw": f"store://artifacts/p/d_raw@{run.uid}", "doc": "https://example.org/doc"}
    assert run.get_dataitem(logged.extra_data["raw"]).get() == b"raw"
    own = DatasetArtifact("own", FRAMES["pandas"](), extra_data={"raw": b"more"}, stats=False, preview=2)
    run.log_artifact(own)
    assert (len(own.preview), own.stats, own.length) == (2, {}, 5)
    assert run.get_dataitem(own.extra_data["raw"]).get() == b"more"


@pytest.mark.parametrize("value", [{"a": [1]}, [1, 2], "text", 5, object()])
def test_what_is_no_frame_is_refused(run: tracker.Context, value: Any) -> None:
    """The error names the dataset and what was given."""
    with pytest.raises(InvalidRequest, match=f"'d'.*{type(value).__name__}"):
        run.log_dataset("d", value)
    assert run.artifacts == {}


def test_mistakes_are_named(run: tracker.Context, tmp_path: Path) -> None:
    """Formats, columns, previews, unwritable values, unreadable files: the error says which, and nothing is recorded."""
    frame = FRAMES["pandas"]()
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"this is no parquet")
    for message, call in {
        "parquet or csv, not 'xlsx'": lambda: run.log_dataset("d", frame, format="xlsx"),
        "no column 'labl'": lambda: run.log_dataset("d", frame, label_column="labl"),
        "preview is a number": lambda: run.log_dataset("d", frame, preview=-1),
        "cannot be written as parquet": lambda: run.log_dataset("d", pd.DataFrame({"a": [1, "x", object()]}), stats=False),
        "cannot be read": lambda: run.log_dataset("d", pl.LazyFrame(RAW).select(pl.col("missing"))),
        "no readable parquet file": lambda: run.log_dataset("d", None, local_path=bad),
        "needs a frame": lambda: run.log_dataset("d", None),
        "there is no file /no/such.csv": lambda: run.log_dataset("d", None, local_path="/no/such.csv"),
        "extra_data": lambda: run.log_dataset("d", frame, extra_data={"x": 5}),
        "must be a dict": lambda: run.log_dataset("d", frame, extra_data=["x"]),
        "not int": lambda: run.log_dataset(5, frame),
    }.items():
        with pytest.raises(InvalidRequest, match=message):
            call()
    with pytest.raises(TypeError, match="colour"):
        run.log_dataset("d", frame, colour="red")
    assert run.artifacts == {}


def test_frames_as_people_have_them(run: tracker.Context) -> None:
    """Left-over row numbers, dates as index, numbered columns, several levels, series, record batches, dask: each has a header."""
    numbers = pd.DataFrame({"a": [1, 2, 3]})
    dask = pytest.importorskip("dask.dataframe")
    for frame, header in (
        (numbers.iloc[[0, 2]], ["a"]),
        (numbers.set_index(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])), ["index", "a"]),
        (numbers.set_index(pd.MultiIndex.from_tuples([(1, 2), (3, 4), (5, 6)], names=["x", "y"])), ["x", "y", "a"]),
        (pd.DataFrame([[1.5, 2.5]]), ["0", "1"]),
        (pd.Series([1, 2], name="s"), ["s"]),
        (pl.Series("s", [1, 2]), ["s"]),
        (pa.RecordBatch.from_pydict({"a": [1]}), ["a"]),
        (dask.from_pandas(numbers, npartitions=2), ["a"]),
    ):
        logged = run.log_dataset("d", frame, stats=True)
        assert (logged.header, [field["name"] for field in logged.schema["fields"]]) == (header, header)
        assert set(logged.stats) <= set(header)
        first, _, _ = run.log_dataset("d", frame, format="csv").get_body().partition(b"\n")
        assert first.replace(b'"', b"").decode().split(",") == header
    with pytest.raises(InvalidRequest, match="unique column names"):
        run.log_dataset("d", pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_long_files_arrive_as_they_were_written(run: tracker.Context, library: str) -> None:
    """A file that is hashed by a thread while it is written has the digest of its bytes, and the rows of the frame."""
    table = pa.table({f"c{i}": numpy.random.default_rng(i).standard_normal(250_000) for i in range(6)})
    frame = {"pandas": table.to_pandas(), "polars": pl.DataFrame(table), "pyarrow": table}[library]
    logged = run.log_dataset("long", frame)
    kept = blob(run, logged.digest)
    assert (hashlib.sha256(kept).hexdigest(), len(kept)) == (logged.digest, logged.size)
    assert logged.size > 9_000_000
    assert pq.read_table(io.BytesIO(kept)).column("c5").equals(table.column("c5"))
