"""Conditions, selectors and templates that users write, as a small part of Python's expressions: read here, never eval'ed.

The text is parsed by `ast.parse`, which runs nothing; of the tree only what is listed here is allowed, and a walk over it gives the value
that Python would give. A name is a key of the values handed in; `run.results.accuracy` and `run["results"]["accuracy"]` go into mappings by
key, never into attributes of objects, so an expression reaches nothing but those values. Powers, repetitions and sizes are bounded.
Every error is an InvalidExpression that shows the text with a caret under the column at fault, when it is compiled or evaluated.

>>> compile_expression("accuracy > 0.9 and epoch >= 3").evaluate({"accuracy": 0.95, "epoch": 4})
True
"""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tracker.errors import InvalidExpression

MAX_TEXT = 4096  # characters
MAX_DEPTH = 100  # parts within parts
MAX_BITS = 4096  # of a whole number that a power or a product gives
MAX_REPEATED = 100_000  # characters or items

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max, "round": round, "len": len}
_ALLOWED = "names, numbers, texts, comparisons, and/or/not, + - * / // % **, in, if-else, [...] and " + "/".join(_FUNCTIONS)
_FAULTS = (TypeError, ValueError, KeyError, IndexError, ArithmeticError, RecursionError)


class _Fault(Exception):
    """What is wrong with a part of an expression."""

    def __init__(self, node: ast.AST, message: str) -> None:
        super().__init__(message)
        self.node, self.message = node, message


class Expression:
    """A compiled expression. Made by `compile_expression`."""

    def __init__(self, text: str, what: str, tree: ast.expr, source: str, start: int) -> None:
        self.text, self.what = text, what
        self._tree, self._source, self._start = tree, source, start
        self.names: frozenset[str] = frozenset(_names(tree))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The value, with `values` for the names. Raises InvalidExpression for names that are not there and values that do not fit."""
        try:
            return _value(self._tree, values)
        except _Fault as fault:
            column = self._start + len(self._source.encode()[: getattr(fault.node, "col_offset", 0)].decode(errors="ignore")) + 1
            raise _error(self.what, self.text, column, fault.message) from None

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the value is true."""
        return bool(self.evaluate(values))


def compile_expression(text: str, what: str = "condition") -> Expression:
    """Read an expression, which may stand between `{{` and `}}`; `what` is its name in errors. Raises InvalidExpression with a column."""
    if type(text) is not str or not text.strip():
        raise InvalidExpression(f"{what} must be the text of an expression, not {text!r}", field=what, column=1)
    if len(text) > MAX_TEXT:
        raise InvalidExpression(f"{what} has {len(text)} characters, at most {MAX_TEXT} are read", field=what, column=MAX_TEXT)
    inner = text.strip()
    start = len(text) - len(text.lstrip())
    if inner.startswith("{{") and inner.endswith("}}"):
        start += len(inner[2:]) - len(inner[2:].lstrip()) + 2
        inner = inner[2:-2].strip()
    if "\n" in inner and "#" in inner:
        raise _error(what, text, text.index("#") + 1, "a comment, or a '#', and more than one line do not go together")
    source = "".join(" " if sign.isspace() else sign for sign in inner)
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise _error(what, text, start + max(1, min(error.offset or len(source) + 1, len(source) + 1)), error.msg) from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise _error(what, text, start + 1, str(error) or "it is nested too deeply") from None
    try:
        _check(tree, MAX_DEPTH)
    except _Fault as fault:
        column = start + len(source.encode()[: getattr(fault.node, "col_offset", 0)].decode(errors="ignore")) + 1
        raise _error(what, text, column, fault.message) from None
    return Expression(text, what, tree, source, start)


class Template:
    """A text with `{{ expression }}` in it. Made by `compile_template`."""

    def __init__(self, parts: list[str | Expression]) -> None:
        self._parts = parts
        self.names: frozenset[str] = frozenset().union(*(part.names for part in parts if isinstance(part, Expression)))

    def render(self, values: Mapping[str, Any]) -> str:
        """The text, with the values of its expressions; None is no text. Raises InvalidExpression."""
        return "".join(part if isinstance(part, str) else _shown(part.evaluate(values), part) for part in self._parts)


def compile_template(template: str, what: str = "template") -> Template:
    """Read a text with `{{ expression }}` in it. Raises InvalidExpression, whose column counts in the template."""
    parts: list[str | Expression] = []
    at = 0
    while (opened := template.find("{{", at)) >= 0:
        closed = _closing(template, opened + 2)
        if closed < 0:
            raise _error(what, template, opened + 1, "'{{' is not closed by '}}'")
        parts.append(template[at:opened])
        inner = template[opened + 2 : closed]
        try:
            part = compile_expression(inner, what)
        except InvalidExpression as error:
            column = opened + 2 + int(error.detail.get("column", 1))
            raise _error(what, template, column, error.message.partition("\n")[0].removeprefix(f"{what}: ")) from None
        parts.append(part)
        at = closed + 2
    parts.append(template[at:])
    return Template(parts)


def render(template: str, values: Mapping[str, Any], what: str = "template") -> str:
    """A text with its `{{ expression }}` replaced by their values. Raises InvalidExpression."""
    return compile_template(template, what).render(values)


def _closing(template: str, at: int) -> int:
    """Where the `}}` is that is not within quotes, -1 when there is none."""
    quote = ""
    while at < len(template):
        sign = template[at]
        if quote:
            at += sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif template.startswith("}}", at):
            return at
        at += 1
    return -1


def _shown(value: Any, part: Expression) -> str:
    try:
        return "" if value is None else str(value)
    except ValueError as error:  # a whole number of too many digits
        raise _error(part.what, part.text, 1, str(error)) from None


def _error(what: str, text: str, column: int, message: str) -> InvalidExpression:
    """The error with the text, on one line, and a caret under its column."""
    line = "".join(" " if sign.isspace() else sign for sign in text)
    begin = max(0, column - 60)
    shown = line[begin : begin + 120]
    return InvalidExpression(f"{what}: {message}\n  {shown}\n  {' ' * (column - 1 - begin)}^", field=what, column=column)


def _check(node: ast.expr, depth: int) -> None:
    """Raise _Fault for anything that is not in the list."""
    if depth == 0:
        raise _Fault(node, f"it is nested deeper than {MAX_DEPTH}")
    if fault := _refused(node):
        raise _Fault(node.right if isinstance(node, ast.BinOp) else node, fault)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr) and not (isinstance(node, ast.Call) and child is node.func):
            _check(child, depth - 1)


def _refused(node: ast.expr) -> str:
    """Why this kind of part is not allowed, "" when it is."""
    match node:
        case ast.Constant(value=value):
            plain = value is None or type(value) in (bool, int, float, str)
            return "" if plain else f"{ast.unparse(node)[:40]} is not a number or a text"
        case ast.Attribute(value=inner):
            return "" if isinstance(inner, (ast.Name, ast.Attribute, ast.Subscript)) else "only a name goes before a '.'"
        case ast.BinOp(op=op):
            return "" if type(op) in _ARITHMETIC else "the operator before this is not one of + - * / // % **"
        case ast.UnaryOp(op=sign):
            return "" if type(sign) in _UNARY else "this operator is not one of not, - and +"
        case ast.Call(func=function, keywords=keywords):
            known = isinstance(function, ast.Name) and function.id in _FUNCTIONS and not keywords
            return "" if known else f"only {', '.join(_FUNCTIONS)} can be called, and without keywords"
        case ast.Name() | ast.BoolOp() | ast.Compare() | ast.IfExp() | ast.Tuple() | ast.List():
            return ""
        case ast.Subscript(slice=index) if not isinstance(index, (ast.Slice, ast.Tuple)):
            return ""
    return f"'{ast.unparse(node)[:40]}' is not allowed here: only {_ALLOWED}"


def _dotted(node: ast.expr) -> list[str]:
    """The parts of a name such as run.results.accuracy; nothing when it is no such name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.expr) and (parts := _dotted(node)):
        yield ".".join(parts)
        return
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.Call) and child is node.func):
            yield from _names(child)


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """What Python would make of it."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name() | ast.Attribute():
            parts = _dotted(node)
            return _named(node, parts, values) if parts else _attribute(node, values)
        case ast.BoolOp(op=joint, values=terms):
            value = _value(terms[0], values)
            for term in terms[1:]:
                if bool(value) is isinstance(joint, ast.Or):
                    break
                value = _value(term, values)
            return value
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, values) else other, values)
        case ast.Compare():
            return _compared(node, values)
        case ast.BinOp(left=before, op=op, right=after):
            left, right = _value(before, values), _value(after, values)
            _bound(after, op, left, right)
            return _apply(after, _ARITHMETIC[type(op)], left, right)
        case ast.UnaryOp(op=sign, operand=operand):
            return _apply(operand, _UNARY[type(sign)], _value(operand, values))
        case ast.Tuple(elts=items) | ast.List(elts=items):
            found = [_value(item, values) for item in items]
            return tuple(found) if isinstance(node, ast.Tuple) else found
        case ast.Subscript(value=whole, slice=index):
            container, key = _value(whole, values), _value(index, values)
            if not isinstance(container, (Mapping, list, tuple, str)):
                raise _Fault(index, f"a value of type {type(container).__name__} has no parts")
            return _apply(index, operator.getitem, container, key)
        case ast.Call(func=ast.Name(id=name), args=given):
            arguments = [_value(argument, values) for argument in given]
            if name == "round" and len(arguments) == 2 and isinstance(arguments[1], int) and abs(arguments[1]) > 400:
                raise _Fault(given[1], "at most 400 digits")
            return _apply(node, _FUNCTIONS[name], *arguments)
    raise _Fault(node, f"only {_ALLOWED} are allowed")


def _compared(node: ast.Compare, values: Mapping[str, Any]) -> Any:
    left, result = _value(node.left, values), True
    for op, other in zip(node.ops, node.comparators, strict=True):
        right = _value(other, values)
        result = _apply(other, _COMPARISONS[type(op)], left, right)
        if not result:
            break
        left = right
    return result


def _named(node: ast.expr, parts: list[str], values: Mapping[str, Any]) -> Any:
    """The value of a dotted name: at each step the longest key there is, as keys may have dots themselves."""
    found: Any = values
    at = 0
    while at < len(parts):
        for end in range(len(parts), at, -1):
            key = ".".join(parts[at:end])
            if isinstance(found, Mapping) and key in found:
                found, at = found[key], end
                break
        else:
            inside = f" in {'.'.join(parts[:at])}" if at else ""
            if not isinstance(found, Mapping):
                raise _Fault(node, f"'{'.'.join(parts[:at])}' has no '{parts[at]}': it is of type {type(found).__name__}")
            known = ", ".join(sorted(map(str, found))[:20]) or "nothing"
            raise _Fault(node, f"no value is named '{'.'.join(parts[at:])}'{inside}; there is {known}")
    return found


def _attribute(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """A name after something in brackets: results["a"].b."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return _named(node, names[::-1], _value(node, values))


def _apply(node: ast.expr, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except _FAULTS as error:
        message = f"there is no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise _Fault(node, message) from None


def _bound(node: ast.expr, op: ast.operator, left: Any, right: Any) -> None:
    """Refuse what would take very long, or very much memory."""
    if isinstance(op, ast.Mod) and isinstance(left, (str, bytes)):
        raise _Fault(node, "% divides numbers, it does not format texts")
    if isinstance(op, ast.Mult):
        for whole, times in ((left, right), (right, left)):
            if isinstance(times, int) and isinstance(whole, (str, bytes, list, tuple)) and len(whole) * times > MAX_REPEATED:
                raise _Fault(node, f"repeated more than {MAX_REPEATED} times")
    if isinstance(left, int) and isinstance(right, int):
        power = isinstance(op, ast.Pow) and left.bit_length() * max(right, 1) > MAX_BITS and abs(left) > 1
        product = isinstance(op, ast.Mult) and left.bit_length() + right.bit_length() > MAX_BITS
        if power or product or (isinstance(op, ast.Pow) and abs(right) > MAX_REPEATED):
            raise _Fault(node, f"the number would have more than {MAX_BITS} bits")
