"""Lesson 06, Judging data: its exercises, as data, and the check of its last step.

>>> [exercise.id for exercise in EXERCISES]
['06.1', '06.2', '06.3', '06.4']
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ftlab.teaching.exercises import exercise

if TYPE_CHECKING:
    from ftlab.curation.findings import Report

Chances = list[dict[str, float]]


def still_open(before: "Report", after: "Report", decisions: Mapping[str, str]) -> list[str]:
    """Return what is missing before a mended file may be called examined; empty when nothing is.

    Args:
        before: the doctor's report on the file as it came.
        after: its report on the mended file.
        decisions: check -> what was done about it, or why it stays.
    """
    told = [one.check for one in before.findings]
    missing = [f"{name}: write what you did about it" for name in told if not decisions.get(name)]
    missing += [
        f"{one.check}: still an error, in {one.count} lines of the mended file"
        for one in after.findings
        if one.severity == "error"
    ]
    missing += [
        f"{one.check}: new since the mending, look again"
        for one in after.findings
        if one.check not in told
    ]
    return missing + [f"{name}: the doctor found no such thing" for name in decisions.keys() - told]


def _thresholds(chances: Chances, labels: list[str]) -> dict[str, float]:
    """Return each label's mean chance over the rows that carry it."""
    own: dict[str, list[float]] = {}
    for row, label in zip(chances, labels, strict=True):
        own.setdefault(label, []).append(row[label])
    return {label: sum(values) / len(values) for label, values in own.items()}


def _above(chances: Chances, labels: list[str], least: Mapping[str, float]) -> list[int]:
    """Return the rows where the likeliest label among those that reach `least` is another one."""
    found = []
    for i, (row, label) in enumerate(zip(chances, labels, strict=True)):
        sure = [name for name in least if row[name] >= least[name]]
        if sure and max(sure, key=lambda name: row[name]) != label:
            found.append(i)
    return found


def suspects(chances: Chances, labels: list[str]) -> list[int]:
    """Return the rows whose label is probably wrong, by confident learning (exercise 06.1)."""
    return _above(chances, labels, _thresholds(chances, labels))


def _mixed(trusted: Any, others: Any, share: float, seed: int) -> Any:
    from datasets import interleave_datasets

    return interleave_datasets([trusted, others], probabilities=[share, 1 - share], seed=seed,
                               stopping_strategy="all_exhausted")  # fmt: skip


def _what_a_mixture_holds(mixture: Any) -> dict[str, Any]:
    """Return what the exercise asks of a Dataset with a column `source`."""
    sources = mixture["source"]
    return {
        "tenths that are trusted": round(10 * sources.count("trusted") / len(sources)),
        "different rows": len(set(mixture["text"])),
    }


class _Drawer:
    """A Dataset of so many rows, made when it is first used: `datasets` is slow to import."""

    def __init__(self, source: str, count: int):
        self.source, self.count = source, count

    def __deepcopy__(self, memo: Any) -> Any:
        from datasets import Dataset

        rows = [{"source": self.source, "text": f"{self.source} {i}"} for i in range(self.count)]
        return Dataset.from_list(rows)


def _weighted(losses: Any, labels: Any, weights: Any) -> Any:
    each = weights[:, None] * (labels != -100)
    return (losses * each).sum() / each.sum()


def least_sure(chances: Sequence[Sequence[float]], k: int) -> list[int]:
    """Return the k rows whose two largest chances are nearest (exercise 06.4)."""
    margins = [sorted(row)[-1] - sorted(row)[-2] for row in chances]
    return sorted(range(len(chances)), key=lambda i: margins[i])[:k]


def _row(**chances: float) -> dict[str, float]:
    return chances


_CHANCES = [
    _row(bug=0.9, login=0.05, refund=0.05), _row(bug=0.6, login=0.3, refund=0.1),
    _row(bug=0.3, login=0.5, refund=0.2), _row(bug=0.2, login=0.44, refund=0.36),
    _row(bug=0.1, login=0.1, refund=0.8), _row(bug=0.7, login=0.1, refund=0.2),
    _row(bug=0.45, login=0.28, refund=0.27),
]  # fmt: skip
_LABELS = ["bug", "bug", "login", "refund", "refund", "login", "login"]
_LOSSES = np.array([[0.5, 2.0, 9.0], [1.0, 0.25, 4.0]])
_TOKENS = np.array([[11, 12, -100], [11, -100, -100]])
_SURE = [[0.5, 0.49, 0.01], [0.46, 0.36, 0.18], [0.48, 0.27, 0.25], [0.9, 0.05, 0.05]]

EXERCISES = (
    exercise(
        "06.1",
        solution=suspects,
        cases=((_CHANCES, _LABELS), (_CHANCES[:5], _LABELS[:5]), (_CHANCES[1:], _LABELS[1:])),
    ),
    exercise(
        "06.2",
        solution=_mixed,
        cases=(
            (_Drawer("trusted", 60), _Drawer("other", 200), 0.6, 0),
            (_Drawer("trusted", 60), _Drawer("other", 200), 0.3, 1),
        ),
        view=_what_a_mixture_holds,
    ),
    exercise(
        "06.3",
        solution=_weighted,
        cases=(
            (_LOSSES, _TOKENS, np.array([3.0, 1.0])),
            (_LOSSES, _TOKENS, np.array([1.0, 1.0])),
            (_LOSSES[:, ::-1], _TOKENS[:, ::-1], np.array([0.5, 2.0])),
        ),
    ),
    exercise("06.4", solution=least_sure, cases=((_SURE, 2), (_SURE, 1), (_SURE[::-1], 3))),
)
