"""Bytes at the places that data items reach: files, memory, HTTP servers, a real S3 server."""

import gc
import io
import os
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.dataitem.conftest import Web, until
from tracker.dataitem import aio_item
from tracker.dataitem.credentials import Credentials
from tracker.dataitem.item import DataItem, get_dataitem
from tracker.errors import InvalidRequest

BIG = os.urandom(1024) * 20 * 1024  # 20 MiB, more than a piece, and more than a part of S3


@pytest.fixture(params=["file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], DataItem]:
    """Makes items at places that can be written."""
    if request.param == "s3":
        secrets = request.getfixturevalue("s3")
        return lambda path: get_dataitem(f"s3://data/{tmp_path.name}/{path}", secrets)
    base = {"file": str(tmp_path / "files"), "memory": f"memory://{tmp_path.name}"}[request.param]
    return lambda path: get_dataitem(f"{base}/{path}")


def test_what_is_put_is_got(place: Callable[[str], DataItem]) -> None:
    """Bytes and text come back as they were put, whole, in any part, and behind one another; directories need no making."""
    item = place("sub/dir/data.txt")
    item.put("Grüße")
    assert item.get() == "Grüße".encode()
    assert item.get(encoding="utf-8") == "Grüße"
    item.put(b"0123456789")
    assert item.stat().size == 10
    assert (item.get(3), item.get(3, 4), item.get(offset=8), item.get(100, 9), item.get(0)) == (b"012", b"456", b"89", b"9", b"")
    item.put(b"abc", append=True)
    assert item.get() == b"0123456789abc"
    assert item.suffix == ".txt"
    stat = item.stat()
    assert stat.size == 13
    assert stat.content_type.startswith("text/plain") or item.kind == "s3"
    assert stat.modified is not None
    assert abs(stat.modified - time.time()) < 300


def test_directories_are_listed_and_deleted(place: Callable[[str], DataItem]) -> None:
    """`ls` names what is there now, `delete` takes a file at once and a directory only when that is said."""
    for name in ("b.txt", "a.txt", "deep/c.txt"):
        place(f"box/{name}").put(name)
    box = place("box")
    assert box.ls() == box.listdir() == ["a.txt", "b.txt", "deep/"]
    assert box.file("deep/c.txt").get() == b"deep/c.txt"
    place("box/a.txt").delete()
    assert box.ls() == ["b.txt", "deep/"]
    with pytest.raises(IsADirectoryError, match="recursive=True"):
        box.delete()
    with pytest.raises(IsADirectoryError, match="box"):
        box.get()
    with pytest.raises(IsADirectoryError, match="box"):
        box.open("r")
    box.delete(recursive=True)
    with pytest.raises(FileNotFoundError):
        box.ls()
    for bad in ("", "../x", "/etc/passwd", "a/../../x"):
        with pytest.raises(InvalidRequest, match="not a path below"):
            place("box").file(bad)


def test_what_is_missing_is_named(place: Callable[[str], DataItem], tmp_path: Path) -> None:
    """Whatever is asked of a file that is not there, the error is FileNotFoundError and names it."""
    item = place("nothing/here.csv")
    asked: list[Callable[[], object]] = [item.get, item.stat, item.open, item.ls, item.delete, item.as_df, item.local]
    for ask in [*asked, lambda: item.download(tmp_path / "x")]:
        if ask == item.local and item.kind == "file":
            continue
        with pytest.raises(FileNotFoundError, match=r"here\.csv"):
            ask()
    assert not (tmp_path / "x").exists()
    with pytest.raises(FileNotFoundError):
        item.upload(tmp_path / "missing")


def test_big_files_go_and_come(place: Callable[[str], DataItem], tmp_path: Path) -> None:
    """A file larger than any piece is uploaded and downloaded as it is, with directories made on the way."""
    (tmp_path / "big").write_bytes(BIG)
    item = place("up/big.bin")
    item.upload(tmp_path / "big")
    assert item.stat().size == len(BIG)
    item.download(tmp_path / "down" / "here")
    assert (tmp_path / "down" / "here").read_bytes() == BIG
    assert item.get(7, 9_000_000) == BIG[9_000_000:9_000_007]
    with item.open() as file:
        file.seek(15_000_000)
        assert file.read(5) == BIG[15_000_000:15_000_005]
    if item.kind != "file":
        assert Path(item.local()).read_bytes() == BIG
    assert list((tmp_path / "down").iterdir()) == [tmp_path / "down" / "here"]


def test_trees_go_and_come(place: Callable[[str], DataItem], tmp_path: Path) -> None:
    """A directory is uploaded and downloaded with all that is in it."""
    for name in ("a.txt", "deep/b.txt"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(name)
    place("copy").upload(tmp_path / "tree")
    place("copy").download(tmp_path / "back")
    assert {p.relative_to(tmp_path / "back").as_posix(): p.read_text() for p in (tmp_path / "back").rglob("*.txt")} == {
        "a.txt": "a.txt",
        "deep/b.txt": "deep/b.txt",
    }


def test_links_do_not_lead_out_of_a_tree(tmp_path: Path) -> None:
    """Of a directory, links to files in it are uploaded as files, and a link out of it is refused by name."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("a")
    (tmp_path / "tree" / "same").symlink_to("a")
    get_dataitem(tmp_path / "copy").upload(tmp_path / "tree")
    assert (tmp_path / "copy" / "same").read_text() == "a"
    (tmp_path / "outside").write_text("private")
    (tmp_path / "tree" / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidRequest, match="out is a link"):
        get_dataitem(tmp_path / "other").upload(tmp_path / "tree")


def test_readers_do_not_disturb_each_other(place: Callable[[str], DataItem]) -> None:
    """Two open files of one item have each its own place in it."""
    item = place("two.txt")
    item.put(b"0123456789")
    with item.open() as one, item.open() as two:
        assert (one.read(3), two.read(2), one.read(2), two.read()) == (b"012", b"01", b"34", b"23456789")


def test_open_files_are_files(place: Callable[[str], DataItem]) -> None:
    """`open` reads and writes bytes and text, as files do."""
    item = place("x/lines.txt")
    with item.open("w") as file:
        file.write("eins\nzwölf\n")
    with item.open("r") as file:
        assert list(file) == ["eins\n", "zwölf\n"]
    with item.open("rb") as file:
        assert io.BytesIO(file.read()).readlines()[1] == "zwölf\n".encode()
    with pytest.raises(InvalidRequest, match="mode"):
        item.open("q")


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, s3: dict[str, str]) -> None:
    """When the source of a write breaks, the place holds what it held before, and nothing is left beside it."""

    def broken() -> object:
        yield BIG[: 8 * 1024 * 1024]
        raise OSError("the source broke")

    for item in (get_dataitem(tmp_path / "keep" / "a.bin"), get_dataitem("s3://data/keep/a.bin", s3)):
        item.put(b"before")
        with pytest.raises(OSError, match="the source broke"):
            item.place().write(broken())  # type: ignore[arg-type]
        gc.collect()
        assert item.get() == b"before"
        assert get_dataitem(item.url.rpartition("/")[0], s3).ls() == ["a.bin"]


def test_files_are_replaced_not_rewritten(tmp_path: Path) -> None:
    """A file keeps its mode, a symlink stays one, an open reader sees the old, a pipe is written as a pipe."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    with (tmp_path / "real").open() as reader:
        get_dataitem(tmp_path / "link").put("new")
        assert reader.read() == "old"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640
    os.mkfifo(tmp_path / "pipe")
    found: list[str] = []
    reading = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_text()))
    reading.start()
    get_dataitem(tmp_path / "pipe").put("through")
    reading.join(60)
    assert found == ["through"]


def test_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    """Colons, percent signs, blanks and Unicode in a path mean themselves; file:// and a path are the same; `local` is the file itself."""
    for name in ("a b.txt", "100%25.txt", "x::y.txt", "naïve#1.txt", "q?.txt"):
        item = get_dataitem(str(tmp_path / name))
        item.put(name)
        assert (tmp_path / name).read_text() == name
        assert item.get(encoding="utf-8") == name
        assert item.local() == str(tmp_path / name)
    assert get_dataitem(f"file://{tmp_path}/a b.txt").get() == b"a b.txt"
    assert get_dataitem(f"FILE://{tmp_path}/a b.txt").get() == b"a b.txt"
    assert get_dataitem("a b.txt").get() == b"a b.txt"


def test_a_place_in_a_place(tmp_path: Path, s3: dict[str, str]) -> None:
    """Schemes can be chained as fsspec chains them: a file in an archive is read where the archive is."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/rows.csv", "a\n1\n")
    item = get_dataitem(f"zip://in/rows.csv::file://{tmp_path}/a.zip")
    assert (item.get(), item.suffix, item.kind) == (b"a\n1\n", ".csv", "zip")
    assert item.as_df().to_dict("list") == {"a": [1]}
    assert get_dataitem(f"zip://in::{tmp_path}/a.zip").ls() == ["rows.csv"]
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        get_dataitem(f"zip://in/nothing.csv::file://{tmp_path}/a.zip").get()


def test_a_copy_goes_with_its_item(s3: dict[str, str]) -> None:
    """`local` of something far away is a copy with the same suffix, made once; it goes when the item goes or when told."""
    item = get_dataitem("s3://data/copy/me.csv", s3)
    item.put("a\n1\n")
    path = Path(item.local())
    assert (path.read_text(), path.suffix, item.local()) == ("a\n1\n", ".csv", str(path))
    item.remove_local()
    assert not path.exists()
    path = Path(item.local())
    del item
    gc.collect()
    assert not path.exists()


def test_http_is_read_in_parts(web: Callable[..., Web], tmp_path: Path) -> None:
    """From a web server only the bytes asked for come; a server without ranges is read all the same."""
    (tmp_path / "web" / "data.bin").write_bytes(BIG)
    for ranges in (True, False):
        server = web(ranges=ranges)
        item = get_dataitem(f"{server.url}/data.bin?part=1")
        assert item.get(10, 12_345_678) == BIG[12_345_678:12_345_688]
        assert ("bytes=12345678-12345687" in server.asked) == ranges
        assert item.get() == BIG
        assert (item.stat().size, item.suffix, item.kind) == (len(BIG), ".bin", "http")
        item.download(tmp_path / "down.bin")
        assert (tmp_path / "down.bin").read_bytes() == BIG
        with item.open() as file:
            file.seek(15_000_000)
            assert file.read(5) == BIG[15_000_000:15_000_005]
        with pytest.raises(InvalidRequest, match="for reading"):
            item.put(b"x")


def test_http_errors_name_the_place(web: Callable[..., Web]) -> None:
    """A web server that has nothing, is broken or is not there is told by name, without the secret in the URL."""
    server = web()
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        get_dataitem(f"{server.url}/nothing.csv").get()
    with pytest.raises(OSError, match="broken") as caught:
        get_dataitem(f"{server.url}/broken?token=canary").get()
    assert "500" in str(caught.value)
    assert "canary" not in "".join(traceback.format_exception(caught.value)).replace("broken?token=canary", "", 1)
    server.close()
    with pytest.raises(OSError, match=r"gone\.csv"):
        get_dataitem(f"{server.url}/gone.csv").get()


def test_s3_says_what_is_wrong(s3: dict[str, str]) -> None:
    """A bucket that is not there is told with the URL; what an item knows to get in is never shown."""
    with pytest.raises(OSError, match="s3://no-such-bucket/k"):
        get_dataitem("s3://no-such-bucket/k", s3).put(b"x")
    assert "canary" not in repr(get_dataitem("s3://data/k", s3))
    assert "canary" not in repr(Credentials(s3))


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("bogus://host/x", InvalidRequest, "bogus://host/x cannot be reached"),
        ("", InvalidRequest, "empty"),
        ("a\x00b", InvalidRequest, "control"),
        (3, InvalidRequest, "int"),
        ("store://nothing", InvalidRequest, "kind"),
    ],
)
def test_urls_that_are_none(url: object, error: type[Exception], words: str) -> None:
    """What is no URL, or has a scheme that nobody here speaks, is told so."""
    with pytest.raises(error, match=words):
        get_dataitem(url).get()  # type: ignore[arg-type]


def test_arguments_are_checked(tmp_path: Path) -> None:
    """Negative parts, data that is no bytes, secrets that are no dict: refused by name."""
    item = get_dataitem(tmp_path / "x")
    for work, words in ((lambda: item.get(-1), "negative"), (lambda: item.get(1, -1), "negative"), (lambda: item.put({}), "dict")):
        with pytest.raises(InvalidRequest, match=words):
            work()  # type: ignore[no-untyped-call]
    with pytest.raises(InvalidRequest, match="secrets"):
        get_dataitem("x", "key=1")  # type: ignore[arg-type]
    with pytest.raises(IsADirectoryError):
        get_dataitem(tmp_path).get()


@pytest.mark.anyio
async def test_the_async_item_does_the_same(tmp_path: Path, s3: dict[str, str]) -> None:
    """Every member of the async item works as that of the blocking one."""
    (tmp_path / "big").write_bytes(BIG)
    for item in (
        aio_item.get_dataitem(tmp_path / "aio" / "a.bin"),
        aio_item.get_dataitem(f"memory://{tmp_path.name}/aio/a.bin"),
        aio_item.get_dataitem(f"s3://data/{tmp_path.name}/aio/a.bin", s3),
    ):
        await item.put("abc")
        await item.put(b"def", append=True)
        assert await item.get(2, 2) == b"cd"
        assert await item.get(encoding="ascii") == "abcdef"
        assert (item.suffix, item.key, item.url, item.artifact_url, item.meta) == (".bin", "", item.url, item.url, None)
        async with await item.open("r") as file:
            assert await file.read() == "abcdef"
        await item.upload(tmp_path / "big")
        await item.download(tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == BIG
        assert (await item.stat()).size == len(BIG)
        parent = aio_item.DataItem(get_dataitem(item.url.rpartition("/")[0], s3))
        assert await parent.ls() == await parent.listdir() == ["a.bin"]
        assert Path(await item.local()).stat().st_size == len(BIG)
        await item.remove_local()
        assert await (await parent.file("a.bin")).get(3) == BIG[:3]
        await item.delete()
        with pytest.raises(FileNotFoundError):
            await item.stat()
        assert await (await item.resolve()) is item


@pytest.mark.anyio
async def test_a_cancelled_download_ends_and_leaves_nothing(web: Callable[..., Web], tmp_path: Path) -> None:
    """Cancelling a slow transfer ends it soon, the loop works on meanwhile, and no file is left, neither whole nor half."""
    (tmp_path / "web" / "slow.bin").write_bytes(BIG)
    item = aio_item.get_dataitem(f"{web(pause=0.005).url}/slow.bin")
    target = tmp_path / "target"
    ticks = 0
    began = time.monotonic()
    with anyio.move_on_after(10) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(item.download, target / "file")
            while not list(target.glob(".file.*")):
                await anyio.sleep(0.01)
                ticks += 1
            tasks.cancel_scope.cancel()
    assert not scope.cancelled_caught
    assert ticks > 0
    assert time.monotonic() - began < 10
    assert not list(target.iterdir())


def test_long_transfers_show_a_bar_to_a_person(web: Callable[..., Web], tmp_path: Path) -> None:
    """A download of more than a second draws a bar on a terminal; where nobody looks, it prints nothing."""
    (tmp_path / "web" / "slow.bin").write_bytes(BIG[: 12 * 1024 * 1024])
    url = f"{web(pause=0.008).url}/slow.bin?token=canary"
    program = textwrap.dedent(f"""
        from tracker.dataitem.item import get_dataitem
        get_dataitem({url!r}).download("out.bin")
    """)
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=follower, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}
    )
    os.close(follower)
    drawn = b""
    try:
        while piece := os.read(leader, 65536):
            drawn += piece
    except OSError:  # how a terminal ends
        pass
    assert process.wait(60) == 0, drawn.decode()
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.read() == b""
    os.close(leader)
    assert b"download" in drawn
    assert b"canary" not in drawn
    quiet = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert quiet.stderr == b""


def test_items_work_in_a_forked_child(s3: dict[str, str]) -> None:
    """A child forked after S3 was used can use it, too."""
    item = get_dataitem("s3://data/fork.txt", s3)
    item.put("parent")
    child = os.fork()
    if not child:
        try:
            os._exit(0 if item.get() == b"parent" else 1)
        except BaseException:
            os._exit(2)
    ended: list[int] = []
    until(lambda: ended.extend(status for pid, status in [os.waitpid(child, os.WNOHANG)] if pid) or ended)
    assert os.waitstatus_to_exitcode(ended[0]) == 0
