"""An input as the type that a handler says it wants: a data item as it is, or its content as text, bytes, a table, a parsed document.

Types are known by their names, so that nothing is imported which the handler does not use itself.
"""

import json
import types
import typing
from pathlib import Path
from typing import Any

from tracker.errors import InvalidRequest


def as_item(hint: Any) -> bool:
    """Whether this type leaves an input the data item it is."""
    return _called(hint)[1] in ("", "DataItem", "Any", "object")


def converted(item: Any, name: str, hint: Any) -> Any:
    """The content of a data item as `hint` (a type, or the text of one) says. Raises InvalidRequest naming the input."""
    module, kind = _called(hint)
    try:
        return _read(item, name, module, kind)
    except InvalidRequest:
        raise
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"the input {name!r} ({item.url}) is no {kind}: {error}", field=name) from error


def _read(item: Any, name: str, module: str, kind: str) -> Any:
    match kind:
        case "str":
            return item.get(encoding="utf-8")
        case "bytes":
            return item.get()
        case "Path" | "PathLike":
            return Path(item.local())
        case "dict" | "list" | "Mapping" | "Sequence":
            return _document(item, dict if kind in ("dict", "Mapping") else list)
        case "int" | "float":
            return (int if kind == "int" else float)(item.get(encoding="utf-8").strip())
        case "DataFrame" if module in ("polars", "pl"):
            import polars

            return item.as_df(df_module=polars)
        case "DataFrame":
            return item.as_df()
        case "ndarray":
            return item.as_df().to_numpy()
    raise InvalidRequest(
        f"the input {name!r} is wanted as {kind}, which no input can be read as: take it as a DataItem, a DataFrame, an ndarray, str, "
        "bytes, dict, list, int, float or Path",
        field=name,
    )


def _document(item: Any, shape: type) -> Any:
    text = item.get(encoding="utf-8")
    if str(item.suffix).lower() in (".yaml", ".yml"):
        import yaml

        value = yaml.safe_load(text)
    else:
        value = json.loads(text)
    if not isinstance(value, shape):
        raise TypeError(f"it holds {type(value).__name__}")
    return value


def _called(hint: Any) -> tuple[str, str]:
    """The package and the name of a type; of `X | None` those of X; of `list[X]` those of list."""
    if hint is None or hint is Any:
        return "", ""
    if isinstance(hint, str):
        first = hint.split("|")[0].strip().partition("[")[0]
        return first.partition(".")[0] if "." in first else "", first.rpartition(".")[2]
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        chosen = [part for part in typing.get_args(hint) if part is not type(None)]
        return _called(chosen[0]) if chosen else ("", "")
    known = origin or hint
    return getattr(known, "__module__", "").partition(".")[0], getattr(known, "__name__", str(known))
