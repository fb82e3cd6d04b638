"""What can be run, how it is named, and how it gets to another process."""

import functools
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from tracker.errors import InvalidRequest
from tracker.executors.handler import Handler, resolve


def train(context: Any) -> str:
    """A function of a module."""
    return "trained"


class Trainer:
    """Handlers of other shapes."""

    @staticmethod
    def fit(word: str) -> str:
        """A function of a class."""
        return word

    def __call__(self, word: str) -> str:
        """An object that is called."""
        return word


def code(tmp_path: Path, text: str, name: str = "job.py") -> Path:
    """A file of code."""
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_function_is_itself() -> None:
    """A callable is called as it is, under its own name."""
    handler = resolve(train)
    assert handler.load() is train
    assert handler.name == "train"
    assert resolve(handler) is handler


def test_a_name_is_imported() -> None:
    """`module.function` is imported when it is loaded, and so is a function of a class."""
    import json

    assert resolve("json.dumps").load() is json.dumps
    assert resolve("json.decoder.JSONDecoder.decode").load() is json.JSONDecoder.decode


def test_a_function_of_a_file(tmp_path: Path) -> None:
    """`file.py:function` finds the function, and what stands beside the file can be imported by it."""
    code(tmp_path, "VALUE = 7\n", "beside_it.py")
    path = code(tmp_path, "import beside_it\ndef work():\n    return beside_it.VALUE\n")
    handler = resolve(f"{path}:work")
    try:
        assert handler.load()() == 7
        assert handler.load() is handler.load()
        assert not handler.script
    finally:
        sys.path.remove(str(tmp_path))


def test_a_relative_file_is_looked_for_in_the_working_directory(tmp_path: Path) -> None:
    """A file is named relative to where the handler works."""
    code(tmp_path, "print('hi')")
    handler = resolve("job.py", str(tmp_path))
    assert handler.script
    assert handler.name == "job"
    assert handler.path == str(tmp_path / "job.py")


@pytest.mark.parametrize("wrong", [None, 3, "", "train", "a..b", "no such.thing", "gone.py", "gone.py:work", "x\x00.y", ["json.dumps"]])
def test_what_names_nothing_is_refused(wrong: Any) -> None:
    """What names no function or file is refused with the reason."""
    with pytest.raises(InvalidRequest) as caught:
        resolve(wrong)
    assert caught.value.field == "handler"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module.work", "there is no module 'no_such_module'"),
        ("json.no_such_function", "has no 'no_such_function'; it has JSONDecodeError"),
        ("json.decoder", "is no function but module"),
    ],
)
def test_what_cannot_be_imported_says_why(name: str, said: str) -> None:
    """A handler that cannot be imported names what is missing."""
    with pytest.raises(InvalidRequest, match=said):
        resolve(name).load()


def test_a_file_that_fails_says_why(tmp_path: Path) -> None:
    """What goes wrong while a file is imported is in the message; the next import tries again."""
    path = code(tmp_path, "import no_such_library\ndef work(): pass\n")
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=r"job.py cannot be imported: ModuleNotFoundError: No module named 'no_such_library'"):
            resolve(f"{path}:work").load()
    sys.path.remove(str(tmp_path))


def test_an_importable_function_travels_by_name() -> None:
    """A function of a module goes to another process as its name, without its code."""
    import json

    sent = pickle.loads(pickle.dumps(resolve(json.dumps)))
    assert (sent.module, sent.function, sent.code) == ("json", "dumps", b"")
    assert sent.load() is json.dumps


def test_a_closure_travels_with_its_code() -> None:
    """What cannot be imported by name goes with its code: closures, partial functions, objects."""
    given = 5

    def add(x: Any) -> Any:
        return x + given

    for handler, argument, expected in ((add, 1, 6), (functools.partial(add, 2), None, 7), (Trainer(), "called", "called")):
        sent: Handler = pickle.loads(pickle.dumps(resolve(handler)))
        assert sent.code
        assert sent.load()(*([] if argument is None else [argument])) == expected


def test_what_cannot_travel_is_refused() -> None:
    """A handler that holds what no other process can have is refused with its name."""
    import threading

    lock = threading.Lock()

    def guarded() -> None:
        lock.acquire()

    with pytest.raises(InvalidRequest, match="guarded cannot go to another process"):
        pickle.dumps(resolve(guarded))
