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

>>> row = examples(1, seed=0)[0]
>>> score(row, data.prompt(row)[-1]["content"])["kept"]
Ratio(num=1.0, den=1)
"""

import functools
import re
from typing import Any

from ftlab import data
from ftlab.tasks import Ratio, Task
from ftlab.tasks.drawing import digest, sample, sizes, written

FILE = "style.jsonl"
SYSTEM = "Retell the sentence as a novelist of 1810 would."
LEAST_KEPT = 0.25
"""The least share of the longer words that an answer takes up: nine in ten references do."""
_LITTLE = (
    "a about after again all also although am an and another any are as at be because been "
    "before being both but by can could did do does each ever every few for from had has have "
    "he her here hers him his how however i if in indeed into is it its least less may me might "
    "more most much must my never no none nor not nothing now of on once one only or other our "
    "out over own quite rather scarcely shall she should since so some still such than that the "
    "their them themselves then there these they this those though till to too under until up "
    "upon us very was we were what when whether which while who whom whose why will with "
    "without would yet you your"
)
_FUNCTION = _LITTLE.split()


def prompt(text: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask for one sentence in the voice."""
    return ({"role": "system", "content": SYSTEM}, {"role": "user", "content": text})


def parse(text: str) -> str:
    """Return the first paragraph of an answer, on one line."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return next((part for part in paragraphs if part), "")


# The measure.


@functools.cache
def _common() -> frozenset[str]:
    """Return the words that are no names: function words, and what the pairs write small."""
    texts = [row[side] for rows in written(FILE).values() for row in rows for side in _SIDES]
    return frozenset(_FUNCTION) | {word for text in texts for word in re.findall(r"\b[a-z]+", text)}


_SIDES = ("plain", "voiced")


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
    texts, voiced, _ = sides("train")
    return classifier().fit(texts, voiced)


def in_voice(text: str) -> bool:
    """Say whether the classifier takes a text for voiced; an empty one is not."""
    return bool(text.strip()) and bool(trained().predict([text])[0])


def score(record: data.Row, text: str) -> dict[str, Ratio]:
    """Mark an answer: is it `in_voice`, has it `kept` what was said, and `both`?

    The marks are of form; that a sentence is funny, or true to its source, they do not see.
    """
    text = parse(text)
    plain = data.prompt(record)[-1]["content"]
    marks = {"in_voice": in_voice(text), "kept": keeps(text, plain)}
    marks = {"both": all(marks.values()), **marks}
    return {name: Ratio(float(right), 1) for name, right in marks.items()}


# The pairs.


def row(plain: str, voiced: str, **meta: Any) -> data.Row:
    """Return the row of a pair; further keywords become its meta."""
    name = digest(plain)
    return data.example(plain, voiced, system=SYSTEM, **{"id": name, "group": name, **meta})


def examples(n: int, seed: int, split: str = "train") -> list[data.Row]:
    """Draw `n` pairs of a split; a larger `n` with the same seed starts the same.

    Raises:
        ConfigError: there is no such split, `n` is not positive, or there are fewer pairs.
    """
    pairs = sample(FILE, n, seed, split, voice="manners")
    return [row(one["plain"], one["voiced"], slice=_person(one["plain"])) for one in pairs]


def _person(text: str) -> str:
    """Say whom a sentence is about: the speaker, somebody with a name, or others."""
    if re.search(r"\b(?:I|my|me|we|our|us)\b", text, re.IGNORECASE):
        return "the speaker"
    return "a name" if names(text) else "others"


def probe(n: int, seed: int) -> list[data.Row]:
    """Draw `n` pairs whose completions are in the other voice.

    Raises:
        ConfigError: `n` is not positive, or there are fewer.
    """
    pairs = sample(FILE, n, seed, "test", voice="adjacent")
    return [row(one["plain"], one["voiced"], slice="other voice") for one in pairs]


TASK = Task(
    name="style",
    describe=(
        "Say a plain sentence in the voice of an early-nineteenth-century novelist of manners. In "
        "goes a sentence of today; out comes one that keeps its names and its news. The pairs were "
        "written for the course, and `style.probe` has pairs in another voice."
    ),
    headline="both",
    licence="Apache-2.0 (written for ftlab)",
    examples=examples,
    prompt=prompt,
    parse=parse,
    score=score,
    sizes=sizes(FILE, voice="manners"),
)
