"""Where a metric lies: three small examples, computed when they are asked for, never quoted.

>>> for row in bleu_on_code():
...     print(f"{row.what:28} BLEU {row.figure:5.1f}   {row.truth}")
one sign changed             BLEU  ...   wrong
other names, another order   BLEU  ...   right
"""

import math
from collections import Counter
from typing import NamedTuple

from ftlab.evaluation.metrics import bleu

REFERENCE = """def discount(price, rate):
    if rate < 0 or rate > 1:
        raise ValueError("rate")
    return round(price * (1 - rate), 2)
"""
WRONG = REFERENCE.replace("(1 - rate)", "(1 + rate)")
RIGHT = """def discount(cost, share):
    if 0 <= share <= 1:
        left = 1 - share
        return round(left * cost, 2)
    raise ValueError("rate")
"""
TEXT = (
    "a model that reads letters is asked for one of thirty at a time, and one that reads words for "
    "one of thousands, so the second is wrong more often at each step though it takes fewer steps; "
    "what they have in common is the page, and how many bits each of them needs to write it down"
)


class Row(NamedTuple):
    """One system: what it is, what the metric says, and what is true."""

    what: str
    figure: float
    truth: str


def bleu_on_code() -> list[Row]:
    """Compare BLEU with running the code: the answer with the higher BLEU is the wrong one.

    Returns:
        A function that differs from the reference by one sign, and one that does the same in other
        words; `truth` is whether it returns what the reference does, found by calling both.
    """
    answers = {"one sign changed": WRONG, "other names, another order": RIGHT}
    tries = [(10.0, 0.2), (3.0, 0.0), (8.0, 1.0), (8.0, 1.5), (8.0, -0.5)]

    def results(source: str) -> list[float | str]:
        space: dict = {}
        exec(source, space)  # one of the three above
        found: list[float | str] = []
        for price, rate in tries:
            try:
                found.append(space["discount"](price, rate))
            except ValueError as error:
                found.append(str(error))
        return found

    return [
        Row(name, bleu([source], [REFERENCE]),
            "right" if results(source) == results(REFERENCE) else "wrong")
        for name, source in answers.items()
    ]  # fmt: skip


class Rates(NamedTuple):
    """What three metrics say of one classifier."""

    what: str
    accuracy: float
    balanced_accuracy: float
    """The mean of the accuracies on each label."""
    f1: float
    """Of the rare label."""


def accuracy_on_imbalance(ordinary: int = 95, urgent: int = 5) -> list[Rates]:
    """Compare a classifier that has learned nothing with one that finds most urgent tickets.

    The first calls every ticket ordinary. The second finds all urgent ones but one, and cries wolf
    on twice as many ordinary ones as there are urgent ones. Accuracy prefers the first.

    >>> [(row.what, row.accuracy > 0.9, row.f1 > 0) for row in accuracy_on_imbalance()]
    [('always says ordinary', True, False), ('finds most urgent ones', False, True)]
    """
    truth = [False] * ordinary + [True] * urgent
    alarms = min(2 * urgent, ordinary)
    answers = {
        "always says ordinary": [False] * (ordinary + urgent),
        "finds most urgent ones": [i < alarms for i in range(ordinary)]
        + [i > 0 for i in range(urgent)],
    }
    rows = []
    for name, said in answers.items():
        pairs = Counter(zip(truth, said, strict=True))
        hit, miss, alarm, quiet = (
            pairs[True, True], pairs[True, False], pairs[False, True], pairs[False, False]
        )  # fmt: skip
        rows.append(Rates(
            name, (hit + quiet) / len(truth), (hit / urgent + quiet / ordinary) / 2,
            2 * hit / (2 * hit + alarm + miss),
        ))  # fmt: skip
    return rows


class Cut(NamedTuple):
    """What one model of a text says of it."""

    tokenizer: str
    tokens: int
    perplexity: float
    bits_per_character: float


def perplexity_across_tokenizers(text: str = TEXT) -> list[Cut]:
    """Compare models of one kind, of one text, that differ in nothing but how it is cut.

    Each is a unigram model: a token's probability is its share of this text. The tokens are single
    characters, pairs of characters, or words with the blank before them. The perplexities rank them
    one way, the bits per character the other way: they are of different units.

    >>> cuts = perplexity_across_tokenizers()
    >>> min(cuts, key=lambda c: c.perplexity).tokenizer
    'characters'
    >>> min(cuts, key=lambda c: c.bits_per_character).tokenizer
    'words'
    """
    words = [" " * (i > 0) + word for i, word in enumerate(text.split(" "))]
    cuts = {
        "characters": list(text),
        "pairs": [text[i : i + 2] for i in range(0, len(text), 2)],
        "words": words,
    }
    rows = []
    for name, tokens in cuts.items():
        counts = Counter(tokens)
        nats = -sum(n * math.log(n / len(tokens)) for n in counts.values())
        perplexity = math.exp(nats / len(tokens))
        rows.append(Cut(name, len(tokens), perplexity, nats / math.log(2) / len(text)))
    return rows
