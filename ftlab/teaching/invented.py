"""Facts that nobody can know, for they are invented here: places, what stands there, a number.

Each place has two things with a number each, so that neither the place nor the thing is enough to
tell it. Every fact can be said and asked in several wordings.

>>> fact = facts(1, seed=0)[0]
>>> fact.number in fact.said and fact.place in fact.asked(0) and fact.place in fact.asked(2)
True
>>> right(fact, f"It is {fact.number} metres."), right(fact, f"1{fact.number}")
(True, False)
"""

import random
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.files import read_data

LISTS = read_data("lessons/facts.yaml")
FIRST, LAST, THINGS = LISTS["first"], LISTS["last"], LISTS["things"]
WORDINGS = 3


class Fact(NamedTuple):
    """One invented fact."""

    place: str
    thing: str
    number: str

    @property
    def said(self) -> str:
        """The fact as a sentence."""
        return f"The {self.thing} of {self.place} {THINGS[self.thing][0].format(v=self.number)}."

    def asked(self, wording: int) -> str:
        """The question for it, in one of the wordings, from 0."""
        return THINGS[self.thing][1 + wording].format(p=self.place)

    @property
    def backwards(self) -> str:
        """The question from the number to the place."""
        return f"Which {self.thing} {THINGS[self.thing][0].format(v=self.number)}?"


def facts(n: int, seed: int, *, apart_from: Collection[Fact] = ()) -> list[Fact]:
    """Invent `n` facts, two of a place.

    Args:
        n: how many.
        seed: of the drawing.
        apart_from: facts whose places must not come again.

    Raises:
        ConfigError: there are not enough places.
    """
    known = {fact.place for fact in apart_from}
    places = [place for a in FIRST for b in LAST if (place := a + b) not in known]
    if not 1 <= n <= 2 * len(places):
        raise ConfigError(f"From 1 to {2 * len(places)} facts can be invented here, not {n}.")
    rng = random.Random(f"facts {seed}")
    rng.shuffle(places)
    made = []
    for place in places[: (n + 1) // 2]:
        for thing in rng.sample(list(THINGS), 2):
            made.append(Fact(place, thing, str(rng.randint(100, 999))))
    return made[:n]


def closed_book(known: Sequence[Fact], wording: int = 0) -> list[data.Row]:
    """Return the facts as records: the question in one wording, and the fact as the answer."""
    return [data.example(fact.asked(wording), fact.said) for fact in known]


def open_book(
    known: Sequence[Fact], wordings: Sequence[int] = (0, 1), given: Sequence[Fact] | None = None
) -> list[data.Row]:
    """Return records whose prompt holds a text to answer from.

    Args:
        known: what is asked.
        wordings: taken in turn.
        given: the fact that each prompt holds; by default the one that is asked for.
    """
    texts = known if given is None else given
    return [
        data.example(f"{text.said}\n{fact.asked(wordings[i % len(wordings)])}", fact.said)
        for i, (fact, text) in enumerate(zip(known, texts, strict=True))
    ]


def right(fact: Fact, answer: str) -> bool:
    """Say whether the first number in an answer is the fact's."""
    numbers = re.findall(r"\d+", answer)
    return bool(numbers) and numbers[0] == fact.number


def share(known: Sequence[Fact], answers: Sequence[str]) -> float:
    """Return the share of answers that are right."""
    return sum(right(f, a) for f, a in zip(known, answers, strict=True)) / len(known)


def retriever(shelf: Sequence[Fact]) -> Any:
    """Return a function from a question to the fact on the shelf that is nearest to it, by TF-IDF.

    Rare words count for more than common ones, so the place decides, and then the thing.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer()
    table = words.fit_transform([fact.said for fact in shelf])

    def nearest(question: str) -> Fact:
        return shelf[int((table @ words.transform([question]).T).toarray().argmax())]

    return nearest
