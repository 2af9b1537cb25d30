"""Amplify: from twenty examples that people wrote to as many as are wanted.

    paraphrase         the input said otherwise, in another manner; the completion stays
    back-translation   the input as it comes back from another language; the completion stays

A rewrite of a held-out example in the training set would make the held-out score a lie. Three
things keep it out: an example that is near a held-out one is never rewritten; what comes
back is compared with each held-out input (half of the word pairs in common, of either or of the
held-out one, is too near); and its completion, if long, must not be a held-out one's.

A rewrite is also turned down where it changes a number, loses a word that the completion takes from
it, or is a copy of what is there. An example whose completion repeats its input (punctuation,
translation) is not rewritten.

>>> import random
>>> reword("I can't open the invoice. Please send it again.", random.Random(5))
'Could you send it again? I cannot open the bill. Cheers.'
"""

import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from threading import Lock

from ftlab import data
from ftlab.curation.answer_cache import Judged, Synthesis, run
from ftlab.curation.cleaning import clean
from ftlab.curation.inputs import instruction
from ftlab.curation.near_duplicates import pairs_of_words
from ftlab.curation.synthesis import key_of
from ftlab.curation.teachers import Answer, Request, Teacher
from ftlab.errors import ConfigError, DataError, raise_unknown

WAYS = ("paraphrase", "back-translation")
LEAK = 0.5  # of the word pairs in common with a held-out input
COPY = 0.9  # with an example that is there
COPIED = 0.6  # of an input's words in its completion: the task is to copy them
LONG = 8  # words of a completion that two examples do not share by chance
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")

MANNERS = (
    "shorter", "longer, with a detail that changes nothing", "more formal", "in plain words",
    "as in a quick text message", "politely", "impatiently", "as someone who writes very carefully",
    "with the sentences in another order", "starting from its end",
)  # fmt: skip
LANGUAGES = ("German", "Japanese", "Spanish", "Finnish", "Arabic", "Turkish", "Hindi", "French")


class Neighbours:
    """Texts that can be asked who among them is near: exact counts of shared word pairs."""

    def __init__(self, texts: Iterable[str] = (), *, scaffolding: Iterable[str] = ()) -> None:
        """Hold texts; pairs in over a fifth of `scaffolding` (ten texts or more) do not count."""
        about = [pairs_of_words(text) for text in scaffolding]
        seen = Counter(pair for pairs in about for pair in pairs)
        self._common = {p for p, count in seen.items() if count > max(len(about) / 5, 10)}
        self._sizes: list[int] = []
        self._holders: defaultdict[int, list[int]] = defaultdict(list)
        self.hold(texts)

    def _pairs(self, text: str) -> set[int]:
        pairs = pairs_of_words(text)
        return pairs - self._common or pairs

    def hold(self, texts: Iterable[str]) -> None:
        """Hold more texts."""
        for text in texts:
            pairs = self._pairs(text)
            for pair in pairs:
                self._holders[pair].append(len(self._sizes))
            self._sizes.append(len(pairs))

    def nearest(self, text: str, *, within: bool = False) -> float:
        """Return the greatest Jaccard index with a text held; 0 if there is none.

        Args:
            text: what to compare.
            within: also take the share of a held text's pairs that stand in `text`, so that
                a copy with more around it is near.
        """
        pairs = self._pairs(text)
        shared = Counter(number for pair in pairs for number in self._holders.get(pair, ()))
        best = 0.0
        for number, both in shared.items():
            size = self._sizes[number]
            best = max(best, both / (len(pairs) + size - both), both / size if within else 0.0)
        return best


# The run.


def amplify(
    seeds: Sequence[data.Row],
    n: int,
    teacher: Teacher,
    out: str | os.PathLike[str],
    *,
    held_out: Sequence[data.Row],
    ways: Sequence[str] = WAYS,
    seed: int = 0,
    concurrency: int = 4,
    max_requests: int | None = None,
    progress: bool = True,
) -> Synthesis:
    """Make `n` new records from a few; what is near a held-out record is dropped.

    Call it again with the same arguments to go on after a stop. A new record's meta tells the way,
    the example it comes `from`, and that example's group, so that a split keeps them together.

    Args:
        seeds: the examples, all of one kind and of one turn.
        n: new records wanted.
        teacher: who rewrites. `program` rewords by rules, which is poorer than a model does it.
        out: the JSONL file to make or to go on with.
        held_out: the records that training must not see; give [] if there are none.
        ways: those of `WAYS` to take in turn.
        seed: of the choices.
        concurrency: most requests at one time.
        max_requests: most answers, those of earlier runs included; by default 4 n.
        progress: show the estimate first, then a bar, on stderr.

    Raises:
        ConfigError: an unknown way, or a number out of range.
        DataError: no example can be rewritten, or one has several turns.
    """
    for way in ways:
        if way not in WAYS:
            raise_unknown("way", way, WAYS)
    if n < 1 or not ways:
        raise ConfigError(f"n must be at least 1 and a way named; got {n} and {list(ways)}.")
    offline = teacher.name.startswith("program")
    if any(len(data.prompt(record)) > 2 for record in seeds):
        raise DataError("Only records of one turn can be amplified; some have several.")
    guard = _Guard(seeds, held_out)
    kept = [record for record in seeds if not guard.leaks(record)]
    if not kept:
        raise DataError(
            f"None of the {len(seeds)} examples can be used: each is near a held-out record. "
            "Amplify examples of the training side."
        )
    cue = instruction([_input(record) for record in kept])
    rewritten = [record for record in kept if not _copies(record, cue)]
    if not rewritten:
        raise DataError(
            "The completions repeat their inputs, so a rewrite of the input alone would spoil them."
            " Have a model answer new inputs instead: ftlab synth --teacher."
        )
    settings = {
        "amplify": data.fingerprint(kept), "held_out": data.fingerprint(held_out),
        "teacher": teacher.name, "ways": list(ways), "seed": seed,
    }  # fmt: skip
    most = 4 * n if max_requests is None else max_requests
    requests, plans = [], {}
    for index in range(most):
        rng = random.Random(f"{seed} {index}")
        way = ways[index % len(ways)]
        source = rewritten[(index // len(ways)) % len(rewritten)]
        text = _input(source)[len(cue) :]
        messages = _rewrite(text, way, rng)
        known = reword(text, rng) if offline else ""
        key = key_of(settings, index, messages)
        requests.append(Request(key, messages, known))
        plans[key] = (way, source)
    already = Neighbours(map(_input, kept), scaffolding=map(_input, [*kept, *held_out]))
    lock = Lock()

    def judge(request: Request, answer: Answer) -> Judged:
        text, cleaned = clean(answer.text)
        way, source = plans[request.key]
        if not answer.finished:
            return Judged(None, "cut off: longer than an answer may be", cleaned)
        try:
            record = _new(text, cue, way, source, teacher)
        except DataError as error:
            return Judged(None, str(error), cleaned)
        if guard.leaks(record):
            return Judged(None, "near a held-out record", cleaned)
        with lock:  # two answers alike may come at one time
            if already.nearest(_input(record)) >= COPY:
                return Judged(None, "a copy of an example that is there", cleaned)
            already.hold([_input(record)])
        return Judged(record, cleaned=cleaned)

    made = run(
        requests, teacher, judge, out, n=n, concurrency=concurrency, max_requests=max_requests,
        progress=progress,
    )  # fmt: skip
    if len(kept) == len(seeds):
        return made
    unused = f"{len(seeds) - len(kept)} of {len(seeds)} examples were not used"
    return replace(made, notes=(f"{unused}: each is near a held-out record.",))


class _Guard:
    """What knows the held-out records, and a leak when it sees one."""

    def __init__(self, seeds: Sequence[data.Row], held_out: Sequence[data.Row]) -> None:
        inputs = [_input(record) for record in held_out]
        everything = [*inputs, *map(_input, seeds)]
        self._near = Neighbours(inputs, scaffolding=everything)
        self._names = {data.meta(r)[name] for r in held_out for name in ("id", "from")
                        if isinstance(data.meta(r).get(name), str | int)}  # fmt: skip
        self._completions = {_plain(data.answer(r)) for r in held_out} - {""}

    def leaks(self, record: data.Row) -> bool:
        known = {data.meta(record).get(name) for name in ("id", "from")}
        return (
            any(isinstance(name, str | int) and name in self._names for name in known)
            or _plain(data.answer(record)) in self._completions
            or self._near.nearest(_input(record), within=True) >= LEAK
        )


def _plain(completion: str) -> str:
    """Return the words of a completion; nothing of one so short that others share it by chance."""
    words = _WORD.findall(completion.lower())
    return " ".join(words) if len(words) >= LONG else ""


def _input(record: data.Row) -> str:
    return data.prompt(record)[-1]["content"]


def _copies(record: data.Row, cue: str) -> bool:
    """Say whether a completion repeats its input, which then cannot be said otherwise alone."""
    words = {word for word in _WORD.findall(_input(record)[len(cue) :].lower()) if len(word) > 2}
    there = set(_WORD.findall(data.answer(record).lower()))
    return bool(words) and len(words & there) >= COPIED * len(words)


# Prompts.


def _rewrite(text: str, way: str, rng: random.Random) -> tuple[dict[str, str], ...]:
    if way == "paraphrase":
        how = f"Rewrite the text {rng.choice(MANNERS)}."
    else:
        how = (
            f"Translate the text to {rng.choice(LANGUAGES)}, then translate that back to the "
            "text's own language as someone who never saw it. Give only the last."
        )
    rules = "Keep every fact, name and number as it is. Answer with the new text alone."
    return (
        {"role": "system", "content": f"{how} {rules}"},
        {"role": "user", "content": text},
    )


# What came back.


def _new(text: str, cue: str, way: str, source: data.Row, teacher: Teacher) -> data.Row:
    """Return the record of a cleaned answer; the DataError's text is the reason why not."""
    before = _input(source)[len(cue) :]
    if not text.strip():
        raise DataError("empty")
    if _WORD.findall(text.lower()) == _WORD.findall(before.lower()):
        raise DataError("nothing was changed")
    if sorted(_NUMBER.findall(text)) != sorted(_NUMBER.findall(before)):
        raise DataError("a number was changed, lost or added")
    taken = {word for word in _WORD.findall(data.answer(source)) if len(word) > 2}
    if lost := taken & set(_WORD.findall(before)) - set(_WORD.findall(text)):
        raise DataError(f"lost what the completion takes from it: {min(lost)}")
    came = str(data.meta(source).get("id") or data.fingerprint([source])[:12])
    own = {key: value for key, value in data.meta(source).items() if key != "id"}
    meta = {"group": came, **own, "way": way, "teacher": teacher.name, "from": came}
    return data.example([*data.prompt(source)[:-1], _user(cue + text)], data.answer(source), **meta)


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


# Rewording by rules, where there is no model.

_SWAPS = [
    ("cannot", "can't"), ("do not", "don't"), ("does not", "doesn't"), ("did not", "didn't"),
    ("is not", "isn't"), ("I am", "I'm"), ("I have", "I've"), ("it is", "it's"),
    ("we are", "we're"), ("will not", "won't"), ("invoice", "bill"), ("help", "assist"),
    ("buy", "purchase"), ("quickly", "fast"), ("again", "once more"), ("since", "ever since"),
    ("tell me", "let me know"), ("because", "as"), ("but", "yet"), ("big", "large"),
    ("broken", "not working"), ("need", "require"), ("want", "would like"), ("start", "begin"),
    ("show", "display"), ("wrong", "not right"), ("problem", "issue"), ("thank you", "thanks"),
    ("phone", "telephone"), ("message", "note"), ("a few", "some"), ("maybe", "perhaps"),
    ("also", "as well"), ("get", "receive"), ("end", "finish"), ("fix", "repair"),
]  # fmt: skip
_OPENINGS = (
    "Hello, ",
    "Hi there. ",
    "Good day. ",
    "A quick one: ",
    "Pardon me. ",
    "So, ",
)
_CLOSINGS = (" Thank you.", " Thanks a lot.", " Best wishes.", " Cheers.", " That is all.", "")


def reword(text: str, rng: random.Random) -> str:
    """Say a text otherwise by rules: other words, contractions, order of sentences, a greeting.

    Args:
        text: English prose; other texts get a greeting at most.
        rng: where chance comes from.
    """
    for a, b in rng.sample(_SWAPS, len(_SWAPS)):
        old, new = (a, b) if rng.random() < 0.5 else (b, a)
        if rng.random() < 0.8:
            text = re.sub(rf"(?<![\w']){re.escape(old)}(?![\w'])", new, text, count=1)
    asked = re.compile(r"\bPlease (\w[^.?!\n]*)[.!]")
    if rng.random() < 0.5:
        text = asked.sub(lambda m: f"Could you {m[1]}?", text, count=1)
    lines = text.split("\n")
    if len(lines) == 1:
        sentences = re.split(r"(?<=[.!?]) +", text)
        if len(sentences) > 1 and rng.random() < 0.7:
            turn = rng.randrange(1, len(sentences))
            sentences = sentences[turn:] + sentences[:turn]
        text = " ".join(sentences)
    how = rng.random()
    if how < 0.4:
        opening = rng.choice(_OPENINGS)
        text = opening + text
    elif how < 0.7:
        text += rng.choice(_CLOSINGS)
    return text
