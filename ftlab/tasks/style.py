"""Say a plain sentence in the voice of a novelist of the early nineteenth century.

    in   He studied for only two days and still passed the exam easily.
    out  Two days were all that he could spare to study; and it must be mortifying to every friend
         of diligence to record that he passed the examination with perfect ease.

The 200 pairs were written for the course: nobody's novel is in them. Forty more, written in another
voice of the same century, are the probe.

No judge marks the answers. `in_voice` is a logistic regression over letter n-grams and function
words, trained on both sides of the training pairs: it sees spelling, marks and little words, so it
sees *that* a sentence is old-fashioned, and hardly whose voice it is (the card says how well it
does each). `kept` asks for the names, the numbers and a part of the other words.
"""

import functools
import re
from typing import Any

from ftlab import data, tasks
from ftlab.tasks import Ratio, digest, first_paragraph, marks, sample, written

FILE = "style.jsonl"
SIZES = tasks.sizes(FILE, voice="manners")
_SIDES = ("plain", "voiced")
SYSTEM = "Retell the sentence as a novelist of 1810 would."
prompt = functools.partial(tasks.asking, SYSTEM)
parse = first_paragraph
LEAST_KEPT = 0.25
"""The least share of the longer words that an answer takes up: nine in ten references do."""
_FUNCTION = tasks.word_lists("style").function_words.split()


@functools.cache
def _common() -> frozenset[str]:
    """Return the words that are no names: function words, and what the pairs write small."""
    texts = [row[side] for rows in written(FILE).values() for row in rows for side in _SIDES]
    return frozenset(_FUNCTION) | {word for text in texts for word in re.findall(r"\b[a-z]+", text)}


def names(text: str) -> list[str]:
    """Return the names and the numbers in figures of a text, in lower case.

    >>> names("The bus to Leeds cost Karen 3 pounds; My aunt paid.")
    ['leeds', 'karen', '3']
    """
    words = re.findall(r"\b(?:[A-Z][\w'’-]*|\d[\d.,:]*\b)", text)
    found = [re.sub(r"['’]s?$", "", word.lower()) for word in words]
    return [word for word in found if word not in _common()]


def _longer(text: str) -> set[str]:
    """Return the beginnings of the words that are neither short, nor function words, nor names."""
    left_out = {*_FUNCTION, *names(text)}
    words = re.findall(r"[a-z]{4,}", text.lower())
    return {word[:4] for word in words if word not in left_out}


def keeps(text: str, other: str) -> bool:
    """Say whether a text takes up what another says: its names, and enough of its longer words."""
    low, wanted = text.lower(), _longer(other)
    taken = len(wanted & _longer(text)) >= LEAST_KEPT * len(wanted)
    return taken and all(re.search(rf"\b{re.escape(name)}", low) for name in names(other))


def classifier() -> Any:
    """Return the classifier of `in_voice`, not trained yet."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
    little = TfidfVectorizer(vocabulary=_FUNCTION, use_idf=False)
    return make_pipeline(make_union(letters, little), LogisticRegression(C=10, max_iter=1000))


def sides(split: str) -> tuple[list[str], list[int], list[int]]:
    """Return the sentences of a split's pairs, whether each is voiced, and its pair."""
    rows = [row for row in written(FILE)[split] if row["voice"] == "manners"]
    texts = [row[side] for side in _SIDES for row in rows]
    return texts, [0] * len(rows) + [1] * len(rows), [*range(len(rows))] * 2


@functools.cache
def trained() -> Any:
    """Return the classifier, trained on both sides of the training pairs."""
    return classifier().fit(*sides("train")[:2])


def in_voice(text: str) -> bool:
    """Say whether the classifier takes a text for voiced; an empty one is not."""
    return bool(text.strip()) and bool(trained().predict([text])[0])


def score(record: data.Row, text: str) -> dict[str, Ratio]:
    """Mark an answer: is it `in_voice`, has it `kept` what was said, and `both`?

    The marks are of form; that a sentence is funny, or true to its source, they do not see.
    """
    text, plain = first_paragraph(text), data.prompt(record)[-1]["content"]
    right = {"in_voice": in_voice(text), "kept": keeps(text, plain)}
    return marks(both=all(right.values()), **right)


def row(plain: str, voiced: str, **meta: Any) -> data.Row:
    """Return the row of a pair; further keywords become its meta."""
    name = digest(plain)
    return data.example(plain, voiced, system=SYSTEM, **{"id": name, "group": name, **meta})


def examples(n: int, seed: int, split: str = "train") -> list[data.Row]:
    """Draw `n` pairs of a split; errors as of `ftlab.tasks.sample`."""

    def about(text: str) -> str:
        if re.search(r"\b(?:I|my|me|we|our|us)\b", text, re.IGNORECASE):
            return "the speaker"
        return "a name" if names(text) else "others"

    pairs = sample(FILE, n, seed, split, voice="manners")
    return [row(one["plain"], one["voiced"], slice=about(one["plain"])) for one in pairs]


def probe(n: int, seed: int) -> list[data.Row]:
    """Draw `n` pairs whose completions are in the other voice; errors as of `sample`."""
    pairs = sample(FILE, n, seed, "test", voice="adjacent")
    return [row(one["plain"], one["voiced"], slice="other voice") for one in pairs]
