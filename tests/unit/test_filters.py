"""The search language: what is understood, and where an error points."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.conditions import ATTRIBUTE, AllOf, AnyOf, Comparison, Field, Missing, Not, OneOf, Order
from projections.filters import MAX_DEPTH, MAX_TERMS, MAX_TEXT, FilterError, parse_filter, parse_order
from projections.runs import ANNOTATION, LABEL, METRIC, PARAMETER, RESULT

LOSS = Field(METRIC, "loss")
STATE = Field(ATTRIBUTE, "state")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("metrics.loss < 0.5", Comparison(LOSS, "<", 0.5)),
        ("metrics.loss<-1e3", Comparison(LOSS, "<", -1000.0)),
        ("metric.loss == 3", Comparison(LOSS, "=", 3)),
        ("metrics.loss <> NaN", Comparison(LOSS, "!=", "NaN")),
        ("metrics.loss >= -Infinity", Comparison(LOSS, ">=", -math.inf)),
        ("results.acc = inf", Comparison(Field(RESULT, "acc"), "=", math.inf)),
        ("params.lr='0.1'", Comparison(Field(PARAMETER, "lr"), "=", "0.1")),
        ('params.lr = "it\'s"', Comparison(Field(PARAMETER, "lr"), "=", "it's")),
        ("params.text = 'it''s'", Comparison(Field(PARAMETER, "text"), "=", "it's")),
        ("params.on = TRUE", Comparison(Field(PARAMETER, "on"), "=", "true")),
        ("params.`a b`.c = 1", None),
        ("params.`a b` = 1", Comparison(Field(PARAMETER, "a b"), "=", 1)),
        ("params.`a``b` = 1", Comparison(Field(PARAMETER, "a`b"), "=", 1)),
        ('metrics."val/loss" > 1', Comparison(Field(METRIC, "val/loss"), ">", 1)),
        ("metrics.val/loss-2.x:y > 1", Comparison(Field(METRIC, "val/loss-2.x:y"), ">", 1)),
        ("metrics.größe > 1", Comparison(Field(METRIC, "größe"), ">", 1)),
        ("tags.mlflow.runName = 'x'", Comparison(Field(LABEL, "mlflow.runName"), "=", "x")),
        ("annotations.note ILIKE '%Bad%'", Comparison(Field(ANNOTATION, "note"), "ILIKE", "%Bad%")),
        ("state = 'running'", Comparison(STATE, "=", "running")),
        ("attributes.Status = 'running'", Comparison(STATE, "=", "running")),
        ("iteration > 3", Comparison(Field(ATTRIBUTE, "iteration"), ">", 3)),
        ("start_time > '1970-01-01T00:00:01Z'", Comparison(Field(ATTRIBUTE, "started_at"), ">", 10**9)),
        ("start_time < '9999-12-31'", Comparison(Field(ATTRIBUTE, "started_at"), "<", 2**63 - 1)),  # the last moment there is
        ("start_time > '0001-01-01T00:00:00+23:59'", Comparison(Field(ATTRIBUTE, "started_at"), ">", -(2**63) + 1)),
        ("end_time > '1970-01-01 01:00+01:00'", Comparison(Field(ATTRIBUTE, "ended_at"), ">", 0)),
        ("created_at > 5", Comparison(Field(ATTRIBUTE, "created_at"), ">", 5)),
        ("state in ('a', 'b')", OneOf(STATE, ("a", "b"), negated=False)),
        ("metrics.loss NOT IN (1, 2.5)", OneOf(LOSS, (1, 2.5), negated=True)),
        ("metrics.loss IS NULL", Missing(LOSS, negated=False)),
        ("metrics.loss is not null", Missing(LOSS, negated=True)),
        ("labels.a NOT LIKE 'x'", AllOf((Missing(Field(LABEL, "a"), negated=True), Not(Comparison(Field(LABEL, "a"), "LIKE", "x"))))),
    ],
)
def test_a_condition_is_understood(text: str, tree: object) -> None:
    """Each form of a condition has one meaning, however its words are written."""
    if tree is None:
        with pytest.raises(FilterError):
            parse_filter(text)
    else:
        assert parse_filter(text) == tree


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    """`a OR b AND NOT c` is `a OR (b AND (NOT c))`; parentheses change it."""
    a, b, c = (Comparison(Field(METRIC, k), "=", 1) for k in "abc")
    text = "metrics.a = 1 OR metrics.b = 1 AND NOT metrics.c = 1"
    assert parse_filter(text) == AnyOf((a, AllOf((b, Not(c)))))
    assert parse_filter("(metrics.a = 1 or metrics.b=1)and not(metrics.c=1)") == AllOf((AnyOf((a, b)), Not(c)))


def test_a_blank_filter_finds_everything() -> None:
    """No text, or only space, is no condition."""
    assert parse_filter("") is None
    assert parse_filter(" \n\t") is None


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("metrics.loss <", 15, "a number is expected, the text ends"),
        ("metrics.loss < 'x'", 16, "a number is expected"),
        ("metrics.loss 0.5", 14, "an operator is expected"),
        ("metrics.loss < NaN", 16, "NaN has no order"),
        ("metrics.loss LIKE '1%'", 19, "a number is expected"),
        ("iteration LIKE '1%'", 16, "a number is expected"),
        ("params.x LIKE 3", 15, "a quoted pattern"),
        ("params.x LIKE true", 15, "a quoted pattern"),
        ("labels.x = 3", 12, "a text in quotes is expected"),
        ("state = 'a' AND colour = 'b'", 17, "is not an attribute"),
        ("state = 'a' name = 'b'", 13, "AND, OR or the end is expected"),
        ("colour.x = 1", 1, "is not one of params, metrics"),
        ("state = 'open", 9, "a quote is not closed"),
        ("state = 'a' # 'b'", 13, "is not understood"),
        ("(state = 'a'", 13, "a ')' is expected"),
        ("state = 'a')", 12, "AND, OR or the end"),
        ("state IN ()", 11, "a text in quotes"),
        ("state IN 'a'", 10, "a '(' is expected"),
        ("state IN ('a' 'b')", 15, "a ',' or a ')'"),
        ("state IS 'a'", 10, "NULL is expected"),
        ("state NOT 'a'", 11, "an operator is expected"),
        ("start_time > 'yesterday'", 14, "a time is written as"),
        ("params.n = 9223372036854775808", 12, "beyond 64 bits"),
        ("iteration = nan", 13, "never NaN"),
        ("metrics.x > 0.5abc", 13, "is not understood"),
        ("state = \0", 9, "NUL"),
        ("state = 'a\ud800'", 11, "surrogate"),
        ("AND", 1, "a field such as"),
    ],
)
def test_an_error_points_at_its_column(text: str, column: int, says: str) -> None:
    """What is wrong is said, with the column counted from 1 and a caret under it."""
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert caught.value.column == column, str(caught.value)
    assert says in caught.value.message
    line, caret = str(caught.value).splitlines()[-2:]
    assert caret.index("^") == column - 1
    assert line == text


def test_a_caret_stays_in_sight_in_a_long_text() -> None:
    """Of a long text, the part around the error is shown on one line."""
    text = "state = 'a' AND\n" * 40 + "what = 1"
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    line, caret = str(caught.value).splitlines()[-2:]
    assert len(line) <= 120
    assert line[caret.index("^") :].startswith("what = 1")


def test_texts_have_limits() -> None:
    """Too long, too many conditions, or too deep is an error, not a burden."""
    parse_filter(" AND ".join(["iteration=1"] * MAX_TERMS))
    parse_filter("NOT " * MAX_DEPTH + "iteration=1")
    for text in (
        " AND ".join(["iteration=1"] * (MAX_TERMS + 1)),
        "NOT " * (MAX_DEPTH + 1) + "iteration=1",
        "(" * 1000 + "iteration=1" + ")" * 1000,
        "iteration=1 " + " " * MAX_TEXT,
    ):
        with pytest.raises(FilterError):
            parse_filter(text)


def test_an_order_is_a_list_of_fields() -> None:
    """Ascending unless it says DESC; a field named twice counts once."""
    start = Field(ATTRIBUTE, "started_at")
    assert parse_order("metrics.loss DESC, attributes.start_time") == (Order(LOSS, descending=True), Order(start, descending=False))
    assert parse_order("metrics.loss asc, metrics.loss desc") == (Order(LOSS, descending=False),)
    assert parse_order(" ") == ()


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("metrics.loss down", 14),
        ("metrics.loss,", 14),
        ("1", 1),
        (",", 1),
        ("metrics.a DESC ASC", 16),
        (",".join(f"metrics.k{i}" for i in range(9)), 89),
    ],
)
def test_an_error_in_an_order_points_at_its_column(text: str, column: int) -> None:
    """As for filters."""
    with pytest.raises(FilterError) as caught:
        parse_order(text)
    assert caught.value.column == column


WORDS = "metrics.a params.b state name = != < LIKE IN NOT AND OR IS NULL ( ) , 'x' \"y\" 1 -2.5 nan true ` ' é \\ . attributes. %"
words = st.sampled_from(WORDS.split())


@given(st.lists(words, max_size=12).map(" ".join) | st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """Whatever is typed, the answer is a tree or a FilterError within the text, never another failure."""
    for parse in (parse_filter, parse_order):
        column = 1
        try:
            parse(text)
        except FilterError as error:
            column = error.column
        assert 1 <= column <= len(text) + 1
