"""Calls to try on a function, when it is asked whether another function does the same.

They are made from calls that are known to make sense, such as those of its tests: each argument in
turn is moved a step, emptied, shortened, turned round, or set to a number that the function's
source compares with, since that is where small faults show.

>>> probes_near([[4]], "def f(n):\\n    return n > 7\\n", "f")
[[5], [3], [0], [1], [-4], [8], [7], [6]]
"""

import ast
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

from ftlab.evaluation.mutants import spread
from ftlab.tasks.unit_tests import tree_of

MOST = 200  # probes made for a function, beside the given calls
COMMON: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 7, 10, 25, 0.5, -2.5, "", "a", "level", "Hello world", "12", True, [], [1],
    [3, 1, 2, 2], [5, -4, 0, 9], ["a", "bb", "a"], (), (1, 2, 3), {}, {"a": 1, "b": 2}, {1, 2},
)  # fmt: skip
"""What is tried where no call is known."""


def calls_in(source: str, function: str) -> Iterator[list[Any]]:
    """Give the arguments of the calls of a function in a source, where all are literals.

    >>> list(calls_in("assert f(2, 'a') == f(x, 1)", "f"))
    [[2, 'a']]
    """
    for node in ast.walk(tree_of(source) or ast.Module([], [])):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function and not node.keywords:
            try:
                yield [ast.literal_eval(argument) for argument in node.args]
            except (ValueError, TypeError):
                continue


def probes_near(calls: Sequence[Sequence[Any]], target: str, function: str) -> list[list[Any]]:
    """Return at most `MOST` calls near the given ones, no two alike, always the same ones.

    Where no call is given, they have values of all common types.
    """
    tree = ast.parse(target)
    if not calls:
        named = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == function]
        return _common_calls(len(named[0].args.args) if named else 0)
    texts = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}  # docstrings
    found = {n.value: 0 for n in ast.walk(tree) if isinstance(n, ast.Constant)
             and type(n.value) in (int, float, str) and id(n) not in texts}  # fmt: skip
    numbers = [c for c in found if isinstance(c, int)][:4]
    constants = [*found, *(a * b for a, b in itertools.combinations(numbers, 2))]
    made = []
    for call in calls:
        for at, value in enumerate(call):
            others = [*_near(value), *(v for c in constants for v in _at(c, value))]
            others += [v for v in call[:at] if type(v) is type(value)]
            made += [[*call[:at], other, *call[at + 1 :]] for other in others]
    if len({len(call) for call in calls}) == 1:  # the first argument of one, the second of another
        made += map(list, itertools.islice(itertools.product(*zip(*calls, strict=True)), 20))
    known = set(map(repr, map(list, calls)))
    return spread([p for p in {repr(p): p for p in made}.values() if repr(p) not in known], MOST)


def _common_calls(arity: int) -> list[list[Any]]:
    """Return calls with values of all common types."""
    if arity < 3:
        return [list(call) for call in itertools.product(COMMON, repeat=arity)]
    rng = random.Random(0)
    return [[rng.choice(COMMON) for _ in range(arity)] for _ in range(5 * MOST)]


def _near(value: Any) -> list[Any]:
    """Return values like this one: a step away, empty, shorter, longer, the other way round."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 0, 1, -value, 2 * value]
    if isinstance(value, float):
        return [value + 0.5, value - 0.5, 0.0, -value, value + 0.1357]
    if isinstance(value, str):
        mirrored = value.capitalize() + value[::-1].lower()
        return ["", value[:1], value[:-1], value[::-1], value * 2, value.swapcase(), f" {value} ",
                mirrored]  # fmt: skip
    if isinstance(value, (list, tuple)):
        ends = sorted({0, len(value) - 1}) if value else []
        inner = [[*value[:i], v, *value[i + 1 :]] for i in ends for v in _near(value[i])[:3]]
        outer = [value[:0], value[:-1], value[1:], value[::-1], value * 2]
        return [*outer, *map(type(value), inner)]
    if isinstance(value, dict) and value:
        first = next(iter(value))
        rest = {key: item for key, item in value.items() if key != first}
        return [{}, rest, *({**value, first: item} for item in _near(value[first])[:3])]
    if isinstance(value, set) and value:
        return [set(), value - {min(value, key=repr)}]
    return []


def _at(constant: Any, value: Any) -> list[Any]:
    """Return values of the type of `value` at the boundary that a constant of the source sets."""
    if isinstance(value, list) and value:
        inner = _at(constant, value[0])
        rows = [[v, *value[1:]] for v in inner]
        # As long as the constant, and one element that is at the boundary.
        short = isinstance(constant, int) and 0 < constant < 100
        return [*rows, *([v] for v in inner), *([value[:1] * constant] if short else [])]
    if isinstance(value, dict) and value:
        first = next(iter(value))
        return [{**value, first: item} for item in _at(constant, value[first])]
    if isinstance(constant, str):
        return [constant, f"{value}{constant}"] if isinstance(value, str) else []
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [constant, constant - 1, constant + 1]
    if isinstance(value, str) and isinstance(constant, int) and 0 < constant < 100:
        long = (value or "ab") * constant
        return [long, long[:constant], long[:1] * constant]
    return []
