"""What the server says of itself is true: every reply to every question that the description allows has the shape it declares."""

import http.client
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import anyio.from_thread
import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracker.server.native.routes import TABLE
from tracker.server.openapi import describe_api
from tracker.server.serve import running
from tracker.settings import Settings

DOCUMENT: Any = json.loads(json.dumps(describe_api(TABLE.routes)))
OPERATIONS = [(path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()]
FITTING = {"project": ["p", "q"], "uid": ["u", "v"], "key": ["k", "a/b"], "id": ["0" * 16], "digest": ["0" * 64], "name": ["p", "new"]}
FITTING |= {"at": ["1", "3", "2030-01-01T00:00:00Z", "1970-01-01"], "filter": ["metrics.k > 0", "params.a = 'x'", "state = 'running'"]}
FITTING |= {"order_by": ["metrics.k DESC", "attributes.start_time"], "labels": ['{"r":"0"}', "{}"], "role": ["viewer", "root"]}
ODD = st.one_of(
    st.text(max_size=20),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        ["", "..", "\x00", "NaN", "1e999", "true", "null", "-1", "9223372036854775807", "'", '"', "%", "\u202e", "{}", "[]", "a" * 5000]
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


def fits(value: Any, schema: Any) -> bool:
    """Whether a value has the shape of a schema, as far as our schemas use the language."""
    if schema is True or schema == {}:
        return True
    if "$ref" in schema:
        return fits(value, DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema.get("type")
    if kind == "object":
        return isinstance(value, dict) and _members_fit(value, schema)
    if kind == "array":
        return isinstance(value, list) and all(fits(item, schema.get("items", {})) for item in value)
    if kind in ("integer", "number"):
        return not isinstance(value, bool) and isinstance(value, (int, float) if kind == "number" else int)
    plain: dict[Any, type] = {"string": str, "boolean": bool, "null": type(None)}
    return kind is None or isinstance(value, plain[kind])


def _members_fit(value: dict[str, Any], schema: Any) -> bool:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    return all(name in value for name in schema.get("required", [])) and all(
        fits(item, known[name]) if name in known else rest is True or (isinstance(rest, dict) and fits(item, rest))
        for name, item in value.items()
    )


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server in a thread, with a run that has one of everything. At its end it has logged no fault of its own."""
    data: Path = tmp_path_factory.mktemp("openapi")
    with structlog.testing.capture_logs() as lines, anyio.from_thread.start_blocking_portal() as portal:
        chosen = Settings(data=data, port=0, drain=0.1, read_wait=0.2, body_grace=1.0)
        with portal.wrap_async_context_manager(running(chosen)) as server:
            metric = {"type": "metric.logged", "time": 1, "key": "k"}
            events: list[Any] = [{"type": "run.created", "time": 1, "name": "u"}, {"type": "attempt.started", "time": 1, "attempt": "a"}]
            events += [
                {**metric, "value": value, "step": i, "iteration": i % 2}
                for i, value in enumerate([1.5, "NaN", "Infinity", "-Infinity", 2])
            ]
            events += [
                {"type": "parameter.set", "time": 1, "key": "a", "value": "x"},
                {"type": "result.logged", "time": 1, "key": "r", "value": [1, None]},
            ]
            events += [
                {"type": "console.written", "time": 1, "data": "AAEC/w=="},
                {"type": "artifact.logged", "time": 1, "key": "k", "uri": "s3://x"},
            ]
            batch = {"stream": "run/p/u", "producer": "p1", "sequence": 1, "events": events}
            assert ask(server.port, "POST", "/v1/events", {"batches": [batch]})[0] == 200
            yield server.port
    assert [line for line in lines if line["log_level"] in ("error", "critical") or "exc_info" in line] == []


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, str, bytes]:
    """Status, media type and body of a reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, sent, {} if body is None else {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.headers.get_content_type(), reply.read()
    finally:
        connection.close()


def check(operation: Any, status: int, media: str, body: bytes) -> None:
    """Demand that a reply is one that the operation declares."""
    assert status < 500 or status == 503, (status, body)
    assert b"Traceback" not in body
    declared = operation["responses"].get(str(status)) or operation["responses"]["default"]
    assert media in declared["content"], (status, media)
    schema = declared["content"][media]["schema"]
    if media == "application/json":
        assert fits(json.loads(body), schema), (schema, body)
    elif media == "application/x-ndjson":
        assert all(fits(json.loads(line), schema) for line in body.splitlines() if line)


def value_of(name: str) -> st.SearchStrategy[str]:
    """Values for a parameter: fitting ones more often than odd ones."""
    fitting = st.sampled_from(FITTING.get(name, ["1", "2", "5", "", "latest", "stdout", "0"]))
    return st.one_of(fitting, fitting, ODD)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Any, str, str, Any]:
    """An operation with some of its parameters, and a body when it takes one."""
    path, method, operation = draw(st.sampled_from(OPERATIONS))
    query = {}
    for parameter in operation["parameters"]:
        name = parameter["name"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(draw(value_of(name)), safe="").replace(".", "%2E"))
        elif name not in ("follow", "watch") and (parameter["required"] or draw(st.booleans())):
            query[name] = draw(value_of(name))
    body = None
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        names = operation["requestBody"]["content"]["application/json"]["schema"].get("properties", {"batches": {}})
        members = st.fixed_dictionaries({}, optional={name: st.one_of(value_of(name), VALUES) for name in names})
        body = draw(st.one_of(members, VALUES, st.binary(max_size=30)))
    elif "requestBody" in operation:
        body = draw(st.binary(max_size=30))
    return operation, method.upper(), path + ("?" + urlencode(query) if query else ""), body


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(question=questions())
def test_replies_have_the_shape_that_is_declared(port: int, caplog: pytest.LogCaptureFixture, question: tuple[Any, str, str, Any]) -> None:
    """Whatever is asked of whichever route, the answer is never a fault, and is what the description declares."""
    operation, method, path, body = question
    check(operation, *ask(port, method, path, body))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_plain_questions_are_answered(port: int) -> None:
    """Every read of the description, asked with values that fit, is answered in its shape."""
    for path, method, operation in OPERATIONS:
        if method == "get" and "digest" not in path and not path.endswith("/content"):
            for name in ("project", "uid", "key"):
                path = path.replace(f"{{{name}}}", FITTING[name][0])
            needed = {parameter["name"]: FITTING[parameter["name"]][0] for parameter in operation["parameters"] if parameter["required"]}
            query = {name: text for name, text in needed.items() if f"{{{name}}}" not in path and name not in ("project", "uid")}
            if path.endswith(("/k", "/k/lineage")):
                query.pop("key", None)
            status, media, answer = ask(port, "GET", path + "?" + urlencode({**query, "limit": "5"} if "history" in path else query))
            assert status == 200, (path, answer)
            check(operation, status, media, answer)
