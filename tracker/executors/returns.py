"""What a handler returns, recorded as its log hints say: a result, a dataset, a picture, a file, a model or a pickled object.

A hint names a key, and perhaps a type; without one the value decides. What cannot be recorded as asked is skipped with a warning in the
run's console: a run does not fail for what happens after its work is done.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread

from tracker.context import Context
from tracker.errors import TrackerError
from tracker.model.hints import LogHint, parse_hint

SMALL = 100  # elements of an array that is a result rather than a file
PLAIN = (bool, int, float, str, bytes, dict, list, tuple, set, frozenset)


async def log_returned(context: Context, value: Any, hints: Sequence[Any]) -> None:
    """Record what a handler returned. A tuple is as many values; without hints, what is not None becomes the result `return`."""
    if not hints:
        if value is not None:
            context.log_result("return", _as_result(value))
        return
    values = list(value) if isinstance(value, tuple) else [value]
    parsed = [parse_hint(hint) for hint in hints]
    if len(values) > len(parsed):
        context.logger.warning("the handler returned more values than there are hints; the last ones are not recorded", values=len(values))
    elif len(values) < len(parsed):
        unmet = [hint.key for hint in parsed[len(values) :]]
        context.logger.warning("the handler returned fewer values than there are hints", nothing_for=unmet)
    for hint, item in zip(parsed, values, strict=False):
        for key, part in _parts(hint.key, item, hint.unpack):
            try:
                await _log(context, key, part, hint)
            except (TrackerError, TypeError, ValueError, OSError, AttributeError, ImportError) as error:
                reason = f"{type(error).__name__}: {error}"
                context.logger.warning("a returned value is not recorded", key=key, reason=reason)


def _parts(key: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """A value, and those in it down to `depth`, with their keys."""
    yield key, value
    if depth <= 0:
        return
    if isinstance(value, Mapping):
        items: Iterator[tuple[Any, Any]] = iter(value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = iter(enumerate(value))
    else:
        return
    for name, item in items:
        yield from _parts(f"{key}_{name}", item, depth - 1)


async def _log(context: Context, key: str, value: Any, hint: LogHint) -> None:
    from tracker.artifacts.artifact import Artifact

    if isinstance(value, Artifact):
        await context.log_artifact(value, **hint.extra)
        return
    match hint.artifact_type or _default(value):
        case "result":
            context.log_result(key, _as_result(value))
        case "dataset":
            await context.log_dataset(key, _frame(value), **hint.extra)
        case "plot":
            await _log_plot(context, key, value, hint.extra)
        case "path" | "directory" | "dir":
            await context.log_artifact(key, local_path=os.fspath(value), **hint.extra)
        case "file":
            await _log_file(context, key, value, hint.extra)
        case "object" | "artifact":
            await context.log_artifact(key, body=await anyio.to_thread.run_sync(_pickle, value), **{"format": "pkl", **hint.extra})
        case "model":
            body = await anyio.to_thread.run_sync(_pickle, value)
            await context.log_model(key, body=body, **{"model_file": f"{key}.pkl", **hint.extra})
        case other:
            raise ValueError(f"{other!r} is no type of artifact: result, dataset, plot, file, path, object or model")


def _default(value: Any) -> str:
    if value is None or isinstance(value, PLAIN):
        return "result"
    if isinstance(value, os.PathLike):
        return "path"
    kind, package = type(value).__name__, type(value).__module__.partition(".")[0]
    if package == "numpy":
        return "result" if getattr(value, "size", 1) <= SMALL else "file"
    if package in ("pandas", "polars", "pyarrow") and kind in ("DataFrame", "LazyFrame", "Series", "Table"):
        return "dataset"
    if package == "matplotlib" or kind in ("Figure", "Axes"):
        return "plot"
    return "object"


def _as_result(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value


def _frame(value: Any) -> Any:
    if type(value).__name__ == "Series":
        return value.to_frame()
    return value.collect() if type(value).__name__ == "LazyFrame" else value


async def _log_plot(context: Context, key: str, value: Any, extra: Mapping[str, Any]) -> None:
    from tracker.artifacts.plot import PlotArtifact

    figure = value if hasattr(value, "savefig") else getattr(value, "figure", value)
    await context.log_artifact(PlotArtifact(key, body=figure), **extra)


async def _log_file(context: Context, key: str, value: Any, extra: Mapping[str, Any]) -> None:
    """A file of what is given: the file a path names, or the value written as one."""
    if isinstance(value, os.PathLike) or (isinstance(value, str) and "\n" not in value and await anyio.to_thread.run_sync(_is_file, value)):
        await context.log_artifact(key, local_path=os.fspath(value), **extra)
        return
    body, format = await anyio.to_thread.run_sync(_written, value)
    await context.log_artifact(key, body=body, **{"format": format, **extra})


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _written(value: Any) -> tuple[bytes, str]:
    import io

    if isinstance(value, bytes):
        return value, "bin"
    if isinstance(value, str):
        return value.encode(), "txt"
    if isinstance(value, (dict, list, tuple, int, float)) or value is None:
        return json.dumps(value, default=str).encode(), "json"
    if type(value).__module__ == "numpy":
        import numpy as np

        written = io.BytesIO()
        np.save(written, value, allow_pickle=False)
        return written.getvalue(), "npy"
    if hasattr(value, "to_csv"):
        return str(value.to_csv()).encode(), "csv"
    return _pickle(value), "pkl"


def _pickle(value: Any) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(value))
