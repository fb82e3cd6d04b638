"""What a run calls: a callable, `module.function`, `file.py:function`, or a whole script.

A handler can go to another process. A function that can be imported there by its name goes as that name; one that cannot (a closure, a
function of `__main__` or of a module that only this process knows) goes with its code, by cloudpickle, between processes of ours only.
"""

import contextlib
import dataclasses
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tracker.errors import InvalidRequest


@dataclasses.dataclass(frozen=True)
class Handler:
    """Where the code of a run is. Exactly one of `module`, `path` and `code` is given; a `path` without `function` is a script."""

    module: str = ""
    path: str = ""
    function: str = ""
    code: bytes = b""
    callable: Callable[..., Any] | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The name people know it by: of the function, or of the script."""
        return self.function.rpartition(".")[2].strip("<>") or Path(self.path).stem

    @property
    def script(self) -> bool:
        """Whether it is a whole program, which runs in a process of its own."""
        return bool(self.path) and not self.function

    def __str__(self) -> str:
        if self.path:
            return f"{self.path}:{self.function}" if self.function else self.path
        return f"{self.module}.{self.function}" if self.module else self.function

    def load(self) -> Callable[..., Any]:
        """The function. Raises InvalidRequest with what its import ran into."""
        if self.callable is not None:
            return self.callable
        if self.script:
            raise InvalidRequest(f"{self.path} is a script: to call a function of it, name it as {self.path}:function", field="handler")
        if self.code:
            import cloudpickle

            return _checked(cloudpickle.loads(self.code), str(self))
        return _checked(_found(_module_of(self), self), str(self))

    def portable(self) -> "Handler":
        """What goes to another process in its place. Raises InvalidRequest for a function that cannot."""
        kind, given = self.__reduce__()
        return kind(*given)  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        if self.callable is None:
            return Handler, (self.module, self.path, self.function, self.code)
        if self.module and _importable(self.module, self.callable):
            return Handler, (self.module, "", self.function)
        return Handler, ("", "", self.function, _pickled(self.callable))


def resolve(handler: Any, workdir: str = "") -> Handler:
    """The handler a user means. Text is only taken apart here, its code is imported where it runs. Raises InvalidRequest."""
    if isinstance(handler, Handler):
        return handler
    if callable(handler):
        called = str(getattr(handler, "__qualname__", ""))  # a partial has none, nor has an object with `__call__`
        module = str(getattr(handler, "__module__", "") or "") if called and "<" not in called else ""
        return Handler(module=module, function=called or type(handler).__qualname__, callable=handler)
    if isinstance(handler, os.PathLike):
        handler = os.fspath(handler)
    if not isinstance(handler, str) or not handler.strip() or "\x00" in handler:
        raise InvalidRequest(
            f"a handler is a function, 'module.function', 'file.py:function' or 'file.py', not {handler!r}", field="handler"
        )
    return _named(handler.strip(), workdir)


def _named(text: str, workdir: str) -> Handler:
    place, colon, function = text.rpartition(":")
    if not colon or not place.endswith(".py"):
        place, function = text, ""
    if place.endswith(".py"):
        path = Path(workdir or ".", place).expanduser().absolute()
        if not path.is_file():
            raise InvalidRequest(f"there is no file {path} to run", field="handler")
        return Handler(path=str(path), function=function.strip())
    module, dot, function = place.replace(":", ".").rpartition(".")
    if not dot or not all(part.isidentifier() for part in (*module.split("."), function)):
        raise InvalidRequest(
            f"the handler {text!r} names no function: write 'module.function', 'file.py:function' or 'file.py'", field="handler"
        )
    return Handler(module=module, function=function)


def _module_of(handler: Handler) -> ModuleType:
    if handler.path:
        return _module_at(handler.path)
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # as for a program that is started here
    parts = handler.module.split(".")
    for end in range(len(parts), 0, -1):  # `module.Class.method` names a module and a path in it
        name = ".".join(parts[:end])
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise _unimportable(handler, error) from error
        except Exception as error:
            raise _unimportable(handler, error) from error
    raise InvalidRequest(f"the handler {handler} cannot be imported: there is no module {handler.module!r}", field="handler")


def _module_at(path: str) -> ModuleType:
    known = Path(path).stat()
    state = f"{path} {known.st_mtime_ns} {known.st_size}"  # a file that was edited is another module
    name = f"{Path(path).stem}_{hashlib.sha256(state.encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidRequest(f"{path} is no file of Python code", field="handler")
    module = importlib.util.module_from_spec(spec)
    directory = str(Path(path).parent)
    if directory not in sys.path:
        sys.path.append(directory)  # what stands beside a program can be imported by it
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _unimportable(path, error) from error
    return module


def _unimportable(what: object, error: Exception) -> InvalidRequest:
    return InvalidRequest(f"the handler {what} cannot be imported: {type(error).__name__}: {error}", field="handler")


def _found(module: ModuleType, handler: Handler) -> Any:
    inner = handler.module.removeprefix(module.__name__).strip(".") if handler.module else ""
    found: Any = module
    for part in (*inner.split("."), *handler.function.split(".")):
        if part:
            try:
                found = getattr(found, part)
            except AttributeError:
                known = ", ".join(sorted(name for name, value in vars(module).items() if callable(value) and not name.startswith("_")))
                where = handler.path or module.__name__
                raise InvalidRequest(f"{where} has no {part!r}; it has {known or 'no functions'}", field="handler") from None
    return found


def _checked(function: Any, what: str) -> Callable[..., Any]:
    if not callable(function):
        raise InvalidRequest(f"the handler {what} is no function but {type(function).__name__}", field="handler")
    checked: Callable[..., Any] = function
    return checked


def _importable(name: str, function: Any) -> bool:
    """Whether another process would find this very function under its name."""
    module = sys.modules.get(name)
    if module is None or not _findable(module):
        return False
    found: Any = module
    for part in getattr(function, "__qualname__", "<").split("."):
        found = getattr(found, part, None)
    return found is function


def _findable(module: ModuleType) -> bool:
    """Whether another process would import this very module under its name."""
    name = module.__name__
    if name in ("__main__", "__mp_main__"):
        return False
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        parent = sys.modules.get(name.rpartition(".")[0])
        spec = importlib.machinery.PathFinder.find_spec(name, getattr(parent, "__path__", None))
        return spec is not None and getattr(module, "__file__", None) in (spec.origin, None)
    return False


def _pickled(function: Callable[..., Any]) -> bytes:
    import cloudpickle

    module = sys.modules.get(getattr(function, "__module__", None) or "")
    foreign = module is not None and module.__name__ != "__main__" and not _findable(module)
    try:
        if foreign:  # such as a test's: nobody else could import it
            cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps(function))
        finally:
            if foreign:
                cloudpickle.unregister_pickle_by_value(module)
    except Exception as error:
        name = getattr(function, "__qualname__", function)
        raise InvalidRequest(
            f"{name} cannot go to another process ({type(error).__name__}: {error}): make it a function of a module", field="handler"
        ) from error
