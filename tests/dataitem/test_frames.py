"""Frames of any library from any format, at any place; and items as a person sees them."""

import io
import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import narwhals
import pandas
import polars
import pyarrow
import pytest

import tracker
from tests.dataitem.conftest import Web
from tracker.dataitem import aio_item
from tracker.dataitem.item import get_dataitem
from tracker.errors import InvalidRequest

ROWS = {"a": [1, 2, 3], "b": ["x", "ü", "z"], "when": ["2024-01-01", "2024-01-02", "2024-01-03"]}
MODULES: list[Any] = [pandas, polars, pyarrow]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The same rows in every format."""
    frame = pandas.DataFrame(ROWS)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps(frame.to_dict("records")))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    (tmp_path / "columns.json").write_text(json.dumps(ROWS))
    return tmp_path


def plain(frame: Any) -> dict[str, list[Any]]:
    """A frame of any library as plain values."""
    columns = narwhals.from_native(frame, eager_only=True).to_dict(as_series=False)
    return {name: [str(v)[:10] if name == "when" else v for v in values] for name, values in columns.items()}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows.json", "rows.jsonl", "columns.json"])
def test_every_library_reads_every_format(files: Path, name: str, module: Any) -> None:
    """The rows come as a frame of the library asked for, whole or with the columns asked for, in their order."""
    item = get_dataitem(files / name)
    frame = item.as_df(df_module=module)
    assert type(frame).__module__.partition(".")[0] == module.__name__
    assert plain(frame) == ROWS
    assert plain(item.as_df(["b", "a"], module.__name__)) == {"b": ROWS["b"], "a": ROWS["a"]}
    with pytest.raises(InvalidRequest, match="nope"):
        item.as_df(["nope"], module)


def test_pandas_is_the_default_and_the_format_can_be_said(files: Path) -> None:
    """Without a library a frame is of pandas; the format is the suffix's, or what is said; reader's options are passed on."""
    (files / "noname").write_bytes((files / "rows.csv").read_bytes())
    assert isinstance(get_dataitem(files / "rows.csv").as_df(), pandas.DataFrame)
    assert plain(get_dataitem(files / "noname").as_df(format="csv")) == ROWS
    assert len(get_dataitem(files / "rows.csv").as_df(nrows=2)) == 2
    with pytest.raises(InvalidRequest, match="no suffix"):
        get_dataitem(files / "noname").as_df()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_directory_of_parts_is_one_frame(tmp_path: Path, s3: dict[str, str], module: Any) -> None:
    """Files that lie in one directory are read as one frame, in the order of their names; what does not fit together is told."""
    for number, name in enumerate(("part-0.parquet", "part-1.parquet", "_SUCCESS")):
        frame = pandas.DataFrame({"a": [number], "b": ["x"]})
        for base in (str(tmp_path / "all.parquet"), f"s3://data/{module.__name__}/all.parquet", f"memory://{module.__name__}/all"):
            buffer = io.BytesIO()
            frame.to_parquet(buffer)
            get_dataitem(f"{base}/{name}", s3).put(buffer.getvalue())
    for base in (str(tmp_path / "all.parquet"), f"s3://data/{module.__name__}/all.parquet", f"memory://{module.__name__}/all"):
        assert plain(get_dataitem(base, s3).as_df(["a"], module)) == {"a": [0, 1]}
    (tmp_path / "all.parquet" / "other.csv").write_text("z\n1\n")
    with pytest.raises(InvalidRequest, match="cannot be read as"):
        get_dataitem(tmp_path / "all.parquet").as_df(df_module=module)
    (tmp_path / "deep" / "year=1").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match=r"year=1"):
        get_dataitem(tmp_path / "deep").as_df(df_module=module)


def test_times_choose_rows(files: Path) -> None:
    """Of a column of times, rows from the start up to but without the end are taken, in every library."""
    frame = pandas.DataFrame({"t": pandas.to_datetime(ROWS["when"]), "a": ROWS["a"]})
    frame.to_parquet(files / "times.parquet")
    item = get_dataitem(files / "times.parquet")
    for module in MODULES:
        rows = item.as_df(["a"], module, time_column="t", start_time=datetime(2024, 1, 2), end_time=datetime(2024, 1, 3))  # noqa: DTZ001
        assert plain(rows) == {"a": [2]}
    with pytest.raises(InvalidRequest, match="time_column"):
        item.as_df(start_time=datetime(2024, 1, 2))  # noqa: DTZ001
    with pytest.raises(InvalidRequest, match="nope"):
        item.as_df(time_column="nope", start_time=1)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("torn.parquet", b"PAR1 and nothing else"),
        ("empty.parquet", b""),
        ("empty.csv", b""),
        ("text.json", b"{not json"),
        ("number.json", b"3"),
        ("ragged.json", b'{"a": [1, 2], "b": [1]}'),
        ("list.jsonl", b"[1]\n"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, module: Any) -> None:
    """A damaged file is told with its name, the format it was taken for, and what the library found."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidRequest, match=rf"{name} cannot be read as {name.rpartition('.')[2]}: ."):
        get_dataitem(tmp_path / name).as_df(df_module=module)


def test_arguments_of_frames_are_checked(files: Path) -> None:
    """Unknown formats and libraries, and columns that are no list, are refused with what there is."""
    item = get_dataitem(files / "rows.csv")
    with pytest.raises(InvalidRequest, match="parquet") as caught:
        item.as_df(format="xlsx")
    assert caught.value.field == "format"
    with pytest.raises(InvalidRequest, match="polars"):
        item.as_df(df_module=json)
    with pytest.raises(InvalidRequest, match="columns"):
        item.as_df("a")  # type: ignore[arg-type]


def test_frames_come_from_anywhere(files: Path, s3: dict[str, str], web: Callable[..., Web]) -> None:
    """S3, web servers with and without ranges, memory and the tracker's own store are read as files are."""
    frame = pandas.DataFrame({f"c{n}": range(200_000) for n in range(10)})
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    (files / "web" / "wide.parquet").write_bytes(buffer.getvalue())
    get_dataitem("s3://data/frames/wide.parquet", s3).put(buffer.getvalue())
    get_dataitem("memory://frames/wide.parquet").put(buffer.getvalue())
    ranged = web()
    for url in (
        "s3://data/frames/wide.parquet",
        "memory://frames/wide.parquet",
        f"{ranged.url}/wide.parquet",
        f"{web(ranges=False).url}/wide.parquet",
    ):
        for module in MODULES:
            found = narwhals.from_native(get_dataitem(url, s3).as_df(["c3"], module), eager_only=True)
            assert (found.shape, found["c3"].sum()) == ((200_000, 1), sum(range(200_000)))
    fetched = sum(int(last) - int(first) + 1 for first, last in (part.removeprefix("bytes=").split("-") for part in ranged.asked))
    assert fetched < 3 * len(buffer.getvalue()) / 4  # three times one column of ten, and the footer


@pytest.mark.anyio
async def test_the_async_item_reads_frames(files: Path) -> None:
    """`as_df` of the async item gives the same."""
    assert plain(await aio_item.get_dataitem(files / "rows.parquet").as_df(["a"], polars)) == {"a": [1, 2, 3]}
    with pytest.raises(InvalidRequest):
        await aio_item.get_dataitem(files / "rows.parquet").as_df(format="csv", df_module="pandas", columns=["a"])


def test_show_prints_for_a_terminal(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Outside a notebook, text is printed, a long one to a screenful, rows as a table, and of anything else what it is."""
    (files / "note.md").write_text("# Title\n")
    (files / "long.txt").write_text("x" * 200_000)
    (files / "blob.bin").write_bytes(b"\x00" * 10)
    for name, words in (
        ("note.md", "# Title"),
        ("rows.parquet", "ü"),
        ("rows.csv", "2,ü"),
        ("long.txt", "200000 bytes in all"),
        ("blob.bin", "10 bytes"),
    ):
        get_dataitem(files / name).show()
        shown = capsys.readouterr().out
        assert words in shown
        assert len(shown) < 70_000


def test_frames_of_the_store_are_read_by_column(tmp_path: Path) -> None:
    """A dataset that the tracker keeps is read with the suffix of its format, by every library."""
    with tracker.get_or_create_ctx("job", project="p") as run:
        run.log_dataset("rows", df=pandas.DataFrame(ROWS), format="csv")
        run.log_dataset("table", df=polars.DataFrame(ROWS))
        for key in ("rows", "table"):
            item = run.get_dataitem(f"store://datasets/p/{key}")
            for module in MODULES:
                assert plain(item.as_df(["a", "b"], module)) == {"a": ROWS["a"], "b": ROWS["b"]}


def test_show_displays_in_a_notebook(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook a page comes in a frame that cannot reach the notebook, rows as a frame, a picture as a picture."""
    shown: list[tuple[str, Any]] = []
    shell = SimpleNamespace(has_trait=lambda name: name == "kernel", kernel=object())
    display = SimpleNamespace(
        display=lambda what: shown.append(what if isinstance(what, tuple) else ("other", what)),
        HTML=lambda page: ("html", page),
        Image=lambda data, format: (format, data),
        Markdown=lambda text: ("markdown", text),
    )
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=display))
    (files / "page.html").write_text('<p id="x">&lt;</p><script>top.location=1</script>')
    (files / "note.md").write_text("# Title")
    (files / "dot.png").write_bytes(b"png")
    for name in ("page.html", "note.md", "dot.png", "rows.parquet"):
        get_dataitem(files / name).show()
    page = str(shown[0][1])
    assert "<iframe sandbox=" in page
    assert "<script>" not in page
    assert "allow-same-origin" not in page
    assert shown[1:3] == [("markdown", "# Title"), ("png", b"png")]
    assert plain(shown[3][1]) == ROWS
