"""Conditions and templates: Python's meaning, nothing of Python's reach."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.errors import InvalidExpression
from tracker.expressions import compile_expression, compile_template, render

VALUES: dict[str, Any] = {
    "a": 3,
    "b": -2,
    "c": 0.5,
    "d": "text",
    "e": [1, 2, "x"],
    "none": None,
    "run": {"results": {"acc": 0.9, "val.loss": 0.25, "per-class": {"cat": 1}}, "state": "completed"},
}
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
ATOMS = st.one_of(NAMES, st.integers(-9, 9).map(str), st.floats(-2, 2).map(repr), st.sampled_from(["'x'", "True", "None"]))


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions of smaller ones."""
    operators = ["+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!=", "in", "not in", "and", "or"]
    return st.one_of(
        st.tuples(inner, st.sampled_from(operators), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} < {p[1]} <= {p[2]})"),
        st.tuples(st.sampled_from(["-", "+", "not "]), inner).map(lambda p: f"({p[0]}{p[1]})"),
        st.tuples(st.sampled_from(["abs", "round", "len", "max", "min"]), inner).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(st.sampled_from(["max", "min"]), inner, inner).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda p: f"[{', '.join(p)}]"),
        st.tuples(NAMES, inner).map(lambda p: f"{p[0]}[{p[1]}]"),
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(ATOMS, joined, max_leaves=8))
def test_an_expression_means_what_it_means_in_python(text: str) -> None:
    """Whatever is allowed has Python's value; where Python raises, there is an InvalidExpression with a column."""
    try:
        expected = eval(text, {"__builtins__": {"abs": abs, "round": round, "len": len, "max": max, "min": min}}, VALUES)
    except Exception:
        with pytest.raises(InvalidExpression) as caught:
            compile_expression(text).evaluate(VALUES)
        assert 1 <= caught.value.detail["column"] <= len(text) + 1
        return
    try:
        found = compile_expression(text).evaluate(VALUES)
    except InvalidExpression as raised:
        message = raised.message
        found, expected = any(word in message for word in ("bits", "repeated", "formats", "digits")), True
    assert found == expected or (math.isnan(found) and math.isnan(expected))
    assert type(found) is type(expected)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab.()[]{}'\"<>=+-*/% \n\\#:,!é0123456789_fr", max_size=60))
def test_no_text_does_more_than_fail(text: str) -> None:
    """Any text at all is a value or an InvalidExpression whose column lies in it."""
    column = 1
    try:
        compile_expression(text).evaluate(VALUES)
    except InvalidExpression as error:
        column = error.detail["column"]
    assert 1 <= column <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "column", "word"),
    [
        ("acuracy > 0.9", 1, "no value is named 'acuracy'"),
        ("a > 0.9 and acuracy", 13, "no value is named 'acuracy'"),
        ("a >", 4, "syntax"),
        ("  a + nope", 7, "nope"),
        ("{{ a + nope }}", 8, "nope"),
        ("(a", 1, "never closed"),
        ("1 / 0", 5, "zero"),
        ("a + d", 5, "unsupported"),
        ("run.results.nope", 1, "no value is named 'nope' in run.results"),
        ("a.real", 1, "'a' has no 'real'"),
        ("run['nope']", 5, "there is no 'nope'"),
        ("e[9]", 3, "range"),
        ("é + a", 1, "'é'"),
        ("'é' + nope", 7, "nope"),
    ],
)
def test_an_error_points_into_the_text(text: str, column: int, word: str) -> None:
    """The message shows the text, and a caret under the column that the error names."""
    with pytest.raises(InvalidExpression) as caught:
        compile_expression(text, "stop_condition").evaluate(VALUES)
    told = caught.value.message.splitlines()
    assert told[0].startswith("stop_condition: ")
    assert word in told[0]
    assert caught.value.detail["column"] == column
    assert (told[1], told[2]) == (f"  {text}", " " * (column + 1) + "^")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__[0]",
        "a.__class__",
        "run.keys",
        "d.format(a)",
        "[x for x in e]",
        "(lambda: 1)()",
        "f'{a}'",
        "(a := 5)",
        "{**run}",
        "print(a)",
        "max(e, key=len)",
        "max(*e)",
        "await a",
        "(yield)",
        "b'bytes'",
        "1j",
        "...",
        "e[0:1]",
        "a | b",
        "a << 99",
        "a @ b",
        "~a",
        "a; b",
        "a = 1",
        "import os",
        "\x00",
        "",
    ],
)
def test_what_is_not_listed_is_refused(text: str) -> None:
    """Calls, attributes of objects, comprehensions, assignments and the like are errors, not deeds."""
    with pytest.raises(InvalidExpression):
        compile_expression(text).evaluate(VALUES)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        "9**9**9",
        "9**99999",
        "2**-99999999999",
        "'a' * 999999999",
        "999999999 * [1, 2]",
        "'%999999999d' % 1",
        "round(1, -999999999)",
        "-" * 3000 + "a",
        "(" * 300 + "a" + ")" * 300,
        "a" + "+a" * 1500,
        "a" * 5000,
        "*".join(["(9**900)"] * 9),
    ],
)
def test_what_would_take_for_ever_is_refused(text: str) -> None:
    """Powers, repetitions, nesting and length are bounded."""
    with pytest.raises(InvalidExpression):
        compile_expression(text).evaluate({"a": 1})


def test_names_go_into_mappings() -> None:
    """Dotted names find nested values, keys with dots of their own included; brackets reach any key."""
    assert compile_expression("run.results.acc > 0.8 and run.state == 'completed'").evaluate(VALUES) is True
    assert compile_expression("run.results.val.loss").evaluate(VALUES) == 0.25
    assert compile_expression("val.loss").evaluate({"val.loss": 7}) == 7
    assert compile_expression("run.results['per-class'].cat + run['results']['acc']").evaluate(VALUES) == 1.9
    assert compile_expression("run.results.acc > a or len(e) > 0").names == {"run.results.acc", "a", "e"}
    assert compile_expression("none is None").holds(VALUES)


def test_a_template_has_the_values_of_its_expressions() -> None:
    """Text stays as it is; None is nothing; quotes may hold braces; one template renders many times."""
    assert render("run {{ run.state }}: {{ a + 1 }}, {{none}}{{ '}}' }}.", VALUES) == "run completed: 4, }}."
    assert render("plain { text }", {}) == "plain { text }"
    template = compile_template("{{ a }}!")
    assert [template.render({"a": n}) for n in (1, "b")] == ["1!", "b!"]
    assert template.names == {"a"}


def test_a_fault_in_a_template_is_shown_in_the_template() -> None:
    """The column counts in the whole template; what is not closed is said to be so."""
    with pytest.raises(InvalidExpression) as caught:
        compile_template("hello {{ a + }} you", "message")
    assert caught.value.message.splitlines()[1] == "  hello {{ a + }} you"
    assert caught.value.detail["column"] >= 10
    with pytest.raises(InvalidExpression, match="not closed"):
        compile_template("hello {{ a")
