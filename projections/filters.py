"""The search language: text to a tree, or an error that points at the column.

    metrics.loss < 0.5 AND (params.model = 'cnn' OR NOT labels.`my key` LIKE 'exp%') AND state IN ('completed', 'error')

A field is `params. metrics. results. labels. annotations. attributes.` and a key, quoted with backticks or double quotes where it has
other characters than letters, digits and `_ . / : -`; an attribute may stand alone. Texts stand in single (or double) quotes, doubled
within; numbers bare, NaN and Infinity among them. Times are nanoseconds, or RFC 3339 in quotes. LIKE has % and _, a backslash before one
of them takes it literally; ILIKE ignores case. AND binds tighter than OR. What the conditions mean is told in conditions.py.
"""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from projections.conditions import (
    ALIASES,
    ATTRIBUTE,
    KINDS,
    NUMBERS,
    TEXTS,
    TIMES,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Field,
    Missing,
    Not,
    OneOf,
    Order,
    Value,
)
from projections.runs import ANNOTATION, LABEL, METRIC
from projections.values import fit

MAX_TEXT, MAX_TERMS, MAX_DEPTH, MAX_ORDER = 4096, 64, 16, 8


class FilterError(ValueError):
    """The text is not of the language; `column` counts from 1."""

    def __init__(self, message: str, text: str, at: int) -> None:
        begin = max(0, at - 60)
        line = re.sub(r"\s", " ", text[begin : at + 60])
        super().__init__(f"{message} (column {at + 1})\n{line}\n{' ' * (at - begin)}^")
        self.message, self.column = message, at + 1


_TOKEN = re.compile(
    r"""\s+
    | (?P<text>'(?:[^']|'')*')
    | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?|\.[0-9]+(?:e[+-]?[0-9]+)?|(?:inf(?:inity)?|nan)\b)(?![\w.]))
    | (?P<name>[^\W\d]\w*(?:\.(?:`(?:[^`]|``)+`|"(?:[^"]|"")+"|[\w./:\-]+))?)
    | (?P<quoted>`(?:[^`]|``)+`|"(?:[^"]|"")*")
    | (?P<sign><=|>=|!=|<>|==|[=<>(),])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_KEYWORDS = frozenset({"AND", "OR", "NOT", "LIKE", "ILIKE", "IN", "IS", "NULL", "ASC", "DESC", "TRUE", "FALSE"})
_SAME = {"==": "=", "<>": "!="}


class _Token(msgspec.Struct, frozen=True):
    kind: str  # text, number, name, quoted, sign, keyword or end
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = "a quote is not closed" if text[at] in "'\"`" else f"{text[at]!r} is not understood here"
            raise FilterError(what, text, at)
        kind = match.lastgroup
        if kind is not None:
            word = match.group()
            upper = word.upper()
            yield _Token("keyword", upper, at) if kind == "name" and upper in _KEYWORDS else _Token(kind, _SAME.get(word, word), at)
        at = match.end()
    yield _Token("end", "", len(text))


class _Parser:
    """Recursive descent, one token of look-ahead."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise FilterError(f"the text has {len(text)} characters, at most {MAX_TEXT} are read", text, MAX_TEXT)
        if bad := re.search("[\0\ud800-\udfff]", text):
            raise FilterError("a NUL or half a surrogate pair is not text", text, bad.start())
        self.text = text
        self.tokens = list(_tokens(text))
        self.i = 0
        self.terms = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.i]

    def take(self, *words: str) -> bool:
        """Step over the next token if it is one of these signs or keywords."""
        token = self.next
        if token.kind in {"sign", "keyword"} and token.text in words:
            self.i += 1
            return True
        return False

    def fail(self, message: str, token: _Token | None = None) -> FilterError:
        token = token or self.next
        found = "the text ends" if token.kind == "end" else f"there is {token.text!r}"
        return FilterError(message.replace("{found}", found), self.text, token.at)

    def either(self, depth: int) -> Condition:
        terms = [self.both(depth)]
        while self.take("OR"):
            terms.append(self.both(depth))
        return terms[0] if len(terms) == 1 else AnyOf(tuple(terms))

    def both(self, depth: int) -> Condition:
        terms = [self.one(depth)]
        while self.take("AND"):
            terms.append(self.one(depth))
        return terms[0] if len(terms) == 1 else AllOf(tuple(terms))

    def one(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self.fail(f"conditions are nested deeper than {MAX_DEPTH}")
        if self.take("NOT"):
            return Not(self.one(depth + 1))
        if self.take("("):
            inside = self.either(depth + 1)
            if not self.take(")"):
                raise self.fail("a ')' is expected, {found}")
            return inside
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise self.fail(f"there are more than {MAX_TERMS} conditions")
        return self.condition()

    def field(self) -> Field:
        token = self.next
        if token.kind not in {"name", "quoted"}:
            raise self.fail("a field such as metrics.loss or state is expected, {found}")
        self.i += 1
        prefix, dot, key = token.text.partition(".") if token.kind == "name" else ("", "", token.text)
        if not dot:
            return self.attribute(_unquoted(key or prefix), token)
        kind = KINDS.get(prefix.lower())
        if kind is None:
            raise self.fail(f"{prefix!r} is not one of params, metrics, results, labels, annotations, attributes", token)
        key = _unquoted(key)
        return self.attribute(key, token) if kind == ATTRIBUTE else Field(kind, key)

    def attribute(self, name: str, token: _Token) -> Field:
        column = ALIASES.get(name.lower(), name.lower())
        if column not in TEXTS | NUMBERS | TIMES:
            known = ", ".join(sorted(TEXTS | NUMBERS | TIMES))
            raise self.fail(f"{name!r} is not an attribute of runs ({known}); a value is written with its kind, as in params.{name}", token)
        return Field(ATTRIBUTE, column)

    def condition(self) -> Condition:
        field, sign = self.field(), self.next
        if self.take("IS"):
            negated = self.take("NOT")
            if not self.take("NULL"):
                raise self.fail("NULL is expected, {found}")
            return Missing(field, negated)
        negated = self.take("NOT")
        if self.take("IN"):
            return OneOf(field, self.values(field), negated)
        if self.take("LIKE", "ILIKE"):
            operator, token = self.tokens[self.i - 1].text, self.next
            pattern = self.value(field)
            if field.kind == METRIC or field.key in NUMBERS | TIMES or token.kind not in {"text", "quoted"}:
                raise self.fail(f"{operator} compares texts: a quoted pattern and a field of text are expected", token)
            like = Comparison(field, operator, pattern)
            return AllOf((Missing(field, negated=True), Not(like))) if negated else like
        if negated or not self.take("=", "!=", "<", "<=", ">", ">="):
            raise self.fail("an operator is expected (= != < <= > >= LIKE ILIKE IN, NOT IN, IS NULL), {found}")
        token = self.next
        value = self.value(field)
        if value == "NaN" and token.kind == "number" and sign.text not in {"=", "!="}:
            raise self.fail("NaN has no order: compare it with = or !=", token)
        return Comparison(field, sign.text, value)

    def values(self, field: Field) -> tuple[Value, ...]:
        if not self.take("("):
            raise self.fail("a '(' is expected after IN, {found}")
        found = [self.value(field)]
        while self.take(","):
            found.append(self.value(field))
        if not self.take(")"):
            raise self.fail("a ',' or a ')' is expected, {found}")
        return tuple(found)

    def value(self, field: Field) -> Value:
        """The next token as a value that the field can have."""
        token = self.next
        self.i += 1
        timed = field.kind == ATTRIBUTE and field.key in TIMES
        number = field.kind == METRIC or timed or (field.kind == ATTRIBUTE and field.key in NUMBERS)
        text = field.kind in {LABEL, ANNOTATION} or (field.kind == ATTRIBUTE and not number)
        if token.kind == "number" and not text:
            return self.number(token, nan=field.kind != ATTRIBUTE)
        if token.kind == "text" or (token.kind == "quoted" and token.text[0] == '"'):
            if timed:
                return self.time(_unquoted(token.text), token)
            if not number:
                return _unquoted(token.text)
        if token.kind == "keyword" and token.text in {"TRUE", "FALSE"} and field.kind != ATTRIBUTE and not number:
            return token.text.lower()
        wanted = "a time in nanoseconds or as '2026-01-31T12:00:00Z'" if timed else "a number" if number else "a text in quotes"
        if not (number or text):
            wanted = "a number, a text in quotes, true or false"
        raise self.fail(f"{wanted} is expected, {{found}}", token)

    def number(self, token: _Token, *, nan: bool) -> Value:
        word = token.text.lower()
        if word.lstrip("+-").isdigit():
            number = int(word)
            if not -(1 << 63) <= number < 1 << 63:
                raise self.fail("an integer beyond 64 bits: write it as a float, such as 1e20", token)
            return number
        value = float(word)
        if math.isnan(value):
            if not nan:
                raise self.fail("an attribute is never NaN", token)
            return "NaN"
        return value

    def time(self, text: str, token: _Token) -> int:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self.fail("a time is written as '2026-01-31T12:00:00Z' or as nanoseconds", token) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return fit((since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000)

    def order(self) -> Order:
        field = self.field()
        descending = self.take("DESC")
        if not descending:
            self.take("ASC")
        return Order(field, descending)


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote) if quote in "'\"`" else text


def parse_filter(text: str) -> Condition | None:
    """The tree of a filter; None when it is blank, which finds everything. Raises FilterError."""
    parser = _Parser(text)
    if parser.next.kind == "end":
        return None
    tree = parser.either(0)
    if parser.next.kind != "end":
        raise parser.fail("AND, OR or the end is expected, {found}")
    return tree


def parse_order(text: str) -> tuple[Order, ...]:
    """The keys of an order such as "metrics.loss DESC, start_time"; a field named twice counts once. Raises FilterError."""
    parser = _Parser(text)
    found: dict[Field, Order] = {}
    while parser.next.kind != "end" or found:
        if len(found) == MAX_ORDER:
            raise parser.fail(f"there are more than {MAX_ORDER} fields to order by")
        order = parser.order()
        found.setdefault(order.field, order)
        if not parser.take(","):
            break
    if parser.next.kind != "end":
        raise parser.fail("ASC, DESC, ',' or the end is expected, {found}")
    return tuple(found.values())
