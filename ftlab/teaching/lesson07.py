"""Lesson 07, Evaluation: its exercises, as data, and the toys it plays with.

>>> [exercise.id for exercise in EXERCISES]
['07.1', '07.2', '07.3', '07.4', '07.5', '07.6']
>>> fee = FEES[0]
>>> fee, fee(20), fee(60)
(the true function, 5, 0)
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ftlab.errors import ConfigError
from ftlab.evaluation.intervals import SAMPLES, Interval, interval
from ftlab.teaching.exercises import exercise

if TYPE_CHECKING:
    import numpy as np

FEE = """def fee(total):
    if total >= 50:
        return 0
    return 5
"""


class Fee:
    """One version of the function `fee`; it says which when it is shown."""

    def __init__(self, name: str, function: Callable[[float], float]):
        self.name, self.function = name, function

    def __call__(self, total: float) -> float:
        """Return the fee for an order of this total."""
        return self.function(total)

    def __repr__(self) -> str:
        return self.name


FEES = (
    Fee("the true function", lambda total: 0 if total >= 50 else 5),
    Fee("the mutant 'total > 50'", lambda total: 0 if total > 50 else 5),
    Fee("the mutant 'total >= 51'", lambda total: 0 if total >= 51 else 5),
    Fee("the mutant 'total >= 49'", lambda total: 0 if total >= 49 else 5),
    Fee("the mutant 'total < 50'", lambda total: 0 if total < 50 else 5),
    Fee("the mutant 'return 1'", lambda total: 1 if total >= 50 else 5),
    Fee("the mutant 'return 6'", lambda total: 0 if total >= 50 else 6),
)
"""The function of exercise 07.5, and the faults that its tests are to notice."""


def other_names(source: str, names: Sequence[str] = ("first", "second")) -> str:
    """Return a function that does the same, with its arguments and variables named otherwise.

    >>> print(other_names("def f(n):\\n    m = n + 1\\n    return m"))
    def f(first):
        second = first + 1
        return second
    """
    import ast

    tree = ast.parse(source)
    stored = [
        node.arg if isinstance(node, ast.arg) else node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and _stores(node))
    ]
    fresh = [*names, *(f"item{k}" for k in range(len(stored)))]
    table = dict(zip(dict.fromkeys(stored), fresh, strict=False))
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.arg = table[node.arg]
        elif isinstance(node, ast.Name) and node.id in table:
            node.id = table[node.id]
    return ast.unparse(tree)


def _stores(node: object) -> bool:
    import ast

    return isinstance(getattr(node, "ctx", None), ast.Store)


def only_typical(module: str) -> str:
    """Return a test module with its first test method alone, as a lazy writer leaves it."""
    import ast

    tree = ast.parse(module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
            node.body = [item for item in node.body if item not in methods[1:]]
    return ast.unparse(tree)


def wrong_value(module: str, seed: int = 0) -> str:
    """Return a test module with one expected value replaced, as a sloppy writer gets it wrong."""
    import ast

    tree = ast.parse(module)
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "assertEqual"
    ]
    random.Random(seed).choice(calls).args[1] = ast.Constant("something else")
    return ast.unparse(tree)


# The solutions and the mistakes, as functions.


def told_apart(
    sure: Sequence[float],
    right: Sequence[bool],
    *,
    less: Sequence[float] | None = None,
    seed: int = 0,
) -> Interval:
    """Return how often a right answer is surer than a wrong one, with its bootstrap interval.

    That is the area under the ROC curve: 0.5 is blind, 1 never errs, and a tie counts half (Hanley
    and McNeil, The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC)
    Curve, 1982). Right and wrong answers are drawn anew each among themselves.

    Args:
        sure: how sure each answer is, in any unit.
        right: whether it is right.
        less: another measure of how sure; its area is taken off, draw by draw.
        seed: of the draws.

    Raises:
        ConfigError: there is no right answer, or no wrong one.

    >>> told_apart([0.9, 0.8, 0.3, 0.2], [True, False, True, False]).value
    0.75
    """
    import numpy as np

    marks = np.asarray(right, dtype=bool)
    good, bad = np.flatnonzero(marks), np.flatnonzero(~marks)
    if not (len(good) and len(bad)):
        raise ConfigError(
            f"{len(good)} answers are right and {len(bad)} wrong. Some of both are wanted."
        )

    def area(what: Sequence[float], a: "np.ndarray", b: "np.ndarray") -> float:
        gaps = np.asarray(what, dtype=float)[a][:, None] - np.asarray(what, dtype=float)[b]
        return float((gaps > 0).mean() + (gaps == 0).mean() / 2)

    def figure(a: "np.ndarray", b: "np.ndarray") -> float:
        return area(sure, a, b) - (area(less, a, b) if less is not None else 0.0)

    rng = np.random.default_rng(seed)
    draws = [figure(rng.choice(good, len(good)), rng.choice(bad, len(bad))) for _ in range(SAMPLES)]
    return interval(figure(good, bad), np.array(draws), 0.95)


def _balanced(truth: list[bool], said: list[bool]) -> float:
    shares = []
    for label in (True, False):
        mine = [s == t for t, s in zip(truth, said, strict=True) if t == label]
        shares.append(sum(mine) / len(mine))
    return sum(shares) / 2


def _accuracy(truth: list[bool], said: list[bool]) -> float:
    return sum(t == s for t, s in zip(truth, said, strict=True)) / len(truth)


def _recall(truth: list[bool], said: list[bool]) -> float:
    return sum(t and s for t, s in zip(truth, said, strict=True)) / sum(truth)


def _middle(draws: list[float], cut: float = 0.025) -> list[float]:
    ordered = sorted(draws)
    k = round(cut * len(ordered))
    return [ordered[k], ordered[-1 - k]]


def _gap(a: list[float], b: list[float], drawn: list[int]) -> float:
    return sum(b[i] - a[i] for i in drawn) / len(drawn)


def _advice(low: float, high: float, matters: float) -> str:
    if low >= matters:
        return "worth it"
    return "not worth it" if high < matters else "more examples"


def _passes(fee: Callable[[float], float]) -> bool:
    return fee(49) == 5 and fee(50) == 0


def _price(tokens_in: float, tokens_out: float, price_in: float, price_out: float) -> float:
    return (tokens_in * price_in + tokens_out * price_out) / 1000


_URGENT = [True, False, False, False, False, True, False, False]
# So many draws, so far from zero, that every usual definition of a quantile says about the same;
# neighbours are alike, so that who forgets to sort is told so, whichever positions he takes.
_DRAWS = [1 + (k + 700) % 2000 / 2000 for k in range(2000)]
_SKEWED = [1 + ((k + 1200) % 2000 / 2000) ** 2 for k in range(2000)]

EXERCISES = (
    exercise(
        "07.1",
        solution=_balanced,
        cases=(
            (_URGENT, [False] * 8),
            (_URGENT, [True, False, False, True, True, True, False, False]),
            (_URGENT, [True, False, False, False, False, False, False, False]),
            ([True, True, True, False], [True, False, True, True]),
        ),
        mistakes={
            "that is plain accuracy": _accuracy,
            "it looks at the urgent tickets only": _recall,
            "it adds the two and does not halve": lambda truth, said: 2 * _balanced(truth, said),
            "it looks at the ordinary tickets only": lambda truth, said: (
                2 * _balanced(truth, said) - _recall(truth, said)
            ),
        },
    ),
    exercise(
        "07.2",
        solution=_middle,
        cases=((_DRAWS,), (_SKEWED,), ([-x for x in _SKEWED],)),
        mistakes={
            "it cuts 5 % at each end": lambda draws: _middle(draws, 0.05),
            "it cuts 5 % at the upper end alone": lambda draws: [
                min(draws),
                _middle(draws, 0.05)[1],
            ],
            "it cuts 5 % at the lower end alone": lambda draws: [
                _middle(draws, 0.05)[0],
                max(draws),
            ],
            "it cuts nothing": lambda draws: [min(draws), max(draws)],
            "it does not sort": lambda draws: [
                draws[round(0.025 * len(draws))],
                draws[-1 - round(0.025 * len(draws))],
            ],
            "it is the mean and two standard deviations": lambda draws: [
                (mean := sum(draws) / len(draws))
                - 1.96 * (sd := math.sqrt(sum((x - mean) ** 2 for x in draws) / len(draws))),
                mean + 1.96 * sd,
            ],
        },
        tolerance=0.003,
    ),
    exercise(
        "07.3",
        solution=_gap,
        cases=(
            ([0, 1, 0, 1], [1, 1, 0, 1], [0, 0, 3, 1]),
            ([0, 1, 0, 1], [1, 1, 0, 0], [3, 3, 3, 2]),
            ([1, 1, 0], [0, 1, 1], [0, 2, 2]),
        ),
        mistakes={
            "it does not use the draw": lambda a, b, drawn: _gap(a, b, list(range(len(a)))),
            "it counts each drawn position once": lambda a, b, drawn: _gap(
                a, b, sorted(set(drawn))
            ),
            "a and b are swapped": lambda a, b, drawn: _gap(b, a, drawn),
            "it adds up and does not divide": lambda a, b, drawn: _gap(a, b, drawn) * len(drawn),
        },
    ),
    exercise(
        "07.4",
        solution=_advice,
        cases=(
            (0.06, 0.12, 0.05),
            (0.01, 0.03, 0.05),
            (0.01, 0.12, 0.05),
            (-0.04, 0.02, 0.05),
            (-0.04, 0.09, 0.05),
            (-0.2, -0.1, 0.05),
            (0.05, 0.2, 0.05),
        ),
        mistakes={
            "it compares with zero": lambda low, high, matters: (
                "worth it" if low > 0 else "not worth it" if high < 0 else "more examples"
            ),
            "it looks at the middle only": lambda low, high, matters: (
                "worth it" if (low + high) / 2 >= matters else "not worth it"
            ),
            "it looks at the upper end only": lambda low, high, matters: (
                "worth it" if high >= matters else "not worth it"
            ),
            "it never says not worth it": lambda low, high, matters: (
                "worth it" if low >= matters else "more examples"
            ),
        },
    ),
    exercise(
        "07.5",
        solution=_passes,
        cases=tuple((fee,) for fee in FEES),
        mistakes={
            "it tries typical totals only": lambda fee: fee(20) == 5 and fee(80) == 0,
            "it tries the boundary from above only": lambda fee: fee(50) == 0,
            "it tries the boundary from below only": lambda fee: fee(49) == 5,
            "it fails on the true function": lambda fee: fee(49) == 5 and fee(50) == 5,
            "it says True to everything": lambda fee: True,
        },
    ),
    exercise(
        "07.6",
        solution=_price,
        cases=((100, 20, 0.5, 2.0), (900, 20, 0.5, 2.0), (40, 200, 1.0, 3.0)),
        mistakes={
            "that is one answer": lambda i, o, pi, po: _price(i, o, pi, po) / 1000,
            "it takes prices as of 1,000 tokens": lambda i, o, pi, po: _price(i, o, pi, po) * 1000,
            "it forgets the prompt": lambda i, o, pi, po: _price(0, o, pi, po),
            "it forgets the answer": lambda i, o, pi, po: _price(i, 0, pi, po),
            "it takes one price for both": lambda i, o, pi, po: _price(i, o, pi, pi),
        },
    ),
)
