"""Calling a handler: what it is given, and what becomes of what it returns.

The context is injected as the first parameter when that is named `context` or typed as one; coroutine functions get the async context,
plain functions the sync one and a thread of their own. Other parameters come by their names from the run's parameters and inputs.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tracker import sync
from tracker.context import Context
from tracker.errors import InvalidRequest
from tracker.executors.convert import as_item, converted
from tracker.executors.returns import log_returned
from tracker.executors.threads import interruptible
from tracker.model.run import RunSpec

CONTEXTS = ("Context", "MLClientCtx")  # what the type of a first parameter is called that wants the context


async def call(function: Callable[..., Any], context: Context, spec: RunSpec) -> None:
    """Call a handler for a run or an iteration, and record what it returns as `spec.returns` says. Raises what the handler raises;
    InvalidRequest, when a parameter is missing. Cancelled, it cancels a coroutine function and interrupts a plain one."""
    inputs = dict(spec.inputs or {})
    wanted = dict(spec.inputs_type_hints or {})
    signature = _signature(function)
    if is_async(function):
        arguments = partial(bind, function, signature, context, sync.Context(context), inputs, wanted)
        given, named = await interruptible(arguments) if inputs else arguments()
        value = await function(*given, **named)
    else:
        plain = sync.Context(context)

        def work() -> Any:
            given, named = bind(function, signature, plain, plain, inputs, wanted)
            return function(*given, **named)

        value = await interruptible(work)
        if inspect.isawaitable(value):
            value = await value
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise InvalidRequest("the handler is a generator, of which nothing has run: have it return what it yields", field="handler")
    await log_returned(context, value, spec.returns or [])


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def bind(
    function: Callable[..., Any],
    signature: inspect.Signature | None,
    context: Any,
    reader: sync.Context,
    inputs: Mapping[str, str],
    wanted: Mapping[str, str],
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments for a handler, by position and by name. Inputs are read here, when their types ask for it."""
    if signature is None:  # something built in, which does not say what it takes
        return [], reader.parameters
    parameters, hints = list(signature.parameters.values()), _hints(function)
    given: list[Any] = []
    named: dict[str, Any] = {}
    if parameters and _wants_context(parameters[0], hints):
        first = parameters.pop(0)
        if first.kind is first.KEYWORD_ONLY:
            named[first.name] = context
        else:
            given.append(context)
    values = reader.parameters
    for parameter in parameters:
        name, kind = parameter.name, parameter.kind
        if kind is parameter.VAR_POSITIONAL:
            continue
        if kind is parameter.VAR_KEYWORD:
            taken = {other.name for other in signature.parameters.values()}
            named.update({key: value for key, value in values.items() if key not in taken})
            named.update({key: reader.get_input(key, url) for key, url in inputs.items() if key not in taken})
        elif name in inputs or name in values or parameter.default is not parameter.empty:
            value = _value(parameter, (context, reader), values, inputs, wanted.get(name) or hints.get(name))
            if kind is parameter.POSITIONAL_ONLY:
                given.append(value)
            else:
                named[name] = value
        else:
            raise InvalidRequest(
                f"{getattr(function, '__qualname__', function)} needs {name!r}, which is neither a parameter nor an input of the run: "
                f"give it as params={{{name!r}: ...}}",
                field=name,
            )
    return given, named


def _value(
    parameter: inspect.Parameter, contexts: tuple[Any, sync.Context], values: Mapping[str, Any], inputs: Mapping[str, str], hint: Any
) -> Any:
    name = parameter.name
    if name not in inputs:
        return values.get(name, parameter.default)
    context, reader = contexts
    if as_item(hint) or isinstance(inputs[name], (list, dict)):  # those that await, for a coroutine function
        return context.get_input(name, inputs[name])
    return converted(reader.get_input(name, inputs[name]), name, hint)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of the parameters; as text, where they cannot be found."""
    while isinstance(function, partial):
        function = function.func
    target = function if inspect.isroutine(function) else getattr(type(function), "__call__", function)  # noqa: B004
    try:
        return typing.get_type_hints(target)
    except Exception:  # noqa: BLE001 - names that exist for the type checker only
        return dict(getattr(target, "__annotations__", {}))


def _wants_context(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> bool:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return False
    hint = hints.get(parameter.name)
    called = hint.rpartition(".")[2] if isinstance(hint, str) else getattr(hint, "__name__", "")
    ours = isinstance(hint, str) or getattr(hint, "__module__", "").partition(".")[0] == "tracker"
    return parameter.name == "context" or (ours and called in CONTEXTS)
