"""Amplify: from twenty examples to as many as are wanted, their inputs said otherwise by a model.

    paraphrase         the input in another manner; the completion stays
    back-translation   the input translated, and translated back; the completion stays

A rewrite of a held-out example in training would make the held-out score a lie: an example near a
held-out one is never rewritten, and neither what comes back nor its completion may be near one. A
rewrite that changes a number, loses a word of the completion or is a copy is turned down too.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftlab import data
from ftlab.curation.answer_cache import Request
from ftlab.curation.near_duplicates import instruction, pairs_of_words
from ftlab.curation.synthesis import Rejected, Synthesis, run
from ftlab.endpoint import Teacher
from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import read_data

WAYS = ("paraphrase", "back-translation")
LEAK = 0.5  # of the word pairs in common with a held-out input
COPY = 0.9  # with an example that is there
COPIED = 0.6  # of an input's words in its completion: the task is to copy them
LONG = 8  # words of a completion that two examples do not share by chance
Prompts = Sequence[Sequence[str]]
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")


class Neighbours:
    """Texts that can be asked how near another is: exact shares of common word pairs."""

    def __init__(self, texts: Iterable[str] = (), *, scaffolding: Iterable[str] = ()) -> None:
        """Hold texts; pairs in over a fifth of `scaffolding` (ten texts or more) do not count."""
        about = [pairs_of_words(text) for text in scaffolding]
        seen = Counter(pair for pairs in about for pair in pairs)
        self._common = {p for p, count in seen.items() if count > max(len(about) / 5, 10)}
        self._held = [self._pairs(text) for text in texts]

    def _pairs(self, text: str) -> set[int]:
        pairs = pairs_of_words(text)
        return pairs - self._common or pairs

    def hold(self, text: str) -> None:
        """Hold one more text."""
        self._held.append(self._pairs(text))

    def nearest(self, text: str, *, within: bool = False) -> float:
        """Return the greatest Jaccard index with a text held, or share of one `within` the text."""
        pairs = self._pairs(text)
        shares = (len(pairs & held) / (len(held if within else pairs | held) or 1)
                  for held in self._held)  # fmt: skip
        return max(shares, default=0.0)


def amplify(
    seeds: Sequence[data.Row], n: int, teacher: Teacher, out: str | os.PathLike[str], *,
    held_out: Sequence[data.Row], ways: Sequence[str] | Mapping[str, Prompts] = WAYS,
    seed: int = 0, max_requests: int | None = None, **how: Any,
) -> Synthesis:  # fmt: skip
    """Make `n` new records from a few; what is near a held-out record is dropped.

    A new record's meta tells the way, the example it comes `from`, and that example's group, so
    that a split keeps them together. Other arguments are those of `ftlab.curation.synthesis.run`.

    Args:
        seeds: the examples, all of one kind and of one turn.
        n: new records wanted.
        teacher: who rewrites.
        out: the JSONL file to make or to go on with.
        held_out: the records that training must not see; give [] if there are none.
        ways: those of `WAYS` to take in turn, with the prompts of data/amplify.yaml; or your own:
            way -> prompts to choose from, each a list of one prompt with {text} for the input, or
            of two, where the second is about the answer to the first.
        seed: which prompt each example meets first.
        max_requests: most rewrites, those of earlier runs included; by default 4 n.

    Raises:
        ConfigError: an unknown way, a prompt without {text}, or a number out of range.
        DataError: no example can be rewritten, or one has several turns.
    """
    prompts = _prompts(ways)
    if n < 1 or not prompts:
        raise ConfigError(f"n must be at least 1 and a way named; got {n} and {list(ways)}.")
    if any(sum(t["role"] != "system" for t in data.prompt(r)) > 1 for r in seeds):
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
            " Have a model answer new inputs instead: ftlab synth --model."
        )
    most = 4 * n if max_requests is None else max_requests
    requests = [_request(index, rewritten, prompts, cue, seed) for index in range(most)]
    already = Neighbours(map(_input, kept), scaffolding=map(_input, [*kept, *held_out]))

    def judge(request: Request, text: str) -> data.Row:
        record = _new(text, cue, request.given["way"], request.given["record"])
        if guard.leaks(record):
            raise Rejected("near a held-out record")
        if already.nearest(_input(record)) >= COPY:
            raise Rejected("a copy of an example that is there")
        already.hold(_input(record))
        return record

    made = run(requests, teacher, judge, out, n=n, max_requests=max_requests, **how)
    if unused := len(seeds) - len(kept):
        what = f"{unused} of {len(seeds)} examples were not used: each is near a held-out record."
        made.notes.append(what)
    return made


def _prompts(ways: Any) -> Mapping[str, Prompts]:
    """Return the prompts by way, after checking them."""
    if not isinstance(ways, Mapping):
        words = read_data("amplify.yaml")
        for way in ways:
            if way not in words:
                raise_unknown("way", way, words)
        return {way: words[way] for way in ways}
    for prompt in (prompt for prompts in ways.values() for prompt in prompts):
        whole = not isinstance(prompt, str) and all("{text}" in part for part in prompt)
        if not (whole and 1 <= len(prompt) <= 2):
            raise ConfigError(
                "A prompt is a list of one or two texts, each with {text} where the input goes; "
                f"got {prompt!r}."
            )
    return ways


def _request(
    index: int, records: Sequence[data.Row], prompts: Mapping[str, Prompts],
    cue: str, seed: int,
) -> Request:  # fmt: skip
    """Return request number `index`: the ways take turns, then the examples, then the prompts."""
    way = list(prompts)[index % len(prompts)]
    turn, place = divmod(index // len(prompts), len(records))
    first, *then = prompts[way][(turn + place + seed) % len(prompts[way])]
    text = _input(records[place])[len(cue) :]
    return Request(
        [{"role": "user", "content": first.replace("{text}", text)}],
        then=then[0] if then else "",
        sample=turn // len(prompts[way]),  # all prompts had their turn: another answer to each
        about=len(text),
        given={"way": way, "record": records[place]},
    )


class _Guard:
    """What knows the held-out records, and a leak when it sees one."""

    def __init__(self, seeds: Sequence[data.Row], held_out: Sequence[data.Row]) -> None:
        inputs = [_input(record) for record in held_out]
        self._near = Neighbours(inputs, scaffolding=[*inputs, *map(_input, seeds)])
        self._names = {name for record in held_out for name in _names(record)}
        self._completions = {_plain(data.answer(r)) for r in held_out} - {""}

    def leaks(self, record: data.Row) -> bool:
        return (
            bool(self._names & _names(record))
            or _plain(data.answer(record)) in self._completions
            or self._near.nearest(_input(record), within=True) >= LEAK
        )


def _names(record: data.Row) -> set[str | int]:
    known = (data.meta(record).get(name) for name in ("id", "from"))
    return {name for name in known if isinstance(name, str | int)}


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


def _new(text: str, cue: str, way: str, source: data.Row) -> data.Row:
    """Return the record of a cleaned answer; raise Rejected where it changes what matters."""
    before, answer = _input(source)[len(cue) :], data.answer(source)
    if _WORD.findall(text.lower()) == _WORD.findall(before.lower()):
        raise Rejected("nothing was changed")
    if sorted(_NUMBER.findall(text)) != sorted(_NUMBER.findall(before)):
        raise Rejected("a number was changed, lost or added")
    taken = {word for word in _WORD.findall(answer) if len(word) > 2}
    lost = taken & set(_WORD.findall(before)) - set(_WORD.findall(text))
    if lost and len(answer.split()) > 1:  # one word alone is a label
        raise Rejected(f"lost what the completion takes from it: {min(lost)}")
    came = str(data.meta(source).get("id") or data.fingerprint([source])[:12])
    own = {key: value for key, value in data.meta(source).items() if key != "id"}
    turns = [*data.prompt(source)[:-1], {"role": "user", "content": cue + text}]
    return data.example(turns, answer, **{"group": came, **own, "way": way, "from": came})
