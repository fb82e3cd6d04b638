"""Log hints: how to record what a handler returns, and what type an input is wanted as.

A hint is a key, perhaps with a type and arguments for it: `"accuracy"`, `"model : model"`, `"table : file[format='csv']"`, `"*parts"` (the
parts of a collection as well, `"2*parts"` those of the parts, too), or a dict with `key`, `artifact_type` and the arguments. Arguments are
Python literals, read as such and never evaluated. An input's key may be followed by a type in the same way: `"data : pandas.DataFrame"`.
"""

import ast
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tracker.errors import InvalidRequest

_UNPACK = re.compile(r"(\d{0,2})\*\s*")
_TYPE = re.compile(r"([A-Za-z_][\w.]*)\s*(?:\[(.*)\])?", re.DOTALL)


class LogHint(msgspec.Struct, frozen=True, kw_only=True):
    """How to record a returned value. No type means the value's own; `unpack` is the depth to which a collection's parts are recorded."""

    key: str
    artifact_type: str | None = None
    unpack: int = 0
    extra: dict[str, Any] = {}


def parse_hint(hint: str | Mapping[str, Any] | LogHint) -> LogHint:
    """Read a log hint. Raises InvalidRequest with field="returns"."""
    if isinstance(hint, LogHint):
        return hint
    if isinstance(hint, Mapping):
        return _from_mapping(hint)
    if not isinstance(hint, str):
        raise _wrong(hint, f"it must be text or a dict, not {type(hint).__name__}")
    key, colon, kind = _divided(hint)
    unpack, key = _unpacked(key, hint)
    if colon and not kind:
        raise _wrong(hint, "no type follows the colon")
    if not kind:
        return LogHint(key=key, unpack=unpack)
    found = _TYPE.fullmatch(kind)
    if found is None:
        raise _wrong(hint, f"{kind!r} is no type: write type or type[name=value]")
    return LogHint(key=key, artifact_type=found[1].lower(), unpack=unpack, extra=_arguments(found[2], hint))


def parse_input_key(text: str) -> tuple[str, str]:
    """The name of an input and its type, "" when it has none. Raises InvalidRequest with field="inputs"."""
    name, colon, kind = (part.strip() for part in str(text).partition(":"))
    if ":" in kind or not name or (colon and not kind):
        raise InvalidRequest(f"the input {text!r} must be a name, or 'name : type'", field="inputs")
    return name, kind


def _divided(hint: str) -> tuple[str, str, str]:
    """The key, the colon and the type; colons within the arguments' brackets are the arguments'."""
    head, bracket, arguments = hint.partition("[")
    if head.count(":") > 1:
        raise _wrong(hint, "it has more than one colon: write 'key : type'")
    key, colon, kind = head.partition(":")
    if bracket and not colon:
        raise _wrong(hint, "arguments follow a type: write 'key : type[name=value]'")
    return key.strip(), colon, (kind + bracket + arguments).strip()


def _from_mapping(hint: Mapping[str, Any]) -> LogHint:
    given = dict(hint)
    if not isinstance(given.get("key"), str):
        raise _wrong(hint, 'a dict needs "key"')
    unpack, key = _unpacked(given.pop("key").strip(), hint)
    kind = given.pop("artifact_type", None)
    if kind is not None and (not isinstance(kind, str) or not kind.strip()):
        raise _wrong(hint, "artifact_type must be the name of a type")
    depth = given.pop("unpack", unpack)
    if not isinstance(depth, int) or depth < 0:
        raise _wrong(hint, "unpack must be a depth, 0 or more")
    if not all(isinstance(name, str) for name in given):
        raise _wrong(hint, "the names of arguments are texts")
    return LogHint(key=key, artifact_type=kind.strip().lower() if kind else None, unpack=int(depth), extra=given)


def _unpacked(key: str, hint: Any) -> tuple[int, str]:
    found = _UNPACK.match(key)
    depth = int(found[1] or 1) if found else 0
    name = key[found.end() :].strip() if found else key
    if not name:
        raise _wrong(hint, "it has no key")
    if "*" in name:
        raise _wrong(hint, "a '*' stands before the key only, perhaps after a depth: '2*key'")
    return depth, name


def _arguments(text: str | None, hint: str) -> dict[str, Any]:
    if not text or not text.strip():
        return {}
    try:
        call = ast.parse(f"_({text}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong(hint, f"its arguments do not parse: [{text}]") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise _wrong(hint, f"its arguments must be name=value, not [{text}]")
    found: dict[str, Any] = {}
    for argument in call.keywords:
        if argument.arg is None:
            raise _wrong(hint, f"its arguments must be name=value, not [{text}]")
        try:
            found[argument.arg] = ast.literal_eval(argument.value)
        except (ValueError, TypeError, RecursionError, MemoryError):
            raise _wrong(hint, f"the value of {argument.arg!r} must be a Python literal; text needs quotes") from None
    return found


def _wrong(hint: Any, why: str) -> InvalidRequest:
    return InvalidRequest(f"log hint {str(hint)[:200]!r}: {why}", field="returns")
