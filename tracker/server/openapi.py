"""The API described by itself: OpenAPI 3.1 from the table of routes and the structs they name. Nothing in it is written twice, so it
cannot lie.
"""

from collections.abc import Iterable
from inspect import getdoc
from typing import Any

import msgspec

from tracker.server.route import READS, Route
from tracker.version import version
from tracker.wire import JSON, MSGPACK

_REF = "#/components/schemas/{name}"
_ERRORS = {
    "400": "A value is not allowed",
    "401": "No valid token",
    "403": "Not with this role, or not from this page",
    "404": "No such thing",
}


class ErrorDetail(msgspec.Struct, kw_only=True):
    """What went wrong: a stable code, a sentence, and what a program may want to know."""

    code: str
    message: str
    detail: dict[str, Any]


class ErrorBody(msgspec.Struct, kw_only=True):
    """The body of every reply that is not 2xx."""

    error: ErrorDetail


def describe_api(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI document of some routes."""
    routes = tuple(routes)
    types = {kind for route in routes for kind in (route.request, route.body, route.reply) if kind is not None and kind is not str}
    types.add(ErrorBody)
    ordered = sorted(types, key=repr)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    schemas = _spelled(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "run-tracker", "version": version(), "description": (__doc__ or "").splitlines()[0]},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _spelled(schema: Any) -> Any:
    """A schema in which numbers may be those that JSON has no digits for."""
    if isinstance(schema, list):
        return [_spelled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "number":
        return {"anyOf": [schema, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
    return {name: _spelled(item) for name, item in schema.items()}


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": (getdoc(route.handler) or "").partition("\n")[0],
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "parameters": _parameters(route, schemas),
        "responses": {str(route.status): {"description": "Done", "content": _reply(route)}, **_errors()},
        "x-role": route.role,
    }
    if route.role != "anyone":
        operation["security"] = [{"token": []}, {}]
    if body := _body(route, schemas):
        needed = route.raw or route.body is not None or any(media["schema"]["required"] for media in body.values())
        operation["requestBody"] = {"required": needed, "content": body}
    return operation


def _parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    schema = schemas[route.request.__name__]
    in_body = route.method not in READS and not route.raw
    found = []
    for name, field in schema.get("properties", {}).items():
        in_path = f"{{{name}}}" in route.path
        if in_path or not in_body:
            required = in_path or name in schema.get("required", [])
            found.append({"name": name, "in": "path" if in_path else "query", "required": required, "schema": field})
    return found


def _body(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    if route.method in READS:
        return {}
    if route.raw:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    if route.body is not None:
        return {media: {"schema": {"$ref": _REF.format(name=route.body.__name__)}} for media in (JSON, MSGPACK)}
    schema = schemas[route.request.__name__]
    members = {name: field for name, field in schema.get("properties", {}).items() if f"{{{name}}}" not in route.path}
    if not members:
        return {}
    required = [name for name in schema.get("required", []) if name in members]
    whole = {"type": "object", "properties": members, "required": required, "additionalProperties": False}
    return {media: {"schema": whole} for media in (JSON, MSGPACK)}


def _reply(route: Route) -> dict[str, Any]:
    if route.stream == "bytes":
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    if route.reply is str:
        return {"text/plain": {"schema": {"type": "string"}}}
    schema = {"$ref": _REF.format(name=route.reply.__name__)} if route.reply is not None else {}
    if route.stream == "items":
        return {"application/x-ndjson": {"schema": schema}, "text/event-stream": {"schema": {"type": "string"}}}
    return {media: {"schema": schema} for media in (JSON, MSGPACK)}


def _errors() -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": _REF.format(name=ErrorBody.__name__)}}}
    return {status: {"description": text, "content": content} for status, text in (*_ERRORS.items(), ("default", "Any other error"))}
