"""What cannot be kept is refused by name: the caller hears what is wrong, nothing is recorded, nothing is left behind."""

import asyncio
import gc
import io
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pandas as pd
import pytest

import tracker
import tracker.aio
from tests.artifacts.conftest import versions
from tracker.errors import InvalidRequest


@pytest.mark.parametrize("key", ["", "..", "a/b", "a/../b", "/a", "a//b", "a\0b", "a\nb", "a\\b", " a", " ", "x" * 1025, "\u202e"])
def test_keys_that_lead_elsewhere_or_cannot_be_seen(run: tracker.Context, key: str) -> None:
    """A key is never a path out of anything, and never holds what nobody can see."""
    for call in (
        lambda: run.log_artifact(key, body="x"),
        lambda: run.log_dataset(key, {"a": [1]}),
        lambda: run.log_model(key, b"x"),
        lambda: run.log_artifact("fine", body="x", db_key=key or "a//b"),
    ):
        with pytest.raises(InvalidRequest):
            call()
    assert run.artifacts == {}


def test_words_that_cannot_be(run: tracker.Context, tmp_path: Path) -> None:
    """Types, tags, labels, places, templates: each error names the argument."""
    for field, call in {
        "item": lambda: run.log_artifact(5, body="x"),
        "tag": lambda: run.log_artifact("a", body="x", tag="a:b"),
        "labels": lambda: run.log_artifact("a", body="x", labels=["a"]),  # type: ignore[arg-type]
        "body": lambda: run.log_artifact("a", body={"a": 1}),
        "target_path": lambda: run.log_artifact("a", body="x", target_path="relative.txt"),
        "artifact_path": lambda: run.log_artifact("a", body="x", artifact_path="+/../up"),
        "upload": lambda: run.log_artifact("a", local_path="s3://b/k", upload=True),
        "local_path": lambda: run.log_artifact("a", local_path=5),  # type: ignore[arg-type]
        "label_column": lambda: run.log_dataset("a", pd.DataFrame({"x": [1]}), label_column=1),  # type: ignore[arg-type]
        "preview": lambda: run.log_dataset("a", pd.DataFrame({"x": [1]}), preview="all"),  # type: ignore[arg-type]
    }.items():
        with pytest.raises(InvalidRequest) as caught:
            call()
        assert caught.value.field == field
    for place in ("{{run.name}}", "store://artifacts/other/x", f"{tmp_path}/\0"):
        with pytest.raises(InvalidRequest, match="artifact_path"):
            run.log_artifact("a", body="x", artifact_path=place)
    with pytest.raises(TypeError, match="'colour'"):
        run.log_artifact("a", body="x", colour="red")
    assert run.artifacts == {}


def test_files_that_are_none(run: tracker.Context, tmp_path: Path) -> None:
    """Missing, unreadable, a pipe, a socket, a NUL, a link to nothing: refused at once, never waited for."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("nothing")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    for path in (tmp_path / "missing", pipe, link, tmp_path / "socket", str(tmp_path / "a\0b"), "/dev/zero", "/proc/1/mem"):
        with pytest.raises(InvalidRequest) as caught:
            run.log_artifact("a", local_path=path)
        assert caught.value.field == "local_path"
    server.close()
    with pytest.raises(OSError, match="/proc/self/mem"):
        run.log_artifact("a", local_path="/proc/self/mem")
    assert run.artifacts == {}
    assert not [file for file in (tmp_path / "data" / "blobs").rglob("*") if file.is_file()]


def test_a_link_to_a_file_is_that_file(run: tracker.Context, tmp_path: Path) -> None:
    """A link as local_path is what the user meant: the bytes it leads to are kept."""
    (tmp_path / "real").write_text("real")
    (tmp_path / "link").symlink_to("real")
    logged = run.log_artifact("a", local_path=tmp_path / "link")
    assert (logged.get_body(), logged.path) == (b"real", "link")


def test_links_out_of_a_directory(run: tracker.Context, tmp_path: Path) -> None:
    """A directory never takes along what is outside of it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    for target in ("../secret", "/etc/hostname", "../elsewhere"):
        home = tmp_path / f"set{len(list(tmp_path.iterdir()))}"
        home.mkdir()
        (home / "fine").write_text("fine")
        (home / "link").symlink_to(target)
        with pytest.raises(InvalidRequest, match=r"link is a link"):
            run.log_artifact("a", local_path=home)
    assert run.artifacts == {}


def test_names_in_a_directory(run: tracker.Context, tmp_path: Path) -> None:
    """A file whose name cannot be told is refused with its name; an empty directory is nothing to keep."""
    home = tmp_path / "set"
    home.mkdir()
    with pytest.raises(InvalidRequest, match="has no files"):
        run.log_artifact("a", local_path=home)
    for name in (b"new\nline", b"\xff"):
        path = os.path.join(os.fsencode(home), name)  # noqa: PTH118 - bytes
        with open(path, "w") as file:  # noqa: PTH123
            file.write("x")
        with pytest.raises(InvalidRequest, match="set"):
            run.log_artifact("a", local_path=home)
        os.unlink(path)  # noqa: PTH108


def test_a_cancelled_call_leaves_nothing_half_done(tmp_path: Path) -> None:
    """Whoever stops waiting finds the artifact recorded whole, or not at all, and the next call works."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(300_000_000)

    async def work() -> tuple[int, Any]:
        async with tracker.aio.get_or_create_ctx("x", project="p", uri=str(tmp_path / "data")) as run:
            task = asyncio.ensure_future(run.log_artifact("big", local_path=big))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            logged = await run.log_artifact("small", body="small")
            assert await logged.to_dataitem().get() == b"small"
            assert await logged.get_body() == b"small"
            return len(run.artifacts), logged

    known, _ = asyncio.run(work())
    assert known in (1, 2)
    assert not list((tmp_path / "data" / "blobs" / "tmp").iterdir())


class Endless(io.RawIOBase):
    """A file that never ends, and tells how much of it was read."""

    def __init__(self) -> None:
        self.asked = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As much as is wanted."""
        self.asked += 1
        return len(buffer)


@pytest.mark.parametrize("native", [True, False])
def test_a_call_that_is_called_off_keeps_nothing(tmp_path: Path, native: bool) -> None:
    """Whoever stops waiting for a long content stops its keeping: no bytes stay, and no event names any."""

    async def work() -> None:
        said: list[Any] = []  # by the loop, of errors that nobody heard of
        asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
        async with tracker.aio.get_or_create_ctx("x", project="p", uri=str(tmp_path / "data")) as run:
            endless = Endless()
            if native:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(run.log_artifact("endless", body=endless), 0.2)
            else:
                with anyio.move_on_after(0.2) as scope:
                    await run.log_artifact("endless", body=endless)
                assert scope.cancelled_caught
            asked = endless.asked
            assert asked > 0
            assert not [file for file in (tmp_path / "data" / "blobs").rglob("*") if file.is_file()]
            await run.log_artifact("next", body="x")
            assert endless.asked == asked
            assert list(run.artifacts) == ["next"]
        gc.collect()
        assert said == []

    asyncio.run(work())


def test_a_directory_of_which_something_is_kept_is_kept_whole(tmp_path: Path) -> None:
    """Whoever stops waiting in the middle of a directory finds all of it recorded, or none kept: bytes always have an event."""
    home = tmp_path / "set"
    home.mkdir()
    for i in range(60):
        (home / f"{i:02}").write_bytes(os.urandom(300_000))

    async def work(patience: float) -> None:
        data = tmp_path / f"data{patience}"
        async with tracker.aio.get_or_create_ctx("x", project="p", uri=str(data)) as run:
            with anyio.move_on_after(patience):
                await run.log_artifact("set", local_path=home)
            kept = {file.name for file in (data / "blobs").rglob("*") if file.is_file()}
            named = {digest for a in run.artifacts.values() for digest in (a.digest, *(file.digest for file in a.files))}
            assert kept == named

    for patience in (0.0, 0.001, 0.01, 0.05, 0.1):
        asyncio.run(work(patience))


def test_the_loop_goes_on_while_bytes_are_hashed(tmp_path: Path) -> None:
    """Other tasks run while a big file is kept."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(200_000_000)

    async def work() -> list[float]:
        gaps = [0.0]
        async with tracker.aio.get_or_create_ctx("x", project="p", uri=str(tmp_path / "data")) as run:
            task = asyncio.ensure_future(run.log_artifact("big", local_path=big))
            loop = asyncio.get_running_loop()
            while not task.done():
                began = loop.time()
                await asyncio.sleep(0.001)
                gaps.append(loop.time() - began)
            await task
        return gaps

    gaps = asyncio.run(work())
    assert max(gaps) < max(0.5, 0.7 * sum(gaps))  # on a slow machine, a share of the time that hashing takes


def test_a_full_frame_of_words_is_refused(run: tracker.Context) -> None:
    """A spec that no event could carry is refused with its size, not lost on the way."""
    with pytest.raises(InvalidRequest, match="more than 4194304 bytes"):
        run.log_artifact("a", body="x", spec={f"k{i}": "x" * 100_000 for i in range(60)})
    assert versions(run, "a") == []


def test_async_code_has_it_all(tmp_path: Path) -> None:
    """The same calls are awaited, and give data items to be awaited."""

    async def work() -> None:
        async with tracker.aio.get_or_create_ctx("x", project="p", uri=str(tmp_path / "data")) as run:
            dataset = await run.log_dataset("d", pd.DataFrame({"x": [1, 2]}))
            assert list((await dataset.to_dataitem().as_df())["x"]) == [1, 2]
            model = await run.log_model("m", b"x", training_set=pd.DataFrame({"x": [1, 2]}))
            model.labels["a"] = "b"
            assert (await run.update_artifact(model)).labels == {"a": "b"}
            assert run.get_cached_artifact("m").labels == {"a": "b"}
            assert await run.artifacts["m"].get_body() == b"x"
            assert (await run.get_store_resource("store://models/p/m")).labels == {"a": "b"}
            several = await run.log_model("s", b"s", model_file="s.bin", extra_data={"page": b"<b>"})
            assert await several.get_body() == b"s"
            await run.log_artifact(tracker.ChartArtifact("c", [[1, 2]], header=["a", "b"]))
            assert b"<svg" in await run.artifacts["c"].get_body()

    asyncio.run(work())


SLOW = """
import io, pandas, sys, time, tracker
class Slow(io.RawIOBase):
    left = 16
    def readinto(self, buffer):
        if not self.left: return 0
        self.left -= 1; time.sleep(0.1); buffer[:5] = b"bytes"; return 5
class Frame(pandas.DataFrame):
    def to_parquet(self, file):
        for _ in range(16):
            time.sleep(0.1); file.write(b"bytes")
with tracker.get_or_create_ctx("x", uri=sys.argv[1]) as run:
    run.log_artifact("slow", body=Slow())
    run.log_dataset("frame", Frame({"x": [1]}))
    run.log_artifact("quick", body="x")
"""


def test_long_work_shows_a_bar_on_a_terminal(tmp_path: Path) -> None:
    """Who waits longer than a second sees what for; a pipe, and who does not wait, see nothing."""
    mine, terminal = os.openpty()
    command = [sys.executable, "-c", SLOW]
    piped = subprocess.Popen([*command, str(tmp_path / "piped")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    subprocess.run([*command, str(tmp_path / "data")], stderr=terminal, stdin=terminal, check=True, timeout=60)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # the terminal is gone
        while piece := os.read(mine, 65536):
            shown += piece
    os.close(mine)
    assert b"keeping slow" in shown
    assert b"keeping frame" in shown
    assert b"quick" not in shown
    assert piped.communicate(timeout=60) == (b"", b"")
    assert piped.returncode == 0
