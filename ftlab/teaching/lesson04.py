"""Lesson 04, Data quality: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['04.1', '04.2', '04.3', '04.4', '04.5']
"""

import math

from ftlab.teaching.exercises import Exercise, Mistake


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
    Exercise(
        id="04.1",
        title="how alike two texts are",
        hints=(
            "Count two things: the pairs that both texts have, and those that at least one has.",
            "For sets, a & b is what both have and a | b what either has: len(a & b) / len(a | b).",
        ),
        solution=lambda a, b: len(a & b) / len(a | b),
        cases=(
            ({"my card", "card is"}, {"my card", "card was"}),
            ({"a b", "b c", "c d"}, {"a b", "b c"}),
            ({"a b"}, {"c d"}),
            ({"a b"}, {"a b", "b c", "c d"}),
            ({"a b", "b c"}, {"a b", "b c"}),
        ),
        mistakes=(
            Mistake(
                "it divides by the first text alone",
                lambda a, b: len(a & b) / len(a),
                "Then a is like b, and b is not like a. Divide by what either of them has.",
            ),
            Mistake(
                "it divides by the longer text",
                lambda a, b: len(a & b) / max(len(a), len(b)),
                "Below the line stands the union, all that at least one of them has.",
            ),
            Mistake(
                "it counts what they share",
                lambda a, b: len(a & b),
                "Two long texts share much by mere length. Make it a share of what either has.",
            ),
            Mistake(
                "common pairs count twice",
                lambda a, b: 2 * len(a & b) / (len(a) + len(b)),
                "That is a measure too (Dice's). Jaccard's divides by the union.",
            ),
        ),
    ),
    Exercise(
        id="04.2",
        title="drop what contradicts itself",
        hints=(
            "A row stays when all rows with its input have the same output.",
            "Collect the outputs of each input in a set; keep a row if its set has one element.",
        ),
        solution=_agreed,
        cases=(
            ([("a", "x"), ("b", "y"), ("a", "z")],),
            ([("a", "x"), ("a", "x"), ("b", "y")],),
            ([("a", "x"), ("a", "x"), ("a", "z"), ("b", "y")],),
            ([("a", "x"), ("b", "x")],),
        ),
        mistakes=(
            Mistake(
                "the first answer wins",
                _first_only,
                "Which one stands first is chance. Nobody has decided which is right, so neither "
                "can stay.",
            ),
            Mistake(
                "repeated rows go as well",
                _asked_once,
                "A row that is there twice with one and the same output contradicts nothing.",
            ),
            Mistake(
                "it keeps the contradictions",
                lambda rows: [row for row in rows if row not in _agreed(rows)],
                "Upside down: those are the rows to drop.",
            ),
            Mistake(
                "it keeps everything",
                lambda rows: list(rows),
                "An input with two outputs has to go.",
            ),
        ),
    ),
    Exercise(
        id="04.3",
        title="the effective number of areas",
        hints=(
            "First the entropy of the shares: minus the sum of share times log(share).",
            "Then math.exp of it. An area with a share of 0 adds nothing: leave it out.",
        ),
        solution=lambda shares: math.exp(_entropy(shares)),
        cases=(
            ([0.25, 0.25, 0.25, 0.25],),
            ([0.7, 0.1, 0.1, 0.1],),
            ([0.5, 0.5, 0.0, 0.0],),
            ([1.0, 0.0],),
        ),
        mistakes=(
            Mistake(
                "that is the entropy itself",
                _entropy,
                "In nats it is hard to read. math.exp of it is a number of areas.",
            ),
            Mistake(
                "it counts the areas that were hit",
                lambda shares: sum(share > 0 for share in shares),
                "Then a single dart in an area counts as much as a hundred.",
            ),
            Mistake(
                "the minus sign is missing",
                lambda shares: math.exp(-_entropy(shares)),
                "A logarithm of a share is negative; the entropy is minus the sum.",
            ),
            Mistake(
                "it is one over the sum of squares",
                lambda shares: 1 / sum(share * share for share in shares),
                "That is an effective number too (Simpson's); here it is exp of the entropy.",
            ),
        ),
    ),
    Exercise(
        id="04.4",
        title="the rule that needs no reading",
        hints=(
            "Look at the word behind: if it begins with a capital, this one ends a sentence.",
            "Keep i when words[i + 1][0].isupper(), for i in range(len(words) - 1).",
        ),
        solution=_capitals,
        cases=(
            (["Copy", "the", "file", "Return", "its", "size"],),
            (["Stop", "Wait", "for", "Anna"],),
            (["return", "its", "size"],),
            (["Close", "the", "window"],),
        ),
        mistakes=(
            Mistake(
                "it returns the capitalised word",
                lambda words: _capitals(words, back=0),
                "The end stands on the word before: one place to the left.",
            ),
            Mistake(
                "the first word counts too",
                lambda words: _capitals(words, first=0),
                "Nothing stands before the first word, so nothing can end there.",
            ),
            Mistake(
                "it returns every capitalised word",
                lambda words: _capitals(words, first=0, back=0),
                "Wanted is the word before a capital, and the first word has none before it.",
            ),
            Mistake(
                "the last word counts too",
                lambda words: [*_capitals(words), len(words) - 1],
                "The last word ends a sentence, but no capital says so: leave it out.",
            ),
        ),
    ),
    Exercise(
        id="04.5",
        title="the weight that gives a source its share",
        hints=(
            "After weighting, the source has weight * have records, and all have that + others.",
            "Solve weight * have / (weight * have + others) = share: "
            "share * others / ((1 - share) * have).",
        ),
        solution=lambda have, others, share: share * others / ((1 - share) * have),
        cases=((40, 200, 0.5), (100, 900, 0.25), (30, 60, 0.9), (50, 50, 0.5)),
        mistakes=(
            Mistake(
                "the total was taken to stay",
                lambda have, others, share: share * (have + others) / have,
                "Reading a source more often adds records, so the total grows as well.",
            ),
            Mistake(
                "it forgets how many there are",
                lambda have, others, share: share / (1 - share),
                "That would do if both sources were equally large.",
            ),
            Mistake(
                "it returns a number of records",
                lambda have, others, share: share * others / (1 - share),
                "So many records are wanted; the weight is how often each of `have` is read.",
            ),
            Mistake(
                "the sources are swapped",
                lambda have, others, share: share * have / ((1 - share) * others),
                "The small source is the one to be read more often.",
            ),
        ),
    ),
)
