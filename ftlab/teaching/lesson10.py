"""Lesson 10, Rewards that a program can check: its exercises, as data, and its checks of a letter.

>>> [exercise.id for exercise in EXERCISES]
['10.1', '10.2', '10.3', '10.4', '10.5']
>>> [round(advantage, 2) for advantage in advantages([1, 0, 0, 0], 4)]
[1.5, -0.5, -0.5, -0.5]
"""

import functools
import json
import statistics
from collections.abc import Sequence
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


def _answers(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in texts]


def _five_fields(completions: Sequence[Any], **_: Any) -> list[float]:
    rewards = []
    for messages in completions:
        try:
            given = json.loads(messages[0]["content"])
        except ValueError:
            given = None
        rewards.append(float(isinstance(given, dict) and set(given) == set(FIELDS)))
    return rewards


@functools.lru_cache(64)
def _graded(module: str, function: str, reference: str) -> Graded:
    return grade(module, function, reference=reference)


def killed(
    completions: Sequence[Any], function: Sequence[str], reference: Sequence[str], **_: Any
) -> list[float]:
    """Return the share of mutants killed, for each answer."""
    rewards = []
    for messages, source, tests in zip(completions, function, reference, strict=True):
        graded = _graded(messages[0]["content"], source, tests)
        rewards.append(sum(graded.killed) / len(graded.killed))
    return rewards


def advantages(rewards: Sequence[float], group: int) -> list[float]:
    """Return the advantage of each answer within its group, as TRL computes it.

    Args:
        rewards: one group after the other.
        group: answers in a group.
    """
    found = []
    for at in range(0, len(rewards), group):
        ours = rewards[at : at + group]
        mean, spread = statistics.mean(ours), statistics.stdev(ours)
        found += [(reward - mean) / (spread + 1e-4) for reward in ours]
    return found


def _config(answers: int, at_once: int) -> Any:
    from ftlab.training.config import grpo_config

    group = max(n for n in range(2, 17) if answers % n == 0)
    return grpo_config(
        per_device_train_batch_size=at_once, gradient_accumulation_steps=answers // at_once,
        num_generations=group, temperature=1.0, beta=0.02,
    )  # fmt: skip


def grounded(completions: Sequence[Any], record: Sequence[str], **_: Any) -> list[float]:
    """Return a fifth for each value from the letter, less for each other; -1 for no JSON."""
    rewards = []
    for messages, text in zip(completions, record, strict=True):
        row, answer = json.loads(text), messages[0]["content"]
        given, wrong = values(row, answer), made_up(row, answer)
        rewards.append(-1.0 if given is None else (len(given) - 2 * wrong) / 5)
    return rewards


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
    exercise("10.1", _five_fields, cases=((_ASKED,), (_answers("{", _RIGHT[2]),))),
    exercise(
        "10.2", killed, cases=(([*_answers(_WEAK, _REFERENCES[1])], _SOURCES, _REFERENCES),)
    ),
    exercise("10.3", advantages),
    exercise(
        "10.4",
        _config,
        view=("per_device_train_batch_size", "gradient_accumulation_steps", "num_generations",
              "temperature", "beta"),
    ),
    exercise("10.5", grounded, cases=((_ASKED, _RECORDS),)),
)  # fmt: skip
