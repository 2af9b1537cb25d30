"""How a line of commentary is marked: are the facts in it, and whose voice is it?

>>> facts = {"names": ["Varga", "Mill Bend"], "numbers": ["12", "3"]}
>>> kept("Lap 12: Varga is third.", facts)
['Varga', '12', '3']
>>> invented("Lap 12: Varga passes Okafor, 4 seconds up, says Smithers.", facts, "Ines Varga")
['4', 'Okafor', 'Smithers']

The facts are looked for word by word: who did what to whom is not seen. The voice is judged by a
scikit-learn classifier (character n-grams, logistic regression) that has seen lines of the training
forms alone, with names and numbers masked; `classifier_accuracy` reports how it does on held-out
phrasings.
"""

import functools
import random
import re
from typing import Any

from ftlab.errors import MissingExtraError
from ftlab.tasks import style_lines
from ftlab.tasks.messages import spell
from ftlab.tasks.style_lines import FORMS, VOICES, ordinal

NEITHER = "neither"
"""What the classifier calls a record that was copied and not told."""

_WORDED = {spell(n): str(n) for n in range(1, 100)} | {ordinal(n): str(n) for n in range(1, 100)}
_LOOSE = {"one", "first", "two", "second", "seconds"}  # too common to be held against a line
_NUMBER = re.compile(r"\d+(?::\d+)?(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_OWNER = re.compile(r"['’]s?$", re.IGNORECASE)


def _plain(number: str) -> str:
    """Return a number as it is compared: 12.0 is 12."""
    return number if ":" in number else f"{float(number):g}"


def _has(line: str, name: str) -> bool:
    bare = re.sub(r"^(?:the|a|an) ", "", name)
    return bool(re.search(rf"(?<!\w){re.escape(bare)}(?!\w)", line, re.IGNORECASE))


def _worded(line: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+(?:-[a-z]+)?", line.lower()) if word in _WORDED]


def kept(line: str, facts: dict[str, list[str]]) -> list[str]:
    """Return the facts that a line holds.

    A name counts as written, in any case; a number in digits or in words ("P3", "3rd", "third").

    Args:
        line: what was said.
        facts: `names` and `numbers` of the event, all as strings.
    """
    numbers = {_plain(n) for n in _NUMBER.findall(line)} | {_WORDED[w] for w in _worded(line)}
    found = [name for name in facts["names"] if _has(line, name)]
    return found + [number for number in facts["numbers"] if _plain(number) in numbers]


def _name_words(name: str) -> set[str]:
    return {_OWNER.sub("", word).lower() for word in _WORD.findall(name)}


@functools.cache
def _lexicon() -> tuple[frozenset[str], re.Pattern[str], frozenset[str]]:
    """Return people's names, a pattern of all places and teams, and the forms' common words."""
    all_of = lambda pool: [name.removeprefix("~") for name in pool]
    people = frozenset(all_of(FORMS.first + FORMS.surnames))
    things = sorted(all_of(FORMS.places + FORMS.teams), key=len, reverse=True)
    bare_things = "|".join(re.escape(re.sub("^the ", "", thing)) for thing in things)
    pattern = re.compile(rf"(?<!\w)(?:the )?({bare_things})(?!\w)", re.IGNORECASE)
    forms = [
        FORMS.openings,
        FORMS.closings,
        FORMS.cores,
        FORMS.phrases,
        FORMS.sentences,
        FORMS.leads,
    ]
    common = {word.lower() for word in _WORD.findall(str(forms)) if len(word) > 1}
    return people, pattern, frozenset(common | {"i", "a"})


def invented(line: str, facts: dict[str, list[str]], *names: str) -> list[str]:
    """Return numbers and names in a line that the event does not have.

    A name is known by being one of the task's own, or by a capital inside a sentence. So a name
    that the task does not know, at the very start of a sentence, is not seen.

    Args:
        line: what was said.
        facts: `names` and `numbers` of the event.
        names: further names that may be said, such as first names.
    """
    people, things, common = _lexicon()
    right = {_plain(number) for number in facts["numbers"]}
    wrong = [n for n in _NUMBER.findall(line) if _plain(n) not in right]
    wrong += [w for w in _worded(line) if w not in _LOOSE and _WORDED[w] not in right]
    own = {w for name in (*facts["names"], *names) for w in _name_words(name)}
    allowed = " | ".join(facts["names"])
    for thing in things.findall(line):
        if not _has(allowed, thing):
            wrong.append(thing)
            own |= _name_words(thing)
    for match in _WORD.finditer(line):
        word = _OWNER.sub("", match[0])
        before = line[: match.start()].rstrip()
        starts = not before or before[-1] in ".!?…:;\"“'([-–—*"
        if not word[0].isupper() or word.lower() in own:
            continue
        shouted = word.isupper() and len(word) > 1
        if word.title() in people or not (starts or shouted or word.lower() in common):
            wrong.append(word)
    return wrong


# The voice.


def mask(line: str) -> str:
    """Return a line with the task's names and all figures masked, so that only the manner is left.

    >>> mask("Lap 12: Varga passes Okafor.")
    'Lap 0: N passes N.'
    """
    people, things, _ = _lexicon()
    line = things.sub("N", line)
    line = _WORD.sub(lambda m: "N" if m[0].title() in people and m[0][0].isupper() else m[0], line)
    return _NUMBER.sub("0", line)


def bare(line: str) -> str:
    """Return a line in lower case and without punctuation: the voice must be in the words."""
    return " ".join(re.findall(r"[\w']+", line.lower()))


@functools.cache
def classifier() -> Any:
    """Train the classifier of voices on lines of the training forms; a second or two, once.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
    except ImportError:
        raise MissingExtraError(
            "The voice of a line is judged with scikit-learn, which is not installed. "
            "Install it: pip install scikit-learn"
        ) from None
    rng = random.Random("the classifier of voices")
    lines: list[tuple[str, str]] = []
    for _ in range(350):
        event = style_lines.event(rng)
        for voice in VOICES:
            line = mask(style_lines.tell(event, voice, rng))
            lines += [(line, voice), (bare(line), voice)]
        record = mask(style_lines.notation(event, rng))
        lines += [(record, NEITHER), (record.partition("\n")[0], NEITHER), (bare(record), NEITHER)]
    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), lowercase=False, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    return model.fit([line for line, _ in lines], [label for _, label in lines])


def voice_of(line: str) -> str:
    """Return the voice that a line is in: "dry", "exuberant" or "neither"."""
    return str(classifier().predict([mask(line)])[0]) if line.strip() else NEITHER


def classifier_accuracy(n: int = 400, seed: int = 0) -> dict[str, float]:
    """Measure the classifier on `n` lines of held-out phrasings, names and places.

    Returns:
        Accuracies, 0 to 1: `held_out`; `held_out_bare`, the same lines in lower case without
        punctuation; `exclamation_marks`, of the plain rule that the exuberant voice has one.
    """
    rng = random.Random(f"held-out phrasings {seed}")
    voices = [VOICES[i % 2] for i in range(n)]
    lines = [
        style_lines.tell(style_lines.event(rng, new=True), voice, rng, new=True) for voice in voices
    ]
    rule = [VOICES["!" in line] for line in lines]
    given = classifier().predict([mask(line) for line in lines])
    given_bare = classifier().predict([bare(mask(line)) for line in lines])
    share = lambda answers: sum(a == v for a, v in zip(answers, voices, strict=True)) / n
    return {
        "held_out": share(given),
        "held_out_bare": share(given_bare),
        "exclamation_marks": share(rule),
    }
