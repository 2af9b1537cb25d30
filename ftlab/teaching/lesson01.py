"""Lesson 01, When to fine-tune: its exercises, as data.

The orders and the patterns are in `orders`, the invented facts in `invented`, the recommendation in
`decide`, and its panels in `deciding`.

>>> [exercise.id for exercise in EXERCISES]
['01.1', '01.2', '01.3', '01.4', '01.5']
"""

import math
import re
from collections.abc import Sequence

from ftlab.teaching.exercises import Exercise, Mistake

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
    Exercise(
        id="01.1",
        title="a pattern that a program can check",
        hints=(
            "Take the end mark away with text.strip('.!?'), then split into words.",
            "words[-1] == words[0].upper(), where words = text.strip('.!?').split().",
        ),
        solution=_ends_as_it_began,
        cases=(
            ("Friday it is for the 3 red lamps, FRIDAY.",), ("Friday it is.",),
            ("Monday suits us, Monday.",), ("Monday suits us, FRIDAY!",),
            ("Friday is FRIDAY at last.",), ("Tuesday it is, TUESDAY",),
        ),
        mistakes=(
            Mistake(
                "it does not look at the capitals",
                lambda text: (
                    text.strip(".!?").split()[-1].lower() == text.split()[0].lower()
                ),
                "The last word is to be the first one in capitals: compare with .upper().",
            ),
            Mistake(
                "the full stop is still on the last word",
                lambda text: text.split()[-1] == text.split()[0].upper(),
                "'FRIDAY.' is not 'FRIDAY': strip the end mark first.",
            ),
            Mistake(
                "any word in capitals will do",
                lambda text: text.strip(".!?").split()[-1].isupper(),
                "It has to be the first word that comes back.",
            ),
            Mistake(
                "the word may stand anywhere",
                lambda text: text.split()[0].upper() in text,
                "It has to be the last word, not just one of them.",
            ),
        ),
    ),
    Exercise(
        id="01.2",
        title="when a number is right",
        hints=(
            "re.findall(r'\\d+', answer) gives the whole numbers in it.",
            "Right when there is a number, and the first one equals `number`.",
        ),
        solution=_is_right,
        cases=(
            ("472", "The bridge of Marley is 472 metres long."), ("472", "It is 1472 metres."),
            ("472", "It is 318, or 472."), ("472", "I do not know."), ("472", "472"),
            ("472", "It is 318 metres."),
        ),
        mistakes=(
            Mistake(
                "part of a number counts",
                lambda number, answer: number in answer,
                "472 is a part of 1472 as well. Compare whole numbers.",
            ),
            Mistake(
                "any number in the answer counts",
                lambda number, answer: number in re.findall(r"\d+", answer),
                "Who lists many numbers would be right now and then. Take the first.",
            ),
            Mistake(
                "it stops where there is no number",
                lambda number, answer: re.findall(r"\d+", answer)[0] == number,
                "An answer without a number is wrong, and no error: look whether there is one.",
            ),
            Mistake(
                "it returns None where there is no number",
                lambda number, answer: (
                    (found := re.search(r"\d+", answer)) and found.group() == number
                ),
                "`found and ...` is `found` itself where nothing was found. False is wanted: "
                "write bool(found) and ....",
            ),
            Mistake(
                "it returns an empty list where there is no number",
                lambda number, answer: (
                    (found := re.findall(r"\d+", answer)) and found[0] == number
                ),
                "`found and ...` is `found` itself where nothing was found. False is wanted: "
                "write bool(found) and ....",
            ),
        ),
    ),
    Exercise(
        id="01.3",
        title="the text that shares most words",
        hints=(
            "Make a set of the words of each, in lower case, and count what is in both.",
            "max(texts, key=...), where the key is the size of "
            "set(question.lower().split()) & set(text.lower().split()).",
        ),
        solution=_nearest,
        cases=(
            (_ASKED, _SHELF), (_ASKED.upper(), _SHELF),
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
        mistakes=(
            Mistake(
                "capitals make words different",
                lambda question, texts: max(
                    texts, key=lambda text: len(set(question.split()) & set(text.split()))
                ),
                "HARLOW and Harlow are the same place: use .lower() on both.",
            ),
            Mistake(
                "a word that comes again counts again",
                lambda question, texts: max(
                    texts,
                    key=lambda text: sum(
                        word in question.lower().split() for word in text.lower().split()
                    ),
                ),
                "A text would win by saying 'the' often. Count each word once: use sets.",
            ),
            Mistake(
                "it compares letters",
                lambda question, texts: max(
                    texts, key=lambda text: len(set(question.lower()) & set(text.lower()))
                ),
                "A set of a string is its letters. Split into words first.",
            ),
            Mistake(
                "it takes the longest text",
                lambda question, texts: max(texts, key=len),
                "Long texts are not nearer. Count the words that are in both.",
            ),
        ),
    ),
    Exercise(
        id="01.4",
        title="months until the training is paid back",
        hints=(
            "What does one month save? Calls, times tokens saved, times the price of a token.",
            "saved = calls * (before - after) * price / 1_000_000; "
            "training / saved, or math.inf when saved is not above zero.",
        ),
        solution=_months,
        cases=(
            (100_000, 1500, 150, 0.1, 200.0), (2_000, 1500, 150, 0.1, 200.0),
            (100_000, 150, 150, 0.1, 200.0), (100_000, 100, 150, 0.1, 200.0),
        ),
        mistakes=(
            Mistake(
                "the price is taken as of 1,000 tokens",
                lambda c, b, a, p, t: _months(c, b, a, p * 1000, t),
                "The price is of a million tokens.",
            ),
            Mistake(
                "it forgets that the short prompt is paid as well",
                lambda c, b, a, p, t: _months(c, b, 0, p, t),
                "Only the tokens that fall away are saved: before less after.",
            ),
            Mistake(
                "it does not know 'never'",
                lambda c, b, a, p, t: t / (c * (b - a) * p / 1_000_000),
                "Where nothing is saved it never pays: return math.inf.",
            ),
            Mistake(
                "it is one call and not a month",
                lambda c, b, a, p, t: _months(1, b, a, p, t),
                "A month has so many calls: multiply.",
            ),
            Mistake(
                "it rounds up to whole months",
                lambda c, b, a, p, t: (
                    math.ceil(_months(c, b, a, p, t)) if b > a else math.inf
                ),
                "Here the fraction is wanted: do not round.",
            ),
        ),
    ),
    Exercise(
        id="01.5",
        title="three questions, and what to do",
        hints=(
            "Ask in this order: is the prompt enough? Are facts missing? Is a pattern missing?",
            "satisfied: 'prompt'. facts and pattern: 'both'. facts: 'retrieval'. "
            "pattern: 'fine-tune'. None of them: 'prompt'.",
        ),
        solution=_advise,
        cases=tuple((a, b, c) for a in _BITS for b in _BITS for c in _BITS),
        mistakes=(
            Mistake(
                "it tunes to teach facts",
                lambda satisfied, facts, pattern: (
                    "prompt" if satisfied or not (facts or pattern) else "fine-tune"
                ),
                "Facts are looked up and put into the prompt; that is 'retrieval'.",
            ),
            Mistake(
                "it does not stop when the prompt is enough",
                lambda satisfied, facts, pattern: _advise(False, facts, pattern),
                "When a prompt satisfies, there is nothing left to do.",
            ),
            Mistake(
                "it never combines the two",
                lambda satisfied, facts, pattern: _advise(
                    satisfied, facts, pattern and not facts
                ),
                "Where facts and a pattern are missing, the answer is 'both'.",
            ),
            Mistake(
                "it tunes without a reason",
                lambda satisfied, facts, pattern: (
                    "fine-tune"
                    if not (satisfied or facts or pattern)
                    else _advise(satisfied, facts, pattern)
                ),
                "Where neither facts nor a pattern are missing, work on the prompt.",
            ),
        ),
    ),
)  # fmt: skip
