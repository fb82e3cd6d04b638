"""Conditions as SQL over a run `r`, and the bounded probes that find out whether a condition is rare.

Every predicate is true or false, never NULL, so that NOT is NOT. Columns of runs carry a unary plus: a predicate filters, it never
chooses the index; which index drives is decided in query.py and reads/search.py by what the probes find.
"""

import msgspec

from projections.conditions import ATTRIBUTE, TEXTS, TIMES, AllOf, AnyOf, Comparison, Condition, Missing, Not, OneOf, Value

Params = list[object]

# The plus takes the affinity of an INTEGER PRIMARY KEY from r.id: with it, SQLite may not use the index of the typeless column beside it.
RUN = "+r.id"


TRASHED = "SELECT name FROM projects WHERE deleted <> 0"


class Probe(msgspec.Struct, frozen=True):
    """SQL that yields the ids of all runs of some projects that satisfy one condition. `scan`: it may read all of a key."""

    sql: str
    params: tuple[object, ...]
    scan: bool


class Scope(msgspec.Struct, frozen=True):
    """Where a search looks: these projects, runs only or iterations as well, alive or (True) in the trash or (None) both.
    A run is in the trash when it was put there, or its project was."""

    projects: tuple[str, ...]
    everywhere: bool = False  # these are all projects there are
    iterations: bool = False
    deleted: bool | None = False

    def predicate(self) -> str:
        """What a run of any of the projects must satisfy; of none in the trash, when runs are to be alive."""
        trash = {False: " AND +r.deleted = 0", True: f" AND (+r.deleted <> 0 OR +r.project IN ({TRASHED}))", None: ""}[self.deleted]
        return ("1" if self.iterations else "+r.iteration = 0") + trash


def marks(values: tuple[Value, ...] | tuple[str, ...]) -> str:
    """As many question marks."""
    return ", ".join("?" * len(values))


def test(column: str, condition: Comparison | OneOf, params: Params) -> str:
    """The condition on a column that is an int, a float or a text. Numbers are less than '' in SQLite, texts are not."""
    if isinstance(condition, OneOf):
        params += condition.values
        return f"{column} {'NOT ' if condition.negated else ''}IN ({marks(condition.values)})"
    operator, value = condition.operator, condition.value
    if operator in {"LIKE", "ILIKE"}:
        params += [glob(str(value), fold=operator == "ILIKE")]
        text = f"{column} GLOB ? AND {column} >= ''"
        if operator == "LIKE" and (prefix := fixed_prefix(str(value))):
            params.append(prefix)
            text += f" AND {column} >= ?"
            if end := successor(prefix):
                params.append(end)
                text += f" AND {column} < ?"
        return text
    params.append(value)
    if operator in {">", ">="}:
        return f"{column} {operator} ?" + ("" if isinstance(value, str) else f" AND {column} < ''")
    if operator in {"<", "<="}:
        return f"{column} {operator} ?" + (f" AND {column} >= ''" if isinstance(value, str) else "")
    return f"{column} {operator} ?"


def predicate(condition: Condition | None, params: Params, run: str = RUN, within: Scope | None = None) -> str:
    """The condition on the run `r`; `run` is an expression for its id that is there before `r` is.

    A value is looked up for each run, which is best for few; `within` a scope all that have such a value are listed once, best for many.
    """
    match condition:
        case None:
            return "1"
        case AllOf(terms):
            return "(" + " AND ".join(predicate(t, params, run, within) for t in terms) + ")"
        case AnyOf(terms):
            return "(" + " OR ".join(predicate(t, params, run, within) for t in terms) + ")"
        case Not(term):
            return f"NOT {predicate(term, params, run, within)}"
        case Missing(field, negated) if field.kind == ATTRIBUTE:
            nothing = "''" if field.key in TEXTS else "0" if field.key in TIMES else "NULL"
            return f"(+r.{field.key} {'IS NOT' if negated else 'IS'} {nothing})"
        case Comparison(field) | OneOf(field) if field.kind == ATTRIBUTE:
            there = f" AND r.{field.key} <> 0" if field.key in TIMES else ""
            return f"({test('+r.' + field.key, condition, params)}{there})"
        case Missing(field, negated=False):
            return f"NOT {predicate(Missing(field, negated=True), params, run, within)}"
        case Comparison() | OneOf() | Missing():
            return _has(condition, params, run, within)


def _has(condition: Comparison | OneOf | Missing, params: Params, run: str, within: Scope | None) -> str:
    """Whether the run has a value for which the condition is true."""
    if within is not None:
        listed = _listed(condition, within)
        params += listed.params
        return f"({run} IN ({listed.sql}))"
    params += [condition.field.kind, condition.field.key]
    sql = f"EXISTS (SELECT 1 FROM run_values v WHERE v.run = {run} AND v.kind = ? AND v.key = ?"  # noqa: S608
    return sql + (")" if isinstance(condition, Missing) else f" AND {test('v.value', condition, params)})")


def _listed(condition: Comparison | OneOf | Missing, scope: Scope) -> Probe:
    """All runs that have a value for which the condition is true."""
    field, children = condition.field, "IN (0, 1)" if scope.iterations else "= 0"
    params: Params = [*scope.projects, field.kind, field.key]
    sql = f"SELECT run FROM run_values v WHERE project IN ({marks(scope.projects)}) AND kind = ? AND child {children} AND key = ?"  # noqa: S608
    if not isinstance(condition, Missing):
        sql += " AND " + test("v.value", condition, params)
    return Probe(sql, tuple(params), _wide(condition))


def probe(condition: Condition, scope: Scope) -> Probe | None:
    """How to list the runs of one simple condition by an index; None when no index does."""
    match condition:
        case Comparison(field) | OneOf(field) | Missing(field, negated=True) if field.kind != ATTRIBUTE:
            return _listed(condition, scope)
        case Comparison(field) | OneOf(field) if field.key in {"state", "name", "uid", "started_at", "created_at"} and not _wide(condition):
            params: Params = [*scope.projects]
            iteration = "" if scope.iterations else " AND iteration = 0"
            there = f" AND r.{field.key} <> 0" if field.key in TIMES else ""
            sql = f"SELECT id FROM runs r WHERE project IN ({marks(scope.projects)}){iteration}{there} AND "  # noqa: S608
            return Probe(sql + test("r." + field.key, condition, params), tuple(params), scan=False)
    return None


def _wide(condition: Condition) -> bool:
    match condition:
        case OneOf(negated=negated):
            return negated
        case Comparison(operator="LIKE", value=value):
            return not fixed_prefix(str(value))
        case Comparison(operator=operator):
            return operator in {"!=", "ILIKE"}
    return True


# -- patterns -------------------------------------------------------------------------------------------------------------


def glob(pattern: str, *, fold: bool) -> str:
    """A LIKE pattern as GLOB has it, which is exact about case in all of Unicode; `fold`: whatever the case of letters."""
    return "".join(_glob(piece, fold=fold) for piece in _pieces(pattern))


def fixed_prefix(pattern: str) -> str:
    """What every text that matches the LIKE pattern begins with."""
    found = ""
    for wild, character in _pieces(pattern):
        if wild:
            break
        found += character
    return found


def successor(prefix: str) -> str:
    """The least text after all that begin with the prefix; "" when there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return ""
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


def _pieces(pattern: str) -> list[tuple[bool, str]]:
    """Characters of a LIKE pattern, each with whether it is a wild one."""
    found, i = [], 0
    while i < len(pattern):
        literal = pattern[i] == "\\" and pattern[i + 1 : i + 2] in {"%", "_", "\\"}
        i += literal
        found.append((not literal and pattern[i] in "%_", pattern[i]))
        i += 1
    return found


def _glob(piece: tuple[bool, str], *, fold: bool) -> str:
    wild, character = piece
    if wild:
        return "*" if character == "%" else "?"
    if character in "*?[":
        return f"[{character}]"
    cases = sorted({c for c in (character, character.lower(), character.upper()) if len(c) == 1}) if fold else [character]
    return character if len(cases) == 1 else f"[{''.join(cases)}]"
