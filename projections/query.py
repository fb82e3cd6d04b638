"""A search as SQL: where to walk, how to order, and where a page ends. Pure: statements in, none executed.

Runs are ordered by each key in turn, then by id in the direction of the last key. Whatever the direction, numbers come first, then
texts (NaN is one), then runs without the value: the classes 0, 1 and 2. Two kinds of statement give the same order:
- `walks`: along the index of the first key, class by class, project by project, as far as the page needs;
- `sorted_among`: all that satisfy the condition, sorted; for the few a rare condition leaves, or where no index has the order.
A page ends at a position: the class and value of each key, and the id. Its token is opaque and belongs to one search.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from projections.conditions import ATTRIBUTE, TEXTS, TIMES, AllOf, Comparison, Condition, Field, Missing, OneOf, Order, Value
from projections.predicates import RUN, Params, Scope, marks, predicate

NUMBER, TEXT, MISSING = range(3)
NEWEST = (Order(Field(ATTRIBUTE, "created_at"), descending=True),)
_BY_ITERATION = frozenset({"created_at", "started_at", "ended_at"})  # ordered by an index that begins with project and iteration
_BY_PROJECT = frozenset({"created_at", "state", "name", "uid"})  # by one that begins with project

Rank = tuple[int, Value | None]  # the class and value of one key


class PageTokenError(ValueError):
    """The page token was not made by this search."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a run stands in the order of a search."""

    ranks: tuple[Rank, ...]
    id: int


class Search(msgspec.Struct, frozen=True):
    """What is wanted, in which order."""

    scope: Scope
    condition: Condition | None = None
    order: tuple[Order, ...] = NEWEST

    @property
    def descending(self) -> bool:
        """The direction of ids among equals."""
        return self.order[-1].descending

    def fingerprint(self) -> bytes:
        """Eight bytes that tell this search from others. One in all projects stays itself when a project is added."""
        scope = self.scope
        projects = None if scope.everywhere else scope.projects
        told = (projects, scope.iterations, scope.deleted, self.condition, self.order)
        return hashlib.sha256(msgspec.msgpack.encode(told)).digest()[:8]


class Statement(msgspec.Struct, frozen=True):
    """SQL that yields rows of id, class, value, class, value ... in order."""

    sql: str
    params: tuple[object, ...]


# -- pages ----------------------------------------------------------------------------------------------------------------


def token_of(search: Search, position: Position) -> str:
    """The page token that goes on after this position."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((search.fingerprint(), position))).decode().rstrip("=")


def position_of(search: Search, token: str) -> Position:
    """The position in a page token. Raises PageTokenError."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        fingerprint, position = msgspec.msgpack.decode(data, type=tuple[bytes, Position])
    except (ValueError, msgspec.MsgspecError):
        raise PageTokenError("the page token is damaged: begin again without one") from None
    if fingerprint != search.fingerprint():
        raise PageTokenError("the page token belongs to another filter, order or scope: begin again without one")
    ranks = position.ranks
    numbers = [position.id, *(value for _, value in ranks if isinstance(value, int))]
    if len(ranks) != len(search.order) or any(class_of(v) != c for c, v in ranks) or any(abs(n) >= 1 << 63 for n in numbers):
        raise PageTokenError("the page token is damaged: begin again without one")
    return position


def class_of(value: Value | None) -> int:
    """NUMBER, TEXT or MISSING."""
    return MISSING if value is None else TEXT if isinstance(value, str) else NUMBER


def position_at(row: Sequence[Value]) -> Position:
    """The position of a row that a statement yielded."""
    ranks = zip(row[1::2], row[2::2], strict=True)
    return Position(tuple((int(c), None if c == MISSING else v) for c, v in ranks), int(row[0]))


def merged(search: Search, rows: list[tuple[Value, ...]]) -> list[tuple[Value, ...]]:
    """Rows of several statements in the one order of the search."""
    rows = sorted(rows, key=lambda row: row[0], reverse=search.descending)
    for at in reversed(range(len(search.order))):
        rank, value = 2 * at + 1, 2 * at + 2
        rows.sort(key=lambda row: (row[rank], 0 if row[rank] == MISSING else row[value]), reverse=search.order[at].descending)
        rows.sort(key=lambda row: row[rank])
    return rows


# -- keys of an order -------------------------------------------------------------------------------------------------------


class _Key(msgspec.Struct, frozen=True):
    """SQL of one key: its class and its value; `fixed` when the class is the same for all rows."""

    rank: str
    value: str
    descending: bool
    fixed: bool = False

    def by(self) -> str:
        direction = " DESC" if self.descending else ""
        return f"{self.value}{direction}" if self.fixed else f"{self.rank}, {self.value}{direction}"


def _keys(order: Sequence[Order], params: Params, first: int = 0) -> tuple[list[_Key], str]:
    """The keys from `first` on, with the joins they need."""
    keys, joins = [], ""
    for n, one in enumerate(order[first:], first):
        field = one.field
        if field.kind != ATTRIBUTE:
            value = f"o{n}.value"
            joins += f" LEFT JOIN run_values o{n} ON o{n}.run = {RUN} AND o{n}.kind = ? AND o{n}.key = ?"
            params += [field.kind, field.key]
            keys.append(_Key(f"CASE WHEN {value} IS NULL THEN 2 WHEN {value} >= '' THEN 1 ELSE 0 END", value, one.descending))
        else:
            rank = f"1 + (r.{field.key} = '')" if field.key in TEXTS else f"2 * (r.{field.key} = 0)" if field.key in TIMES else "0"
            keys.append(_Key(rank, f"r.{field.key}", one.descending, fixed=rank == "0"))
    return keys, joins


def _after(keys: Sequence[_Key], ranks: Sequence[Rank], last: str, id: int, params: Params) -> str:
    """Rows beyond a position; `last` compares ids."""
    if not keys:
        params.append(id)
        return last
    key, (rank, value) = keys[0], ranks[0]
    params += [rank, rank]
    if rank == MISSING:
        return f"({key.rank} > ? OR ({key.rank} = ? AND {_after(keys[1:], ranks[1:], last, id, params)}))"
    params += [value, value]
    beyond = f"{key.value} {'<' if key.descending else '>'} ? OR ({key.value} = ? AND {_after(keys[1:], ranks[1:], last, id, params)})"
    return f"({key.rank} > ? OR ({key.rank} = ? AND ({beyond})))"


# -- statements -----------------------------------------------------------------------------------------------------------


def sorted_among(search: Search, ids: Sequence[int] | None, after: Position | None, limit: int) -> Statement:
    """The page by sorting: among these runs, or among all of the scope."""
    params: Params = []
    source = "FROM runs r"
    if ids is not None:
        source = "FROM json_each(?) j CROSS JOIN runs r ON r.id = j.value"
        params.append(msgspec.json.encode(ids).decode())
    keys, joins = _keys(search.order, params)
    params += search.scope.projects
    where = f"r.project IN ({marks(search.scope.projects)})"
    within = search.scope if ids is None else None
    return _statement(search, source + joins, where, keys, after, limit, params, within)


def walks(search: Search, after: Position | None, limit: int, *, far: bool = False) -> Iterator[list[Statement]]:
    """The page by walking the index of the first key: for each class that may hold runs, the statements whose rows make it up.
    `far`: most of the index will be walked."""
    field = search.order[0].field
    for rank in _classes(field, search.condition):
        if after is None or rank >= after.ranks[0][0]:
            here = after if after is not None and rank == after.ranks[0][0] else None
            children = (0, 1) if search.scope.iterations and field.kind != ATTRIBUTE and rank != MISSING else (0,)
            yield [_walk(search, rank, here, limit, project, child, far=far) for project in search.scope.projects for child in children]


def walkable(search: Search) -> bool:
    """Whether an index has the order of the first key."""
    field = search.order[0].field
    return field.kind != ATTRIBUTE or field.key in _BY_PROJECT or (field.key in _BY_ITERATION and not search.scope.iterations)


def _walk(search: Search, rank: int, after: Position | None, limit: int, project: str, child: int, *, far: bool) -> Statement:
    first, params = search.order[0], Params()
    narrow = " AND r.iteration = 0" if not search.scope.iterations else ""
    if first.field.kind == ATTRIBUTE:
        column, source = f"r.{first.field.key}", "FROM runs r"
        keys, joins = _keys(search.order, params, 1)
        params.append(project)
        where = "r.project = ?" + (narrow if first.field.key in _BY_ITERATION else "")
        where += {NUMBER: f" AND {column} <> 0", TEXT: f" AND {column} > ''", MISSING: f" AND {column} = {_nothing(first.field)}"}[rank]
    elif rank == MISSING:
        column, source = "NULL", "FROM runs r"
        keys, joins = _keys(search.order, params, 1)
        params += [project]
        where = f"r.project = ?{narrow} AND {predicate(Missing(first.field, negated=False), params)}"
    else:
        column, source = "o.value", "FROM run_values o CROSS JOIN runs r ON r.id = o.run"
        keys, joins = _keys(search.order, params, 1)
        params += [project, first.field.kind, child, first.field.key]
        where = "o.project = ? AND o.kind = ? AND o.child = ? AND o.key = ?"
    if rank != MISSING:
        where += _range(first, column, rank, search.condition, after, params)
    key = _Key(str(rank), column, first.descending, fixed=True)
    within = msgspec.structs.replace(search.scope, projects=(project,)) if far else None
    return _statement(search, source + joins, where, [key, *keys], after, limit, params, within)


def _statement(
    search: Search,
    source: str,
    where: str,
    keys: Sequence[_Key],
    after: Position | None,
    limit: int,
    params: Params,
    within: Scope | None,
) -> Statement:
    walked = "run_values o " in source
    id = "o.run" if walked else "r.id"
    where += f" AND {search.scope.predicate()} AND {predicate(search.condition, params, 'o.run' if walked else RUN, within)}"
    if after is not None:
        where += " AND " + _after(keys, after.ranks, f"{id} {'<' if search.descending else '>'} ?", after.id, params)
    columns = ", ".join(f"{key.rank}, {key.value}" for key in keys)
    by = ", ".join([*(key.by() for key in keys if key.value != "NULL"), f"{id}{' DESC' if search.descending else ''}"])
    return Statement(f"SELECT {id}, {columns} {source} WHERE {where} ORDER BY {by} LIMIT ?", (*params, limit))


def _nothing(field: Field) -> str:
    return "''" if field.key in TEXTS else "0"


# -- what the condition says of the first key ---------------------------------------------------------------------------------


def _said(field: Field, condition: Condition | None) -> list[Condition]:
    """What must be true of the field for the condition to be true."""
    if isinstance(condition, AllOf):
        return [one for term in condition.terms for one in _said(field, term)]
    return [condition] if isinstance(condition, Comparison | OneOf | Missing) and condition.field == field else []


def _classes(field: Field, condition: Condition | None) -> list[int]:
    """The classes in which the condition can be true, in order."""
    if field.kind == ATTRIBUTE:
        return [TEXT, MISSING] if field.key in TEXTS else [NUMBER, MISSING]
    classes = {NUMBER, TEXT, MISSING}
    for one in _said(field, condition):
        match one:
            case Missing(negated=negated):
                classes &= {NUMBER, TEXT} if negated else {MISSING}
            case Comparison(operator="!=") | OneOf(negated=True):
                classes &= {NUMBER, TEXT}
            case Comparison(value=value):
                classes &= {class_of(value)}
            case OneOf(values=values):
                classes &= {class_of(value) for value in values}
    return sorted(classes)


def _range(first: Order, column: str, rank: int, condition: Condition | None, after: Position | None, params: Params) -> str:
    """The one lower and one upper bound between which to walk; all else that the condition says only filters."""
    lower: list[tuple[tuple[bool, Value], str]] = []
    upper: list[tuple[tuple[bool, Value], str]] = []
    if first.field.kind != ATTRIBUTE:
        (lower if rank == TEXT else upper).append(((True, ""), ">=" if rank == TEXT else "<"))
    for one in _said(first.field, condition):
        if isinstance(one, Comparison) and one.operator in {"<", "<=", ">", ">=", "="} and class_of(one.value) == rank:
            bound = (rank == TEXT, one.value)
            if one.operator != "=":
                (lower if one.operator in {">", ">="} else upper).append((bound, one.operator))
            else:
                lower.append((bound, ">="))
                upper.append((bound, "<="))
    if after is not None:
        value = after.ranks[0][1]
        assert value is not None
        (upper if first.descending else lower).append(((rank == TEXT, value), "<=" if first.descending else ">="))
    text = ""
    for bounds, choose in ((lower, max), (upper, min)):
        if bounds:
            (_, value), operator = choose(bounds, key=lambda b: b[0])
            params.append(value)
            text += f" AND {column} {operator} ?"
    return text
