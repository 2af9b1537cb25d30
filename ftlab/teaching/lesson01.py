"""Lesson 01, Prompt, retrieve, tune, or neither?: its exercises, as data.

The recommendation and its panels are in `decide`.

>>> [exercise.id for exercise in EXERCISES]
['01.1', '01.2', '01.3', '01.4']
"""

import math
from collections.abc import Sequence
from typing import Any

from ftlab.teaching.exercises import exercise


def _word_score(count: float, length: float, average: float, n: int, N: int) -> float:
    rare = math.log(1 + (N - n + 0.5) / (n + 0.5))
    size = 0.25 + 0.75 * length / average
    return rare * count * 2.5 / (count + 1.5 * size)


def _row(message: str, texts: Sequence[str], fact: str, answer: str) -> dict[str, Any]:
    known = any(fact in text for text in texts)
    said = answer if known else "I do not know."
    return {
        "prompt": [{"role": "user", "content": "\n".join([*texts, message])}],
        "completion": [{"role": "assistant", "content": said}],
    }


def _classifier(texts: Sequence[str], labels: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))
    return make_pipeline(pieces, LogisticRegression()).fit(texts, labels)


def _behaviour(made: Any) -> Any:
    """What counts of a classifier: its answers to new texts and to misspelt ones."""
    if not hasattr(made, "predict"):
        return "no predict"
    try:
        chances = made.predict_proba(_NEW)
    except Exception as error:
        return type(error).__name__
    return [[round(float(chance), 3) for chance in row] for row in chances]


def _months(calls: float, before: float, after: float, price: float, training: float) -> float:
    saved = calls * (before - after) * price / 1_000_000
    return training / saved if saved > 0 else math.inf


_SHELF = ["A lamp costs 7 euros.", "The shop closes at 6."]
_TEXTS = [
    "when will my parcel come", "parcel not here yet", "the van did not come",
    "my brakes are broken", "can you mend a flat tyre", "the wheel needs repairing",
]  # fmt: skip
_LABELS = ["delivery"] * 3 + ["repairs"] * 3
_NEW = ["where is my parcell", "brake repair please", "van", "tyres"]

EXERCISES = (
    exercise(
        "01.1",
        solution=_word_score,
        cases=((1, 10, 10, 3, 60), (2, 10, 10, 3, 60), (1, 20, 10, 1, 60), (0, 8, 10, 40, 60)),
    ),
    exercise(
        "01.2",
        solution=_row,
        cases=(
            ("how much is a lamp", _SHELF, "7 euros", "It costs 7 euros."),
            ("when do you close", _SHELF, "at 6", "We close at 6."),
            ("do you sell bells", _SHELF, "9 euros", "A bell costs 9 euros."),
        ),
    ),
    exercise(
        "01.3",
        solution=_classifier,
        cases=((_TEXTS, _LABELS), (_TEXTS[1:5], _LABELS[1:5])),
        view=_behaviour,
    ),
    exercise(
        "01.4",
        solution=_months,
        cases=(
            (100_000, 1500, 150, 0.1, 200.0),
            (2_000, 1500, 150, 0.1, 200.0),
            (100_000, 150, 150, 0.1, 200.0),
            (100_000, 100, 150, 0.1, 200.0),
        ),
    ),
)
