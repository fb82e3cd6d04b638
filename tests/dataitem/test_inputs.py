"""Inputs of a run: what they are called, where they are, and what is recorded of them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import tracker
import tracker.aio
from tests.dataitem.test_store import reads
from tracker.errors import InvalidRequest


def test_the_example_of_the_manual(tmp_path: Path) -> None:
    """`context.get_input("infile.txt", "infile.txt").get()` gives the bytes of the file, and the input is recorded."""
    Path("infile.txt").write_text("abc")
    with tracker.get_or_create_ctx("job", project="p") as context:
        assert context.get_input("infile.txt", "infile.txt").get() == b"abc"
        assert context.get_input("infile.txt").get() == b"abc"
        assert list(context.inputs) == ["infile.txt"]
    assert [(e["key"], e["url"]) for e in reads("p", context.uid)] == [("infile.txt", "infile.txt")]


def test_inputs_the_run_was_given_go_first(tmp_path: Path) -> None:
    """A url in the call is for an input that the run was not given; relative paths begin at the run's input path."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "given.txt").write_text("given")
    (tmp_path / "in" / "own").write_text("by key")
    with tracker.get_or_create_ctx("job", project="p") as context:
        memory: Any = context._context.memory
        memory.in_path, memory.inputs = str(tmp_path / "in"), {"data": "given.txt"}
        assert context.get_input("data", "/nowhere/else").get() == b"given"
        assert context.get_input("own").get() == b"by key"
        assert context.get_input("absolute", tmp_path / "in" / "own").get() == b"by key"
        assert {key: item.url for key, item in context.inputs.items()} == {
            "data": f"{tmp_path}/in/given.txt",
            "own": f"{tmp_path}/in/own",
            "absolute": f"{tmp_path}/in/own",
        }
        assert all(item.key == key for key, item in context.inputs.items())


def test_an_input_of_several_places(tmp_path: Path) -> None:
    """A list or dict of URLs gives a list or dict of data items, each recorded under its own name; another attempt finds them again."""
    for name in ("a.csv", "b.csv", "c.csv"):
        Path(name).write_text(f"x\n{name[0]}\n")
    attrs = {"metadata": {"name": "job", "project": "p"}, "spec": {"inputs": {"sets": {"train": ["a.csv", "b.csv"], "test": "c.csv"}}}}
    first = tracker.Context.from_dict(attrs)
    sets = first.get_input("sets", ["elsewhere"])  # what the run was given goes first
    assert ([item.get(1, 2) for item in sets["train"]], sets["test"].get(1, 2)) == ([b"a", b"b"], b"c")
    assert [item.key for item in first.get_input("own", ["a.csv", tmp_path / "b.csv"])] == ["own[0]", "own[1]"]
    assert first.get_input("one", "c.csv").get(1, 2) == b"c"
    assert (set(first.inputs), set(first.inputs["sets"])) == ({"sets", "own", "one"}, {"train", "test"})
    assert first.get_input("sets[test]").get(1, 2) == b"c"
    first.commit()
    assert {e["key"]: e["url"] for e in reads("p", first.uid)} == {
        "sets[train][0]": "a.csv",
        "sets[train][1]": "b.csv",
        "sets[test]": "c.csv",
        "own[0]": "a.csv",
        "own[1]": str(tmp_path / "b.csv"),
        "one": "c.csv",
    }
    first.commit(completed=True)
    with tracker.get_or_create_ctx("job", project="p", uid=first.uid) as again:
        assert [item.get(1, 2) for item in again.get_input("own")] == [b"a", b"b"]
        assert [item.get(1, 2) for item in again.get_input("own", ["c.csv"])] == [b"c"]
        with pytest.raises(InvalidRequest, match="brackets"):
            again.get_input("bad", {"a[": "a.csv"})
        with pytest.raises(InvalidRequest, match="not int"):
            again.get_input("bad", ["a.csv", 5])

    def handler(parts: list[Any], named: Any) -> list[str]:
        return [part.as_df()["x"][0] for part in [*parts, named["c"]]]

    inputs: Any = {"parts": ["a.csv", "b.csv"], "named": {"c": "c.csv"}}
    assert tracker.run_function(handler, project="p", inputs=inputs).output("return") == ["a", "b", "c"]
    with pytest.raises(InvalidRequest, match="not int"):
        tracker.Context.from_dict({"metadata": {"name": "job", "project": "p"}, "spec": {"inputs": {"a": 5}}})


def test_several_places_for_code_in_a_loop(tmp_path: Path) -> None:
    """The items in a list or dict are to be awaited there, too."""
    Path("a.txt").write_text("a")

    async def work() -> None:
        async with tracker.aio.get_or_create_ctx("job", project="p") as context:
            assert await context.get_input("l", ["a.txt"])[0].get() == b"a"
            assert await context.inputs["l"][0].get() == b"a"  # type: ignore[index]

    asyncio.run(work())


def test_getting_an_input_does_no_io(tmp_path: Path) -> None:
    """An input may be named before it is there; only reading it fails, and names the file."""
    with tracker.get_or_create_ctx("job", project="p") as context:
        item = context.get_input("late", "late.csv")
        with pytest.raises(FileNotFoundError, match=r"late\.csv"):
            item.get()
        Path("late.csv").write_text("a\n1\n")
        assert item.as_df().to_dict("list") == {"a": [1]}
        with pytest.raises(InvalidRequest, match="control"):
            context.get_input("bad", "a\nb")
        with pytest.raises(InvalidRequest):
            context.get_input("bad\n", "a")


def test_no_secret_of_a_url_is_recorded(tmp_path: Path) -> None:
    """Passwords and signatures in URLs, and secrets given with a call, reach no event."""
    with tracker.get_or_create_ctx("job", project="p") as context:
        context.get_input("a", "ftp://me:canary-1@host/file")
        context.get_input("b", "https://host/f?X-Amz-Signature=canary-2&part=1")
        context.get_dataitem("s3://b/k", secrets={"AWS_SECRET_ACCESS_KEY": "canary-3", "AWS_REGION": "region-1"})
        context.log_result("said", "canary-3 in region-1")
        assert context.results["said"]
        urls = [e["url"] for e in reads("p", context.uid)]
    assert urls == ["ftp://me:***@host/file", "https://host/f?X-Amz-Signature=***&part=1"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"canary" in path.read_bytes()]


def test_no_error_tells_the_secret_of_a_url(tmp_path: Path) -> None:
    """A run that fails because of a URL with a signature is recorded with the error and its traceback, without the signature."""
    tracker.get_or_create_ctx("other", project="p").commit(completed=True)

    def fail() -> None:
        with tracker.get_or_create_ctx("job", project="p") as context:
            url = "http://127.0.0.1:9/f.csv?sig=" + "can" + "ary-4"
            try:
                context.get_input("far", url).get()
            except OSError as error:
                raise RuntimeError(f"cannot read {url}") from error

    with pytest.raises(RuntimeError):
        fail()
    tracker.flush()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"cannot read" in path.read_bytes() for path in files)
    assert not [path for path in files if b"canary" in path.read_bytes()]


def test_children_read_for_themselves(tmp_path: Path) -> None:
    """What a child iteration reads is recorded with its number."""
    Path("x").write_text("1")
    with tracker.get_or_create_ctx("job", project="p") as context, context.get_child_context() as child:
        assert child.get_input("x").get() == b"1"
    assert [(e["key"], e.get("iteration", 0)) for e in reads("p", context.uid)] == [("x", 1)]


def test_another_attempt_may_read_elsewhere(tmp_path: Path) -> None:
    """What an earlier attempt named for itself can be named otherwise; what the run was given stays; a password is not remembered."""
    for name in ("old", "new", "given"):
        Path(name).write_text(name)
    attrs = {"metadata": {"name": "job", "project": "p"}, "spec": {"inputs": {"given": "given", "far": "ftp://me:canary@host/f"}}}
    first = tracker.Context.from_dict(attrs)
    assert first.get_input("given", "old").get() == b"given"
    assert first.get_input("own", "old").get() == b"old"
    assert first.get_input("far").url == "ftp://me:canary@host/f"
    first.set_state("error")
    first.commit()
    with tracker.get_or_create_ctx("job", project="p", uid=first.uid) as again:
        assert again.get_input("given", "new").get() == b"given"
        assert again.get_input("own").get() == b"old"
        assert again.get_input("own", "new").get() == b"new"
        with pytest.raises(InvalidRequest, match="give it again"):
            again.get_input("far")
        assert again.get_input("far", "ftp://me:canary@host/f").url == "ftp://me:canary@host/f"
        tracker.flush()
        urls = [e["url"] for e in reads("p", first.uid)]
    assert urls.count("new") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]
