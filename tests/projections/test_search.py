"""Search against a naive model: the same runs found, in the same order, on the same pages, whichever index drives."""

import base64
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cmp_to_key
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import types as e
from events.connection import SCRATCH
from projections.filters import FilterError, parse_order
from projections.predicates import Scope
from projections.query import NEWEST, PageTokenError, Search, walkable, walks
from projections.reads import search
from projections.reads.search import search_runs
from projections.registry import PROJECTIONS
from projections.views import Views, open_views
from tests.oracle.histories import Told

pytestmark = pytest.mark.anyio

Value = int | float | str | None
VALUES: list[Any] = [
    0, 1, -1, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, float(2**63), -(2**63) + 1, 0.0, -0.0, 0.5, 1.0, 1e300,
    math.inf, -math.inf, math.nan, "", "a", "A", "ab", "b", "é", "É", "a%b", "a_b", "a*[b]?", "1", "NaN", "true", "\U0010ffff",
    True, False, None, [1, "x"],
]  # fmt: skip
NUMBERS = [v for v in VALUES if isinstance(v, float) or (isinstance(v, int) and not isinstance(v, bool))]
TEXTS = [v for v in VALUES if isinstance(v, str)]
KEYS = ["x", "y y"]
KINDS = ["params", "metrics", "results", "labels"]


class Subject:
    """A run or an iteration as the model knows it."""

    def __init__(self, project: str, uid: str, iteration: int, values: dict[tuple[str, str], Any], **attributes: Any) -> None:
        self.project, self.uid, self.iteration, self.values = project, uid, iteration, values
        self.attributes: dict[str, Any] = {"project": project, "uid": uid, "iteration": iteration, **attributes}

    def get(self, kind: str, key: str) -> Value:
        """The value a search sees; None when there is none."""
        if kind == "attributes":
            found = self.attributes[key]
            return None if found == "" or (found == 0 and key.endswith("_time")) else found
        return plain(self.values.get((kind, key)))


def plain(value: Any) -> Value:
    """A value in the terms of the search language."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return '[1,"x"]' if isinstance(value, list) else value


# -- conditions: each as text, and as what it means -----------------------------------------------------------------------------

Meaning = Callable[[Subject], bool]
Said = tuple[str, Meaning]
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def like(pattern: str, text: str, *, fold: bool) -> bool:
    """LIKE without escapes, by trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(pattern[1:], text[i:], fold=fold) for i in range(len(text) + 1))
    same = bool(text) and (pattern[0] in ("_", text[0]) or (fold and pattern[0].lower() == text[0].lower()))
    return same and like(pattern[1:], text[1:], fold=fold)


def literal(value: Any) -> str:
    """A value as the language writes it."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def same_class(a: Value, b: Value) -> bool:
    """Both numbers, or both texts."""
    return a is not None and isinstance(a, str) == isinstance(b, str)


def compared(kind: str, key: str, operator: str, value: Any) -> Said:
    """A comparison."""
    wanted = plain(value)

    def meaning(subject: Subject) -> bool:
        found = subject.get(kind, key)
        if kind == "attributes" and found is None and not key.endswith("_time"):
            found = ""
        if operator == "!=":
            return found is not None and found != wanted
        return same_class(found, wanted) and OPERATORS[operator](found, wanted)

    return f"{kind}.`{key}` {operator} {literal(value)}", meaning


def matched(kind: str, key: str, pattern: str, *, fold: bool) -> Said:
    """LIKE or ILIKE."""

    def meaning(subject: Subject) -> bool:
        found = subject.get(kind, key)
        return isinstance(found, str) and like(pattern, found, fold=fold)

    return f"{kind}.`{key}` {'ILIKE' if fold else 'LIKE'} {literal(pattern)}", meaning


def among(kind: str, key: str, values: list[Any], *, negated: bool) -> Said:
    """IN or NOT IN."""
    wanted = [plain(v) for v in values]

    def meaning(subject: Subject) -> bool:
        found = subject.get(kind, key)
        return found is not None and (found in wanted) != negated

    return f"{kind}.`{key}` {'NOT ' * negated}IN ({', '.join(map(literal, values))})", meaning


def missing(kind: str, key: str, *, negated: bool) -> Said:
    """IS NULL or IS NOT NULL."""
    return f"{kind}.`{key}` IS {'NOT ' * negated}NULL", lambda s: (s.get(kind, key) is None) != negated


def values_for(kind: str) -> list[Any]:
    """What a condition on such a field may compare with."""
    return {"metrics": NUMBERS, "labels": TEXTS}.get(kind, [v for v in VALUES if v is not None and not isinstance(v, bool | list)])


@st.composite
def leaves(draw: st.DrawFn) -> Said:
    """One condition."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(ATTRIBUTE_LEAVES))
    kind, key = draw(st.sampled_from(KINDS)), draw(st.sampled_from(KEYS))
    values = st.sampled_from(values_for(kind))
    match draw(st.sampled_from(["compare", "compare", "in", "null"] + ["like"] * (kind != "metrics"))):
        case "compare":
            value = draw(values)
            nan = isinstance(value, float) and math.isnan(value)
            return compared(kind, key, draw(st.sampled_from(["=", "!="] if nan else list(OPERATORS))), value)
        case "in":
            return among(kind, key, draw(st.lists(values, min_size=1, max_size=3)), negated=draw(st.booleans()))
        case "like":
            pattern = draw(st.sampled_from(["a%", "%b", "_", "%", "", "A_B", "a*[b]?", "é", "%\U0010ffff", "a", "true"]))
            return matched(kind, key, pattern, fold=draw(st.booleans()))
    return missing(kind, key, negated=draw(st.booleans()))


ATTRIBUTE_LEAVES = [
    compared("attributes", "state", "=", "completed"),
    compared("attributes", "state", "!=", "created"),
    compared("attributes", "name", "<", "b"),
    compared("attributes", "name", "=", ""),
    compared("attributes", "uid", ">=", "u3"),
    compared("attributes", "iteration", ">", 0),
    compared("attributes", "start_time", "<", 12),
    compared("attributes", "start_time", "!=", 11),
    compared("attributes", "project", "=", "q"),
    missing("attributes", "start_time", negated=False),
    missing("attributes", "name", negated=True),
    missing("attributes", "iteration", negated=False),
    matched("attributes", "name", "a%", fold=False),
    matched("attributes", "name", "A%", fold=True),
    among("attributes", "state", ["running", "completed"], negated=False),
]


def joined(word: str, parts: list[Said]) -> Said:
    """AND or OR."""
    meanings = [meaning for _, meaning in parts]
    decide = all if word == "AND" else any
    return "(" + f" {word} ".join(text for text, _ in parts) + ")", lambda s: decide(m(s) for m in meanings)


def negation(part: Said) -> Said:
    """NOT."""
    return f"NOT {part[0]}", lambda s: not part[1](s)


conditions = st.recursive(
    leaves(),
    lambda inner: (
        st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)).map(lambda p: joined(*p)) | inner.map(negation)
    ),
    max_leaves=4,
)
ATTRIBUTES = ["name", "state", "uid", "start_time", "created_at", "iteration", "end_time", "user"]
orders = st.lists(
    st.tuples(
        st.tuples(st.sampled_from(KINDS), st.sampled_from(KEYS)) | st.tuples(st.just("attributes"), st.sampled_from(ATTRIBUTES)),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda one: one[0],
)


# -- histories ------------------------------------------------------------------------------------------------------------------


@st.composite
def subjects(draw: st.DrawFn) -> list[Subject]:
    """Runs with and without children."""
    found = []
    trash = draw(st.sampled_from(["", "", "p", "pq"]))  # projects
    for n in range(draw(st.integers(1, 7))):
        project, uid = draw(st.sampled_from("pq")), f"u{n}"
        deleted, name = draw(st.integers(0, 5)) == 0, draw(st.sampled_from(["", "a", "ab", "b", "A"]))
        gone = project in trash
        for iteration in range(draw(st.integers(0, 2)) + 1):
            values = {}
            for kind in KINDS:
                for key in KEYS:
                    if draw(st.booleans()):
                        value = draw(st.sampled_from(values_for(kind) if kind in {"metrics", "labels"} else VALUES))
                        values[kind, key] = float(value) if kind == "metrics" else value
            start, ended = (0, 0) if iteration else (draw(st.sampled_from([0, 11, 12])), draw(st.sampled_from([0, 20, 21])))
            state = "completed" if ended else "running" if start else "created"
            attributes = {
                "name": name,
                "user": "",
                "created_at": draw(st.integers(5, 7)),
                "deleted": deleted or gone,
                "put": deleted,
                "gone": gone,
            }
            found.append(Subject(project, uid, iteration, values, state=state, start_time=start, end_time=ended, **attributes))
    return found


def history(subject: Subject) -> Iterator[e.Event]:
    """The events that make it so."""
    at, of = subject.attributes, {"iteration": subject.iteration}
    parameters = {k: v for (kind, k), v in subject.values.items() if kind == "params"}
    labels = {k: v for (kind, k), v in subject.values.items() if kind == "labels"}
    yield e.RunCreated(time=at["created_at"], name=at["name"], parameters=parameters, labels=labels, **of)
    if at["start_time"]:
        yield e.AttemptStarted(time=at["start_time"], attempt="a")
    for (kind, key), value in subject.values.items():
        if kind == "metrics":
            yield e.MetricLogged(time=9, key=key, value=7.0, **of)
            yield e.MetricLogged(time=9, key=key, value=value, **of)
        elif kind == "results":
            yield e.ResultLogged(time=9, key=key, value=value, **of)
    if at["end_time"]:
        yield e.StateChanged(time=at["end_time"], state="completed")


async def tell(views: Views, found: list[Subject]) -> None:
    """Bring the views to what the model knows."""
    told = Told()
    batches = [told.say(f"run/{s.project}/{s.uid}", *history(s)) for s in found]
    trash = {f"run/{s.project}/{s.uid}" for s in found if s.attributes["put"]}
    projects = {f"project/{s.project}" for s in found if s.attributes["gone"]}
    await views.apply([*batches, *(told.say(stream, e.RunDeleted(time=99)) for stream in sorted(trash))])
    await views.apply([told.say(stream, e.ProjectDeleted(time=99)) for stream in sorted(projects)])


def expected(found: list[Subject], meaning: Meaning, order: list[Any], scope: dict[str, Any]) -> list[tuple[str, str, int]]:
    """What a search should find, by looking at everything."""
    chosen = [
        (n, s)
        for n, s in enumerate(found)
        if (scope["projects"] is None or s.project in scope["projects"])
        and (scope["iterations"] or not s.iteration)
        and scope["deleted"] in (None, s.attributes["deleted"])
        and meaning(s)
    ]
    keys = order or [(("attributes", "created_at"), True)]

    def compare(a: tuple[int, Subject], b: tuple[int, Subject]) -> int:
        for (kind, key), descending in keys:
            ranks = [2 if v is None else 1 if isinstance(v, str) else 0 for v in (a[1].get(kind, key), b[1].get(kind, key))]
            if ranks[0] != ranks[1]:
                return ranks[0] - ranks[1]
            left, right = a[1].get(kind, key), b[1].get(kind, key)
            if left != right:
                return (-1 if left < right else 1) * (-1 if descending else 1)  # type: ignore[operator]
        return (a[0] - b[0]) * (-1 if keys[-1][1] else 1)

    return [(s.project, s.uid, s.iteration) for _, s in sorted(chosen, key=cmp_to_key(compare))]


scopes = st.fixed_dictionaries(
    {
        "projects": st.sampled_from([None, ["p"], ["p", "q", "none"], []]),
        "iterations": st.booleans(),
        "deleted": st.sampled_from([False, True, None]),
    }
)


@pytest.mark.parametrize("rare", [0, 3, 2000], ids=["walking", "both", "sorting"])
@settings(max_examples=100)
@given(found=subjects(), said=conditions | st.just(("", lambda _: True)), order=orders, scope=scopes, limit=st.integers(1, 4))
async def test_a_search_finds_what_looking_at_everything_finds(
    rare: int, found: list[Subject], said: Said, order: list[Any], scope: dict[str, Any], limit: int
) -> None:
    """Numbers compare exactly whatever their type, NaN and missing values stand where they should, and pages follow each other without
    gap or repetition, whatever the index."""
    text = ", ".join(f"{kind}.`{key}` {'DESC' if down else 'ASC'}" for (kind, key), down in order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "RARE", rare)
        patch.setattr(search, "FAR", 10 if rare == 3 else search.FAR)
        async with open_views(SCRATCH, PROJECTIONS) as views:
            await tell(views, found)
            assert all(not health.error for health in views.health.values())
            pages, token = [], ""
            for _ in range(len(found) + 1):
                page = await search_runs(views, **scope, filter=said[0], order_by=text, limit=limit, page_token=token)
                pages += [(r.project, r.uid, r.iteration) for r in page.runs]
                token = page.next_page_token
                if not token:
                    break
                assert len(page.runs) == limit
    assert pages == expected(found, said[1], order, scope), f"{said[0]} ORDER BY {text}"


async def test_a_token_belongs_to_its_search() -> None:
    """A damaged token, or one of another search, is refused; a new project does not spoil one."""
    told = Told()
    async with open_views(SCRATCH, PROJECTIONS) as views:
        await views.apply([told.say(f"run/p/u{n}", e.RunCreated(time=n, name="x")) for n in range(5)])
        token = (await search_runs(views, limit=2)).next_page_token
        await views.apply([told.say("run/a/u", e.RunCreated(time=0, name="x"))])
        assert [r.uid for r in (await search_runs(views, limit=2, page_token=token)).runs] == ["u2", "u1"]
        for bad in ("x", "é", token[:-4], "A" * 40, token + "A", token[3:] + token[:3]):
            with pytest.raises(PageTokenError):
                await search_runs(views, limit=2, page_token=bad)
        for other in ({"filter": "name = 'x'"}, {"order_by": "name"}, {"projects": ["p"]}, {"iterations": True}, {"deleted": True}):
            with pytest.raises(PageTokenError):
                await search_runs(views, limit=2, page_token=token, **other)  # type: ignore[arg-type]
        with pytest.raises(FilterError):
            await search_runs(views, filter="nonsense")


async def test_pages_go_on_while_runs_come_and_change() -> None:
    """A page after others shows no run twice, though new ones arrived meanwhile."""
    told = Told()
    async with open_views(SCRATCH, PROJECTIONS) as views:
        await views.apply([told.say(f"run/p/u{n}", e.RunCreated(time=n + 1, name="x")) for n in range(6)])
        first = await search_runs(views, ["p"], limit=3)
        await views.apply([told.say("run/p/new", e.RunCreated(time=100, name="x"))])
        second = await search_runs(views, ["p"], limit=3, page_token=first.next_page_token)
        assert [r.uid for r in first.runs + second.runs] == ["u5", "u4", "u3", "u2", "u1", "u0"]


async def test_runs_go_to_the_trash_with_their_project() -> None:
    """The runs of a deleted project are found among what is deleted only, and when it is restored, as before; tokens stay good."""
    told = Told()
    async with open_views(SCRATCH, PROJECTIONS) as views:
        await views.apply([told.say(f"run/{p}/u{n}", e.RunCreated(time=n + 1, name="x")) for n in range(4) for p in "pq"])

        async def found(projects: list[str] | None, *, deleted: bool | None) -> list[str]:
            page = await search_runs(views, projects, order_by="created_at, uid", limit=5, deleted=deleted)
            rest = page.next_page_token
            more = await search_runs(views, projects, order_by="created_at, uid", deleted=deleted, page_token=rest) if rest else None
            return [f"{run.project}{run.uid}" for run in page.runs + (more.runs if more else [])]

        everything = await found(None, deleted=False)
        assert len(everything) == 8
        await views.apply([told.say("project/p", e.ProjectDeleted(time=9))])
        assert await found(None, deleted=False) == ["qu0", "qu1", "qu2", "qu3"] == await found(["p", "q"], deleted=False)
        assert await found(["p"], deleted=False) == []
        assert await found(None, deleted=True) == ["pu0", "pu1", "pu2", "pu3"] == await found(["p"], deleted=True)
        assert await found(None, deleted=None) == everything
        await views.apply([told.say("project/p", e.ProjectRestored(time=10))])
        assert await found(None, deleted=False) == everything
        assert await found(None, deleted=True) == []


positions = st.tuples(
    st.integers(-1, 4),
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.text() | st.binary() | st.lists(st.integers()),
)


@given(
    ranks=st.lists(positions, max_size=3) | st.none(),
    id=st.integers(-(2**63), 2**64 - 1) | st.text(),
    order=st.sampled_from(["", "metrics.x", "name DESC", "start_time, params.x", "iteration"]),
)
async def test_a_forged_token_does_no_harm(ranks: Any, id: Any, order: str) -> None:
    """Whoever makes tokens himself, with the right mark of the search in them, gets a page of it or a refusal, never a failure."""
    search = Search(Scope((), everywhere=True), None, parse_order(order) or NEWEST)
    try:
        data = msgspec.msgpack.encode((search.fingerprint(), (ranks, id)))
    except OverflowError:
        return
    token = base64.urlsafe_b64encode(data).decode().rstrip("=")
    told = Told()
    async with open_views(SCRATCH, PROJECTIONS) as views:
        await views.apply([told.say(f"run/p/u{n}", e.RunCreated(time=n, name="x"), metric) for n, metric in enumerate(METRICS)])
        with suppress(PageTokenError):
            await search_runs(views, order_by=order, page_token=token)


METRICS = [e.MetricLogged(time=1, key="x", value=value) for value in (0.5, math.nan, math.inf)]


@pytest.mark.parametrize("order", ["metrics.x DESC", "params.`a b`", "", "start_time", "end_time DESC", "name", "state"])
async def test_a_walk_never_sorts(order: str) -> None:
    """The first page of a common order costs the same however many runs there are: an index has the order."""
    made = Search(Scope(("p",)), None, parse_order(order) or NEWEST)
    assert walkable(made)
    async with open_views(SCRATCH, PROJECTIONS) as views:
        for statements in walks(made, None, 10):
            for one in statements:
                plan = " / ".join(str(row[-1]) for row in await views.fetch("EXPLAIN QUERY PLAN " + one.sql, one.params))
                assert "TEMP B-TREE" not in plan, plan
