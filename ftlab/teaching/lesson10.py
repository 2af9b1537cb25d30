"""Lesson 10, Rewards that a program can check: its exercises, as data, and its checks of a letter.

>>> [exercise.id for exercise in EXERCISES]
['10.1', '10.2', '10.3', '10.4', '10.5']
>>> [round(advantage, 2) for advantage in advantages([1, 0, 0, 0], 4)]
[1.5, -0.5, -0.5, -0.5]
"""

import functools
import json
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from ftlab import data, tasks
from ftlab.evaluation.mutation import Graded, grade
from ftlab.tasks.extraction import FIELDS, parse
from ftlab.teaching.exercises import exercise

# Of an answer to a letter.


def values(row: data.Row, text: str) -> dict[str, Any] | None:
    """Return the fields of an answer that are asked for and filled in; None if it is no object."""
    try:
        given = json.loads(parse(text))
    except ValueError:
        return None
    if not isinstance(given, dict):
        return None
    return {name: given[name] for name in FIELDS if given.get(name) not in (None, "")}


def made_up(row: data.Row, text: str) -> int:
    """Return how many values of an answer do not stand in the letter.

    A quantity may stand there as a word, so any whole number passes.
    """
    letter = data.prompt(row)[-1]["content"].lower()
    return sum(
        type(value) is not int if name == "quantity" else str(value).lower() not in letter
        for name, value in (values(row, text) or {}).items()
    )


def cheats(row: data.Row) -> dict[str, str]:
    """Return answers to a letter that do no work, each by its name."""
    right = data.answer(row)
    same: dict[str, Any] = dict.fromkeys(FIELDS, data.prompt(row)[-1]["content"].split()[0])
    return {
        "nothing": "",
        "broken JSON": right[:-1],
        "no values": "{}",
        "null everywhere": json.dumps(dict.fromkeys(FIELDS)),
        "one word in all fields": json.dumps(same | {"quantity": 1}),
    }


# The exercises.


def _texts(completions: Sequence[Any]) -> list[str]:
    return [messages[0]["content"] for messages in completions]


def _answers(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in texts]


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _five(rule: Callable[[str], float]) -> Callable[..., list[float]]:
    """Return a reward of each answer's text alone."""
    return lambda completions, **_: [float(rule(text)) for text in _texts(completions)]


def _is_five(text: str) -> bool:
    given = _object(text)
    return isinstance(given, dict) and set(given) == set(FIELDS)


def _is_json(text: str) -> bool:
    return _object(text) is not None or text.strip() == "null"


def _has_five(text: str) -> bool:
    given = _object(text)
    return isinstance(given, dict) and set(given) >= set(FIELDS)


def _share_of_five(text: str) -> float:
    given = _object(text)
    return len(set(given) & set(FIELDS)) / 5 if isinstance(given, dict) else 0.0


@functools.lru_cache(64)
def _graded(module: str, function: str, reference: str) -> Graded:
    return grade(module, function, reference=reference)


def _killing(rule: Callable[[Graded], float], same: bool = False) -> Callable[..., list[float]]:
    """Return a reward of each module's grade; with `same`, all on the first function."""

    def reward(
        completions: Sequence[Any], function: Sequence[str], reference: Sequence[str], **_: Any
    ) -> list[float]:
        if same:
            function, reference = [[one[0]] * len(one) for one in (function, reference)]
        columns = zip(_texts(completions), function, reference, strict=True)
        return [rule(_graded(*column)) for column in columns]

    return reward


killed = _killing(lambda graded: sum(graded.killed) / len(graded.killed))
"""The share of mutants killed, for each answer."""


def advantages(
    rewards: Sequence[float], group: int, spread: Callable[..., float] = statistics.stdev
) -> list[float]:
    """Return the advantage of each answer within its group, as TRL computes it.

    Args:
        rewards: one group after the other.
        group: answers in a group.
        spread: the standard deviation of a group's rewards.
    """
    found = []
    for at in range(0, len(rewards), group):
        ours = rewards[at : at + group]
        mean, wide = statistics.mean(ours), spread(ours)
        found += [(reward - mean) / (wide + 1e-4) for reward in ours]
    return found


def _config(answers: int, at_once: int, **other: Any) -> Any:
    from ftlab.training.config import grpo_config

    group = max(n for n in range(2, 17) if answers % n == 0)
    settings: dict[str, Any] = {
        "per_device_train_batch_size": at_once, "num_generations": group, "temperature": 1.0,
        "gradient_accumulation_steps": answers // at_once, "beta": 0.02,
    }  # fmt: skip
    return grpo_config(**settings | other)


_SETTINGS = ("per_device_train_batch_size", "gradient_accumulation_steps", "num_generations",
             "temperature", "beta")  # fmt: skip


def _paid(rule: Callable[[dict[str, Any], int], float], none: float) -> Callable[..., list[float]]:
    """Return a reward of what an answer gives and makes up; `none` for no JSON object."""

    def reward(completions: Sequence[Any], record: Sequence[str], **_: Any) -> list[float]:
        rewards = []
        for text, row in zip(_texts(completions), map(json.loads, record), strict=True):
            given = values(row, text)
            rewards.append(none if given is None else float(rule(given, made_up(row, text))))
        return rewards

    return reward


grounded = _paid(lambda given, wrong: (len(given) - 2 * wrong) / 5, -1.0)
"""A fifth for each value that stands in the letter, less a fifth for each other; -1 for no JSON."""

_ROWS = tasks.get("extraction").examples(3, seed=10)
_RIGHT = [data.answer(row) for row in _ROWS]
_LESS = json.dumps({"quantity": 2, "item": "a piano", "order": None})
_MORE = json.dumps(json.loads(_RIGHT[0]) | {"note": "urgent"})
_ASKED = _answers(_RIGHT[0], _MORE, _LESS, "[]", "null", f"Here: {_RIGHT[1]}", "Dear shop,", "{}")
_RECORDS = [json.dumps(_ROWS[0])] * len(_ASKED)

_TESTED = tasks.get("unit_tests").examples(4, seed=5)[2:]
_SOURCES = [data.prompt(row)[-1]["content"].partition("\n\n")[2] for row in _TESTED]
_REFERENCES = [data.answer(row) for row in _TESTED]
_WEAK = (
    "import unittest\nfrom target import rank_of\n\nclass TestRankOf(unittest.TestCase):\n"
    '    def test_typical(self):\n        self.assertEqual(rank_of(1), "poor")\n'
)

EXERCISES = (
    exercise(
        "10.1",
        solution=_five(_is_five),
        cases=((_ASKED,), (_answers("{", _RIGHT[2]),)),
        mistakes={
            "any JSON passes": _five(_is_json),
            "any object passes": _five(lambda text: isinstance(_object(text), dict)),
            "further fields pass": _five(_has_five),
            "part of the fields is paid": _five(_share_of_five),
            "a sentence around it passes": _five(lambda text: _is_five(parse(text))),
        },
    ),
    exercise(
        "10.2",
        solution=lambda completions, function, reference, **_: killed(
            completions, function, reference
        ),
        cases=(([*_answers(_WEAK, _REFERENCES[1])], _SOURCES, _REFERENCES),),
        mistakes={
            "the number is paid, not the share": _killing(lambda graded: float(sum(graded.killed))),
            "passing is paid": _killing(lambda graded: float(graded.passes)),
            "one function for all answers": _killing(
                lambda graded: sum(graded.killed) / len(graded.killed), same=True
            ),
            "what survives is paid": _killing(
                lambda graded: len(graded.survivors) / len(graded.killed)
            ),
        },
    ),
    exercise(
        "10.3",
        solution=lambda rewards, group: advantages(rewards, group),
        cases=(
            ([1, 0, 0, 0], 4),
            ([1, 0, 0, 0, 0.6, 0.8, 1, 0], 4),
            ([0.2, 0.8, 0.4, 0.4], 2),
        ),
        mistakes={
            "one mean for all groups": lambda rewards, group: advantages(rewards, len(rewards)),
            "the spread of a population": lambda rewards, group: advantages(
                rewards, group, statistics.pstdev
            ),
            "it is not divided by the spread": lambda rewards, group: advantages(
                rewards, group, lambda ours: 1 - 1e-4
            ),
            "the variance divides": lambda rewards, group: advantages(
                rewards, group, statistics.variance
            ),
        },
    ),
    exercise(
        "10.4",
        solution=_config,
        cases=((32, 8), (24, 4), (40, 8)),
        view=lambda args: {name: getattr(args, name) for name in _SETTINGS},
        mistakes={
            "all answers at once": lambda answers, at_once: _config(
                answers, answers, gradient_accumulation_steps=1
            ),
            "the group is what fits into memory": lambda answers, at_once: _config(
                answers, at_once, num_generations=at_once
            ),
            "answers are accumulated, not batches": lambda answers, at_once: _config(
                answers, at_once, gradient_accumulation_steps=answers
            ),
            "no KL term": lambda answers, at_once: _config(answers, at_once, beta=0.0),
        },
    ),
    exercise(
        "10.5",
        solution=lambda completions, record, **_: grounded(completions, record),
        cases=((_ASKED, _RECORDS),),
        mistakes={
            "no JSON costs nothing": _paid(lambda given, wrong: (len(given) - 2 * wrong) / 5, 0.0),
            "what stands there earns nothing": _paid(lambda given, wrong: -wrong / 5, -1.0),
            "what does not stand there costs nothing": _paid(
                lambda given, wrong: (len(given) - wrong) / 5, -1.0
            ),
            "whatever is filled in earns": _paid(lambda given, wrong: len(given) / 5, -1.0),
        },
    ),
)
