"""Lesson 01, Prompt, retrieve, tune, or neither?: its exercises, as data.

The recommendation and its panels are in `decide`.

>>> [exercise.id for exercise in EXERCISES]
['01.1', '01.2', '01.3', '01.4']
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from ftlab.teaching.exercises import exercise

# The solutions and the mistakes, as functions.


def _word_score(
    count: float, length: float, average: float, n: int, N: int, *, size: float | None = None
) -> float:
    size = 0.25 + 0.75 * length / average if size is None else size
    return _rare(n, N) * count * 2.5 / (count + 1.5 * size)


def _rare(n: int, N: int) -> float:
    return math.log(1 + (N - n + 0.5) / (n + 0.5))


def _row(
    message: str, texts: Sequence[str], fact: str, answer: str, *, abstain: bool | None = None
) -> dict[str, Any]:
    if abstain is None:
        abstain = not any(fact in text for text in texts)
    return {
        "prompt": [{"role": "user", "content": "\n".join([*texts, message])}],
        "completion": [{"role": "assistant", "content": "I do not know." if abstain else answer}],
    }


def _only_the_first(message: str, texts: Sequence[str], fact: str, answer: str) -> dict[str, Any]:
    return _row(message, texts, fact, answer, abstain=not texts or fact not in texts[0])


def _without_texts(message: str, texts: Sequence[str], fact: str, answer: str) -> dict[str, Any]:
    return {**_row(message, texts, fact, answer), "prompt": _row(message, [], "", "")["prompt"]}


def _message_first(message: str, texts: Sequence[str], fact: str, answer: str) -> dict[str, Any]:
    made = _row(message, texts, fact, answer)
    made["prompt"][0]["content"] = "\n".join([message, *texts])
    return made


def _as_text(message: str, texts: Sequence[str], fact: str, answer: str) -> dict[str, Any]:
    made = _row(message, texts, fact, answer)
    return {**made, "completion": made["completion"][0]["content"]}


def _classifier(
    texts: Sequence[str], labels: Sequence[str], *, fitted: bool = True, **pieces: Any
) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    how = {"analyzer": "char_wb", "ngram_range": (3, 5)} | pieces
    made = make_pipeline(TfidfVectorizer(**how), LogisticRegression())
    return made.fit(texts, labels) if fitted else made


def _on_labels(texts: Sequence[str], labels: Sequence[str]) -> Any:
    return _classifier(labels, labels)


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
        mistakes={
            "every word counts the same": lambda c, length, a, n, N: (
                _word_score(c, length, a, n, N) / _rare(n, N)
            ),
            "the second time counts as much as the first": lambda c, length, a, n, N: (
                c * _word_score(1, length, a, n, N)
            ),
            "long entries do not count less": partial(_word_score, size=1),
        },
    ),
    exercise(
        "01.2",
        solution=_row,
        cases=(
            ("how much is a lamp", _SHELF, "7 euros", "It costs 7 euros."),
            ("when do you close", _SHELF, "at 6", "We close at 6."),
            ("do you sell bells", _SHELF, "9 euros", "A bell costs 9 euros."),
        ),
        mistakes={
            "it never abstains": partial(_row, abstain=False),
            "it looks at the first text only": _only_the_first,
            "it abstains when the fact is there": lambda m, t, f, a: _row(
                m, t, f, a, abstain=any(f in text for text in t)
            ),
            "the texts are not in the prompt": _without_texts,
            "the message comes before the texts": _message_first,
            "the completion is a text": _as_text,
        },
    ),
    exercise(
        "01.3",
        solution=_classifier,
        cases=((_TEXTS, _LABELS), (_TEXTS[1:5], _LABELS[1:5])),
        view=_behaviour,
        mistakes={
            "it was not trained": partial(_classifier, fitted=False),
            "it counts whole words": partial(_classifier, analyzer="word", ngram_range=(1, 1)),
            "the pieces have another length": partial(_classifier, ngram_range=(1, 1)),
            "it was trained on the labels": _on_labels,
        },
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
        mistakes={
            "the price is taken as of 1,000 tokens": lambda c, b, a, p, t: _months(
                c, b, a, p * 1000, t
            ),
            "it forgets that the short prompt is paid as well": lambda c, b, a, p, t: _months(
                c, b, 0, p, t
            ),
            "it does not know 'never'": lambda c, b, a, p, t: t / (c * (b - a) * p / 1_000_000),
            "it is one call and not a month": lambda c, b, a, p, t: _months(1, b, a, p, t),
            "it rounds up to whole months": lambda c, b, a, p, t: (
                math.ceil(_months(c, b, a, p, t)) if b > a else math.inf
            ),
        },
    ),
)
