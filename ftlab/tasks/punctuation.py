"""Restore punctuation and capitals in a passage that has lost them.

    in   note that it is unnecessary to include the source code for the expression that failed
    out  Note that it is unnecessary to include the source code for the expression that failed.

The text is English prose that is on every machine: the documentation of the running Python
(`ftlab.tasks.pydocs`), of which another version has slightly other text.

>>> strip('"Well," she said, "it\\'s half-done (almost)."')
"well she said it's half-done almost"
>>> read("Hello, world!")[0]
Word(form='Hello', before=frozenset(), after=frozenset({','}))
"""

import difflib
import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.files import read_data
from ftlab.tasks import Ratio, asking, digest, pydocs

SYSTEM = "Restore punctuation and capitals."
"""The task's own system message: without one, a template may add a longer one of its own."""
MARKS = {
    ".": "period", ",": "comma", ";": "semicolon", ":": "colon", "?": "question",
    "!": "exclamation", "-": "dash", '"': "quote", "(": "parenthesis", ")": "parenthesis",
}  # fmt: skip


class Word(NamedTuple):
    """A word as written, the opening marks before it and the other marks after it."""

    form: str
    before: frozenset[str]
    after: frozenset[str]


# A word holds no mark, except inside it: don't, half-done, 3.11, e.g, 1,000, 10:30.
_CHAR = r"[^\s.,;:?!\"'()\-]"
_WORD = re.compile(rf"{_CHAR}+(?:(?:[.'-]|(?<=\d)[,:](?=\d)){_CHAR}+)*")
_PLAIN = str.maketrans(
    {"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "—": "--", "–": "--", "\u00a0": " "}
    | {"[": "(", "]": ")", "{": "(", "}": ")"}
)


def read(text: str) -> list[Word]:
    """Split text into words, each with the marks that follow it, once; opening ones precede it."""
    text = text.translate(_PLAIN)
    words: list[tuple[str, set[str], set[str]]] = []
    opening: set[str] = set()
    at = 0
    while at < len(text):
        if match := _WORD.match(text, at):
            words.append((match.group(), opening, set()))
            opening = set()
            at = match.end()
            continue
        mark = {"'": '"'}.get(text[at], text[at])
        starts = at == 0 or text[at - 1].isspace() or text[at - 1] in "(\"'-"
        ends = at + 1 == len(text) or text[at + 1].isspace() or text[at + 1] == "-"
        if mark == "-" and not ends:
            mark = ""  # a hyphen that opens a word (-1) is no dash
        if mark in MARKS:
            opens = mark == "(" or (mark == '"' and starts and not ends)
            (opening if opens or not words else words[-1][2]).add(mark)
        at += 1
    return [Word(form, frozenset(before), frozenset(after)) for form, before, after in words]


def strip(text: str) -> str:
    """Take capitals and punctuation away, but for the marks inside words, names and numbers."""
    return " ".join(word.form.lower() for word in read(text))


def question(text: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask to restore `text`, which is stripped first."""
    return asking(SYSTEM, strip(text))


prompt = question


def parse(text: str) -> str:
    """Return the first line of an answer, but for one that only announces it ("Here it is:")."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines = lines[1:]
    return lines[0] if lines else ""


def _found(words: list[Word]) -> list[set[tuple[str, str]]]:
    """For each word, what was to restore on it: (kind, exactly what)."""
    return [
        {(MARKS[mark], f"before {mark}") for mark in word.before}
        | {(MARKS[mark], f"after {mark}") for mark in word.after}
        | ({("capitals", word.form)} if word.form != word.form.lower() else set())
        for word in words
    ]


def score(record: data.Row, text: str) -> dict[str, Ratio]:
    """Mark a restored passage against the passage as written.

    The words of both are aligned, lowercased and bare, by `difflib.SequenceMatcher` (Ratcliff and
    Metzener 1988). A mark or a capitalised word counts when it stands on an aligned word and is the
    same on both sides; what stands on another is wrong, so that inventing words does not pay.

    Returns:
        `f1` (marks and capitals together), `f1_marks`, `f1_capitals`, one `f1_…` for each mark,
        `words_kept` (share of the reference's words, in order) and `exact`.
    """
    text = parse(text)
    wanted, given = read(data.answer(record)), read(text)
    matcher = difflib.SequenceMatcher(
        None, [w.form.lower() for w in wanted], [w.form.lower() for w in given], autojunk=False
    )
    wanted_marks, given_marks = _found(wanted), _found(given)
    kinds = [*dict.fromkeys(MARKS.values()), "capitals"]
    hits: Counter[str] = Counter()
    kept = 0
    for i, j, size in matcher.get_matching_blocks():
        kept += size
        for step in range(size):
            hits.update(kind for kind, _ in wanted_marks[i + step] & given_marks[j + step])
    # 2 tp + fp + fn is the number of marks in the reference plus the number in the answer.
    seen = Counter(kind for found in (*wanted_marks, *given_marks) for kind, _ in found)

    def f1(chosen: list[str]) -> Ratio:
        return Ratio(2 * sum(hits[k] for k in chosen), sum(seen[k] for k in chosen))

    return {
        "f1": f1(kinds),
        "f1_marks": f1(kinds[:-1]),
        "f1_capitals": f1(["capitals"]),
        **{f"f1_{kind}": f1([kind]) for kind in kinds[:-1]},
        "words_kept": Ratio(kept, len(wanted)),
        "exact": Ratio(float(parse(data.answer(record)) == text), 1),
    }


def row(text: str, **meta: Any) -> data.Row:
    """Return a row of the conversational form; further keywords become its meta."""
    return data.example(strip(text), text, system=SYSTEM, id=digest(text), **meta)


def rows(n: int, seed: int, split: str = "train") -> list[data.Row]:
    """Make `n` rows: passages of the documentation, and everyday sentences among them.

    Three in ten are everyday sentences, as long as there are any (48 to train on, 16 to test), for
    documentation alone has no question, no name and nobody speaking.

    Raises:
        ConfigError: there is no such split, `n` is not positive, or there are fewer passages.
    """
    pool, rng = list(pydocs.passages(split)), random.Random(f"{seed} {split}")
    if not 1 <= n <= len(pool):
        raise ConfigError(
            f"{n} {split} examples were asked for; punctuation has {len(pool)} of them in this "
            f"Python's documentation. Ask for 1 to {len(pool)}."
        )
    everyday = list(read_data("tasks/punctuation.yaml")["everyday"])
    everyday = everyday[:48] if split == "train" else everyday[48:]
    rng.shuffle(everyday)
    made = [row(text, slice="everyday", group=text) for text in everyday[: n * 3 // 10]]
    random.Random(seed).shuffle(pool)
    made += [row(p.text, slice=p.slice, group=p.group) for p in pool[: n - len(made)]]
    rng.shuffle(made)
    return made


examples = rows


def baseline(train_records: Sequence[data.Row], test_records: Sequence[data.Row]) -> list[str]:
    """Answer the test records with a logistic regression that names each word's capital and marks.

    It sees a word and its two neighbours, and restores no mark before a word.
    """
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def clues(record: data.Row) -> list[dict[str, str]]:
        words = ["", *data.prompt(record)[-1]["content"].split(), ""]
        triples = zip(words, words[1:], words[2:], strict=False)
        return [{"last": a, "word": b, "next": c} for a, b, c in triples]

    seen, wanted = [], []
    for record in train_records:
        seen += clues(record)
        words = read(data.answer(record))
        wanted += [f"{w.form[0].isupper():d}{''.join(sorted(w.after))}" for w in words]
    model = make_pipeline(DictVectorizer(), LogisticRegression(C=10, max_iter=1000))
    model.fit(seen, wanted)
    answers = []
    for record in test_records:
        words = data.prompt(record)[-1]["content"].split()
        named = zip(words, model.predict(clues(record)), strict=True)
        answers.append(" ".join((w.capitalize() if n[0] == "1" else w) + n[1:] for w, n in named))
    return answers


_SENTENCE_END = re.compile(r"(?<=[.?!])[\"')]*\s+(?=[\"'(]*[A-Z])")
_ABBREVIATION = re.compile(r"(?:\b[A-Za-z]|\b(?:etc|vs|cf|Mr|Mrs|Dr|St|No|al))\.$")


def sentences(paragraph: str) -> list[str]:
    """Cut a paragraph on one line at the ends of sentences, not after an abbreviation."""
    return pydocs.cut_sentences(paragraph, _SENTENCE_END, _ABBREVIATION)
