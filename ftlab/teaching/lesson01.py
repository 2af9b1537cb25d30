"""Lesson 01, When to fine-tune: its exercises, as data.

The orders and the patterns are in `orders`, the invented facts in `invented`, the recommendation in
`decide`, and its panels in `deciding`.

>>> [exercise.id for exercise in EXERCISES]
['01.1', '01.2', '01.3', '01.4', '01.5']
"""

import math
import re
from collections.abc import Sequence

from ftlab.teaching.exercises import exercise

# The solutions and the mistakes, as functions.


def _ends_as_it_began(text: str) -> bool:
    words = text.strip(".!?").split()
    return words[-1] == words[0].upper()


def _is_right(number: str, answer: str) -> bool:
    found = re.findall(r"\d+", answer)
    return bool(found) and found[0] == number


def _shared(question: str, text: str) -> int:
    return len(set(question.lower().split()) & set(text.lower().split()))


def _nearest(question: str, texts: Sequence[str]) -> str:
    return max(texts, key=lambda text: _shared(question, text))


def _months(calls: float, before: float, after: float, price: float, training: float) -> float:
    saved = calls * (before - after) * price / 1_000_000
    return training / saved if saved > 0 else math.inf


def _advise(satisfied: bool, facts: bool, pattern: bool) -> str:
    if satisfied:
        return "prompt"
    if facts:
        return "both" if pattern else "retrieval"
    return "fine-tune" if pattern else "prompt"


_SHELF = [
    "the tower of Harlow is 318 metres high",
    "the bridge of Harlow is 472 metres long",
    "the bridge of Merrow is 905 metres long",
]
_ASKED = "how long is the bridge of Harlow"
_BITS = (True, False)

EXERCISES = (
    exercise(
        "01.1",
        solution=_ends_as_it_began,
        cases=(
            ("Friday it is for the 3 red lamps, FRIDAY.",),
            ("Friday it is.",),
            ("Monday suits us, Monday.",),
            ("Monday suits us, FRIDAY!",),
            ("Friday is FRIDAY at last.",),
            ("Tuesday it is, TUESDAY",),
        ),
        mistakes={
            "it does not look at the capitals": lambda text: (
                text.strip(".!?").split()[-1].lower() == text.split()[0].lower()
            ),
            "the full stop is still on the last word": lambda text: (
                text.split()[-1] == text.split()[0].upper()
            ),
            "any word in capitals will do": lambda text: text.strip(".!?").split()[-1].isupper(),
            "the word may stand anywhere": lambda text: text.split()[0].upper() in text,
        },
    ),
    exercise(
        "01.2",
        solution=_is_right,
        cases=(
            ("472", "The bridge of Marley is 472 metres long."),
            ("472", "It is 1472 metres."),
            ("472", "It is 318, or 472."),
            ("472", "I do not know."),
            ("472", "472"),
            ("472", "It is 318 metres."),
        ),
        mistakes={
            "part of a number counts": lambda number, answer: number in answer,
            "any number in the answer counts": lambda number, answer: (
                number in re.findall(r"\d+", answer)
            ),
            "it stops where there is no number": lambda number, answer: (
                re.findall(r"\d+", answer)[0] == number
            ),
            "it returns None where there is no number": lambda number, answer: (
                (found := re.search(r"\d+", answer)) and found.group() == number
            ),
            "it returns an empty list where there is no number": lambda number, answer: (
                (found := re.findall(r"\d+", answer)) and found[0] == number
            ),
        },
    ),
    exercise(
        "01.3",
        solution=_nearest,
        cases=(
            (_ASKED, _SHELF),
            (_ASKED.upper(), _SHELF),
            (_ASKED, ["the the the the the the the the of", _SHELF[1]]),
            (
                _ASKED,
                [
                    "pack my box with five dozen liquor jugs",
                    "the mill of Merrow is said to be the oldest mill of all in the whole land",
                    _SHELF[1],
                ],
            ),
        ),
        mistakes={
            "capitals make words different": lambda question, texts: max(
                texts, key=lambda text: len(set(question.split()) & set(text.split()))
            ),
            "a word that comes again counts again": lambda question, texts: max(
                texts,
                key=lambda text: sum(
                    word in question.lower().split() for word in text.lower().split()
                ),
            ),
            "it compares letters": lambda question, texts: max(
                texts, key=lambda text: len(set(question.lower()) & set(text.lower()))
            ),
            "it takes the longest text": lambda question, texts: max(texts, key=len),
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
    exercise(
        "01.5",
        solution=_advise,
        cases=tuple((a, b, c) for a in _BITS for b in _BITS for c in _BITS),
        mistakes={
            "it tunes to teach facts": lambda satisfied, facts, pattern: (
                "prompt" if satisfied or not (facts or pattern) else "fine-tune"
            ),
            "it does not stop when the prompt is enough": lambda satisfied, facts, pattern: _advise(
                False, facts, pattern
            ),
            "it never combines the two": lambda satisfied, facts, pattern: _advise(
                satisfied, facts, pattern and not facts
            ),
            "it tunes without a reason": lambda satisfied, facts, pattern: (
                "fine-tune"
                if not (satisfied or facts or pattern)
                else _advise(satisfied, facts, pattern)
            ),
        },
    ),
)
