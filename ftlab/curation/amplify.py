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
from collections.abc import Sequence
from typing import Any

from ftlab import data
from ftlab.curation.answer_cache import Request
from ftlab.curation.near_duplicates import instruction, pairs_of_words
from ftlab.curation.synthesis import Rejected, Synthesis, run
from ftlab.endpoint import Teacher
from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import read_data

LEAK = 0.5  # of a held-out input's word pairs
COPIED = 0.6  # of an input's words in its completion: the task is to copy them
LONG = 8  # words of a completion that two examples do not share by chance
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")


def amplify(
    seeds: Sequence[data.Row], n: int, teacher: Teacher, out: str | os.PathLike[str], *,
    held_out: Sequence[data.Row], ways: Sequence[str] = ("paraphrase", "back-translation"),
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
        ways: those to take in turn; their prompts are in data/amplify.yaml.
        seed: which prompt each example meets first.
        max_requests: most rewrites, those of earlier runs included; by default 4 n.

    Raises:
        ConfigError: an unknown way, or a number out of range.
        DataError: no example can be rewritten, or one has several turns.
    """
    words = read_data("amplify.yaml")
    if n < 1 or not ways:
        raise ConfigError(f"n must be at least 1 and a way named; got {n} and {list(ways)}.")
    for way in ways:
        if way not in words:
            raise_unknown("way", way, words)
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
    requests = []
    for index in range(4 * n if max_requests is None else max_requests):
        # The ways take turns, then the examples, then the prompts.
        way = ways[index % len(ways)]
        turn, place = divmod(index // len(ways), len(rewritten))
        first, *then = words[way][(turn + place + seed) % len(words[way])]
        text = _input(rewritten[place])[len(cue) :]
        requests.append(Request(
            [{"role": "user", "content": first.replace("{text}", text)}],
            then=then[0] if then else "",
            sample=turn // len(words[way]),  # all prompts had their turn: another answer to each
            given={"way": way, "record": rewritten[place]},
        ))  # fmt: skip
    already = {_plain(_input(record)) for record in kept}

    def judge(request: Request, text: str) -> data.Row:
        record = _new(text, cue, request.given["way"], request.given["record"])
        if guard.leaks(record):
            raise Rejected("near a held-out record")
        if (plain := _plain(_input(record))) in already:
            raise Rejected("a copy of an example that is there")
        already.add(plain)
        return record

    made = run(requests, teacher, judge, out, n=n, max_requests=max_requests, **how)
    if unused := len(seeds) - len(kept):
        what = f"{unused} of {len(seeds)} examples were not used: each is near a held-out record."
        made.notes.append(what)
    return made


class _Guard:
    """What knows the held-out records, and a leak when it sees one."""

    def __init__(self, seeds: Sequence[data.Row], held_out: Sequence[data.Row]) -> None:
        inputs = [pairs_of_words(_input(record)) for record in (*held_out, *seeds)]
        seen = Counter(pair for pairs in inputs for pair in pairs)
        # Pairs in over a fifth of the inputs are scaffolding, and do not count.
        self._common = {p for p, count in seen.items() if count > max(len(inputs) / 5, 10)}
        self._held = [pairs - self._common or pairs for pairs in inputs[: len(held_out)]]
        self._names = {name for record in held_out for name in _names(record)}
        self._completions = {
            _plain(data.answer(record)) for record in held_out
            if len(data.answer(record).split()) >= LONG
        }  # fmt: skip

    def leaks(self, record: data.Row) -> bool:
        pairs = pairs_of_words(_input(record))
        return (
            bool(self._names & _names(record))
            or _plain(data.answer(record)) in self._completions
            or any(len(pairs & held) >= LEAK * len(held) for held in self._held if held)
        )


def _names(record: data.Row) -> set[str | int]:
    known = (data.meta(record).get(name) for name in ("id", "from"))
    return {name for name in known if isinstance(name, str | int)}


def _plain(text: str) -> str:
    """Return the words of a text."""
    return " ".join(_WORD.findall(text.lower()))


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
    if _plain(text) == _plain(before):
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
