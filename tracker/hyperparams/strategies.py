"""Which combinations of parameters are tried, and in which order.

A space is a dict of a list of values per parameter. `grid` is their full product, in which the first parameter varies fastest; `list` takes
the first values of all, then the second ones, and so on; `random` picks a value for each, independently, as often as asked (so one may come
twice). Picks come from a generator seeded with a text, the run's uid: the same run would try the same again. Nothing is tried here, and no
list of a product is ever built: combinations are made one by one, after their number is known to be within bounds.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

from tracker.errors import InvalidRequest
from tracker.values import key_of

STRATEGIES = ("grid", "list", "random", "custom")
MAX_ITERATIONS = 100_000
DEFAULT_RANDOM = 10  # combinations, when nobody says how many

Space = dict[str, list[Any]]
Combination = dict[str, Any]


def space_of(hyperparams: Mapping[str, Any], field: str = "hyperparams") -> Space:
    """The space as lists. Raises InvalidRequest for what is no list, and names it."""
    if not isinstance(hyperparams, Mapping):
        raise InvalidRequest(f"{field} must be a dict of lists, not {type(hyperparams).__name__}", field=field)
    space: Space = {}
    for name, values in hyperparams.items():
        if isinstance(values, (str, bytes, Mapping, set, frozenset)) or not (isinstance(values, Sequence) or hasattr(values, "tolist")):
            raise InvalidRequest(
                f"{field}: {name!r} must be a list of the values to try, not {type(values).__name__} ({str(values)[:60]!r})", field=field
            )
        found = values.tolist() if hasattr(values, "tolist") else list(values)
        if not isinstance(found, list):
            raise InvalidRequest(f"{field}: {name!r} must be a list of the values to try, not one value", field=field)
        space[key_of(name)] = found
    return space


def count(space: Space, strategy: str, max_iterations: int | None = None) -> int:
    """How many combinations there are. Raises InvalidRequest when a space does not fit its strategy, or is too large."""
    if strategy not in STRATEGIES:
        raise InvalidRequest(f"strategy must be one of {', '.join(STRATEGIES)}, not {strategy!r}", field="strategy")
    if max_iterations is not None and strategy != "random":
        raise InvalidRequest(
            f"max_iterations is for the random strategy, not for {strategy}: that tries every combination there is", field="max_iterations"
        )
    if strategy == "custom":
        return 0
    lengths = {name: len(values) for name, values in space.items()}
    if strategy == "list" and len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InvalidRequest(f"with the list strategy all parameters need equally many values: {told}", field="hyperparams")
    if not lengths or not all(lengths.values()):
        return 0
    number = {
        "grid": prod(lengths.values()),
        "list": next(iter(lengths.values())),
        "random": DEFAULT_RANDOM if max_iterations is None else _positive(max_iterations),
    }[strategy]
    if number > MAX_ITERATIONS:
        raise InvalidRequest(
            f"{strategy} gives {number} combinations, at most {MAX_ITERATIONS} are tried: use the random strategy with max_iterations",
            field="hyperparams",
        )
    return number


def combinations(space: Space, strategy: str, *, max_iterations: int | None = None, seed: str = "") -> Iterator[Combination]:
    """The combinations, one by one; `custom` has none: its handler makes its own. Raises InvalidRequest at once, not on the way."""
    number = count(space, strategy, max_iterations)
    if strategy == "grid":
        return _grid(space, number)
    if strategy == "random":
        return _random(space, number, seed)
    return ({name: values[i] for name, values in space.items()} for i in range(number))


def _grid(space: Space, number: int) -> Iterator[Combination]:
    for i in range(number):
        combination, rest = {}, i
        for name, values in space.items():
            rest, at = divmod(rest, len(values))
            combination[name] = values[at]
        yield combination


def _random(space: Space, number: int, seed: str) -> Iterator[Combination]:
    dice = random.Random(seed)
    for _ in range(number):
        yield {name: values[dice.randrange(len(values))] for name, values in space.items()}


def _positive(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InvalidRequest(f"max_iterations must be a whole number from 1 on, not {number!r}", field="max_iterations")
    return number
