"""Lesson 06, Data quality: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['06.1', '06.2', '06.3', '06.4', '06.5']
"""

import math

from ftlab.teaching.exercises import exercise


def _agreed(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [row for row in rows if len({b for a, b in rows if a == row[0]}) == 1]


def _first_only(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    known: dict[str, str] = {}
    return [row for row in rows if known.setdefault(row[0], row[1]) == row[1]]


def _asked_once(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [row for row in rows if [a for a, _ in rows].count(row[0]) == 1]


def _entropy(shares: list[float]) -> float:
    return -sum(share * math.log(share) for share in shares if share > 0)


def _capitals(words: list[str], first: int = 1, back: int = 1) -> list[int]:
    return [i - back for i in range(first, len(words)) if words[i][0].isupper()]


EXERCISES = (
    exercise(
        "06.1",
        solution=lambda a, b: len(a & b) / len(a | b),
        cases=(
            ({"my card", "card is"}, {"my card", "card was"}),
            ({"a b", "b c", "c d"}, {"a b", "b c"}),
            ({"a b"}, {"c d"}),
            ({"a b"}, {"a b", "b c", "c d"}),
            ({"a b", "b c"}, {"a b", "b c"}),
        ),
        mistakes={
            "it divides by the first text alone": lambda a, b: len(a & b) / len(a),
            "it divides by the longer text": lambda a, b: len(a & b) / max(len(a), len(b)),
            "it counts what they share": lambda a, b: len(a & b),
            "common pairs count twice": lambda a, b: 2 * len(a & b) / (len(a) + len(b)),
        },
    ),
    exercise(
        "06.2",
        solution=_agreed,
        cases=(
            ([("a", "x"), ("b", "y"), ("a", "z")],),
            ([("a", "x"), ("a", "x"), ("b", "y")],),
            ([("a", "x"), ("a", "x"), ("a", "z"), ("b", "y")],),
            ([("a", "x"), ("b", "x")],),
        ),
        mistakes={
            "the first answer wins": _first_only,
            "repeated rows go as well": _asked_once,
            "it keeps the contradictions": lambda rows: [
                row for row in rows if row not in _agreed(rows)
            ],
            "it keeps everything": lambda rows: list(rows),
        },
    ),
    exercise(
        "06.3",
        solution=lambda shares: math.exp(_entropy(shares)),
        cases=(
            ([0.25, 0.25, 0.25, 0.25],),
            ([0.7, 0.1, 0.1, 0.1],),
            ([0.5, 0.5, 0.0, 0.0],),
            ([1.0, 0.0],),
        ),
        mistakes={
            "that is the entropy itself": _entropy,
            "it counts the areas that were hit": lambda shares: sum(share > 0 for share in shares),
            "the minus sign is missing": lambda shares: math.exp(-_entropy(shares)),
            "it is one over the sum of squares": lambda shares: (
                1 / sum(share * share for share in shares)
            ),
        },
    ),
    exercise(
        "06.4",
        solution=_capitals,
        cases=(
            (["Copy", "the", "file", "Return", "its", "size"],),
            (["Stop", "Wait", "for", "Anna"],),
            (["return", "its", "size"],),
            (["Close", "the", "window"],),
        ),
        mistakes={
            "it returns the capitalised word": lambda words: _capitals(words, back=0),
            "the first word counts too": lambda words: _capitals(words, first=0),
            "it returns every capitalised word": lambda words: _capitals(words, first=0, back=0),
            "the last word counts too": lambda words: [*_capitals(words), len(words) - 1],
        },
    ),
    exercise(
        "06.5",
        solution=lambda have, others, share: share * others / ((1 - share) * have),
        cases=((40, 200, 0.5), (100, 900, 0.25), (30, 60, 0.9), (50, 50, 0.5)),
        mistakes={
            "the total was taken to stay": lambda have, others, share: (
                share * (have + others) / have
            ),
            "it forgets how many there are": lambda have, others, share: share / (1 - share),
            "it returns a number of records": lambda have, others, share: (
                share * others / (1 - share)
            ),
            "the sources are swapped": lambda have, others, share: (
                share * have / ((1 - share) * others)
            ),
        },
    ),
)
