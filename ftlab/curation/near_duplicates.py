"""Find texts that are nearly the same, in time that grows with their number and not its square.

A text is the set of its neighbouring word pairs, in lower case without marks. Two texts are near
when they share at least 80 % of the pairs that either has (the Jaccard index). MinHash (Broder
1997, here from the library datasketch) gives each text a signature in which the share of equal
places estimates that index; texts whose signature agrees in a whole band are compared (Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, chapter 3). The bands are sorted arrays here:
datasketch's own MinHashLSH finds the same and takes as long, and 100,000 texts took 800 MB in it.

>>> index = NearIndex()
>>> for text in ["I still wait for my card?", "Where is it now?", "i STILL wait for my card"]:
...     index.add(text)
>>> index.pairs().tolist()
[[0, 2]]
"""

import json
import re
from array import array
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any
from zlib import crc32

from ftlab import data

THRESHOLD = 0.8
BANDS, ROWS = 21, 6  # a pair with Jaccard 0.8 meets in some band with probability 0.998
PLACES = BANDS * ROWS  # of a signature; the estimate's standard error at 0.8 is 0.036
SAMPLE = 400  # texts read before any is signed, to learn what they all have in common
COMMON = 0.2  # word pairs in more than this share of them are scaffolding and do not count
LEAST = 3  # word pairs that must remain; of shorter texts only exact copies can be told
BLOCK = 4096  # candidates compared at once
_WORDS = re.compile(r"\w+")
_START = 0x9E3779B9  # stands before the first word and behind the last


def pairs_of_words(text: str) -> set[int]:
    """Return the neighbouring word pairs of a text, each as a number of 32 bits."""
    hashes = [crc32(word.encode("utf-8", "replace")) for word in _WORDS.findall(text.lower())]
    if not hashes:
        return set()
    before = [_START, *hashes]
    # The multiplier makes the order of the two words count.
    return {(a * 0x01000193 ^ b) & 0xFFFFFFFF for a, b in zip(before, [*hashes, _START])}  # noqa: B905


def jaccard(a: set[int], b: set[int]) -> float:
    """Return what two sets share, over what either has; 1 for two empty ones."""
    return len(a & b) / len(a | b) if a or b else 1.0


def asked(record: data.Row) -> str:
    """Return what a record asks, without its system message."""
    return "\n".join(turn["content"] for turn in data.prompt(record) if turn["role"] != "system")


def instruction(texts: Sequence[str]) -> str:
    """Return the whole lines that all texts begin with; "" for fewer than two different texts."""
    first, last = min(texts, default=""), max(texts, default="")  # what these share, all share
    if first == last:
        return ""
    pairs = enumerate(zip(first, last, strict=False))
    end = next((i for i, (a, b) in pairs if a != b), len(first))
    return first[: first.rfind("\n", 0, end) + 1]


class NearIndex:
    """The signatures of many texts, half a kilobyte each, numbered from 0 as they were added.

    The first 400 texts are held back to learn the scaffolding: word pairs that stand in more than a
    fifth of them, such as an instruction before every input. They do not count, because otherwise
    all records of one prompt would be near each other.
    """

    def __init__(self, like: "NearIndex | None" = None) -> None:
        """Make an index; `like` gives it another's scaffolding, so that the two compare."""
        from datasketch import MinHash

        self._minhash = MinHash(num_perm=PLACES, seed=1, hashfunc=lambda value: value)
        self._waiting: list[set[int]] = []
        if like is not None:
            like._learn()
        self.common: set[int] | None = like.common if like else None  # once it is known
        self._numbers = array("Q")  # of the texts that were long enough to be signed
        self._rows: list[Any] = []
        self._added = 0

    def add(self, text: str) -> None:
        """Sign a text; its number is that of texts added before."""
        found = pairs_of_words(text)
        if self.common is not None:
            self._sign(found)
            return
        self._waiting.append(found)
        if len(self._waiting) >= SAMPLE:
            self._learn()

    def _learn(self) -> None:
        """Settle what is scaffolding, and sign the texts that waited for it."""
        if self.common is not None:
            return
        seen = Counter(pair for found in self._waiting for pair in found)
        least = max(COMMON * len(self._waiting), 10)
        self.common = {pair for pair, count in seen.items() if count > least}
        waiting, self._waiting = self._waiting, []
        for found in waiting:
            self._sign(found)

    def _sign(self, found: set[int]) -> None:
        number, self._added = self._added, self._added + 1
        # A text of scaffolding alone counts whole: such are copies of each other.
        left = found - self.common or found if self.common else found
        if len(left) < LEAST:
            return
        self._minhash.clear()
        self._minhash.update_batch(left)
        self._rows.append(self._minhash.hashvalues.astype("uint32"))
        self._numbers.append(number)

    def pairs(self) -> Any:
        """Return pairs (earlier, later) of near texts, as an array of shape (pairs, 2), sorted.

        Texts that meet in a band are compared with the first there and with the one before, not
        each with each: every text of a cluster is found, not every pair of it.
        """
        import numpy as np

        self._learn()
        numbers = np.array(self._numbers, np.int64)
        return numbers[_near(np.array(self._rows, np.uint32).reshape(-1, PLACES))]

    def matches(self, other: "NearIndex") -> Any:
        """Return pairs (number here, number in `other`) of near texts, one for each text here.

        `other` was made with `like=self`, so that both leave out the same.
        """
        import numpy as np

        self._learn()
        other._learn()
        known = len(other._rows)  # theirs stand first, so that ours are compared with them
        pairs = _near(np.array([*other._rows, *self._rows], np.uint32).reshape(-1, PLACES))
        pairs = pairs[(pairs[:, 0] < known) & (pairs[:, 1] >= known)]
        pairs = pairs[np.unique(pairs[:, 1], return_index=True)[1]]
        here, there = np.array(self._numbers, np.int64), np.array(other._numbers, np.int64)
        return np.stack([here[pairs[:, 1] - known], there[pairs[:, 0]]], axis=1)


def _near(rows: Any) -> Any:
    """Return the places (earlier, later) of near signatures; `rows` is (texts, PLACES)."""
    import numpy as np

    found = [np.empty((0, 2), np.int64)]
    for band in range(BANDS):
        keys = np.zeros(len(rows), np.uint64)  # one number of 64 bits for each text
        for column in rows[:, band * ROWS : (band + 1) * ROWS].T:
            keys = (keys ^ column) * np.uint64(0x100000001B3)
            keys ^= keys >> np.uint64(29)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])[: len(keys)]
        first = np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
        later = np.flatnonzero(np.arange(len(keys)) > first)
        for earlier in (first[later], later - 1):
            found.append(np.stack([order[earlier], order[later]], axis=1))
    candidates = np.unique(np.concatenate(found), axis=0)
    blocks = np.array_split(candidates, len(candidates) // BLOCK + 1)
    same = lambda pairs: (rows[pairs[:, 0]] == rows[pairs[:, 1]]).mean(axis=1)
    return np.concatenate([pairs[same(pairs) >= THRESHOLD] for pairs in blocks])


# Records that repeat each other, contradict each other, or stand in two files.

LONG = 12  # words in an output from which on it is a text of its own, and not a label
Found = dict[str, tuple[list[int], list[int]]]  # check -> lines, and the line each is like


def same(*texts: str) -> int:
    """Return a number of 64 bits that equal texts share, whatever spaces are around them."""
    digest = blake2b(digest_size=8)
    for text in texts:
        digest.update(text.strip().encode("utf-8") + b"\0")
    return int.from_bytes(digest.digest(), "little")


def spoken(row: data.Row) -> list[str]:
    """Return the texts by which a row is known, with what is called of tools; the answer last."""
    before = data.prompt(row)
    last = data.conversation(row)[len(before)]

    def text(turn: dict[str, Any]) -> str:
        calls = turn.get("tool_calls")
        return turn["content"] + (json.dumps(calls, sort_keys=True) if calls else "")

    return [*(f"{turn['role']}\n{text(turn)}" for turn in before), text(last)]


class Repeats:
    """What must be remembered of the records of one file: a few numbers each, and signatures."""

    def __init__(self, like: "Repeats | None" = None, *, outputs: bool = False) -> None:
        """Start a file, maybe `like` another; `outputs` signs long outputs too."""
        # Of `long` outputs the number stands a second time; for others 0.
        self.lines, self.inputs, self.outputs, self.long = (array("Q") for _ in range(4))
        self.near: NearIndex = NearIndex(like.near if like else None)
        self.near_outputs: NearIndex | None = None
        if outputs:
            self.near_outputs = NearIndex(like.near_outputs if like else None)

    def see(self, line: int, record: data.Row) -> None:
        """Remember one record."""
        *said, answer = spoken(record)
        long, number = len(answer.split()) >= LONG, same(answer)
        values = (line, same(*said), number, number if long else 0)
        for column, value in zip((self.lines, self.inputs, self.outputs, self.long), values):  # noqa: B905
            column.append(value)
        self.near.add(asked(record))
        if self.near_outputs is not None:
            self.near_outputs.add(answer if long else "")


def repetitions(seen: Repeats, *, labelled: bool) -> Found:
    """Return what repeats within one file; near inputs should agree where outputs are labels."""
    import numpy as np

    kept = (seen.lines, seen.inputs, seen.outputs)
    lines, inputs, outputs = (np.array(column, np.uint64) for column in kept)
    place = np.arange(len(lines))
    mixed = inputs * np.uint64(0x9E3779B97F4A7C15) ^ outputs  # of the whole record
    copy_of, asked_before = _first(mixed), _first(inputs)
    pairs = seen.near.pairs()
    pairs = pairs[inputs[pairs[:, 0]] != inputs[pairs[:, 1]]]
    earlier, later = pairs[np.unique(pairs[:, 1], return_index=True)[1]].T
    # A duplicate of a line that contradicts is reported once, as a duplicate.
    against = (outputs != outputs[asked_before]) & (copy_of == place)
    apart = (outputs[earlier] != outputs[later]) & labelled
    return _named(
        exact_duplicates=(lines, lines[copy_of], copy_of != place),
        contradictions=(lines, lines[asked_before], against),
        near_duplicates=(lines[later], lines[earlier], np.ones(len(later), bool)),
        near_contradictions=(lines[later], lines[earlier], apart),
    )


def leaks(train: Repeats, held_out: Repeats) -> Found:
    """Return lines of a training file that are like lines of an evaluation file.

    An output that answers different inputs of the training file is a label, and no leak.
    """
    import numpy as np

    lines, inputs, outputs, long = (
        np.array(x, np.uint64) for x in (train.lines, train.inputs, train.outputs, train.long)
    )
    there = np.array(held_out.lines, np.uint64)
    if not len(lines) or not len(there):
        return {}
    at = _where(np.array(held_out.inputs, np.uint64), inputs)
    leaked = at >= 0
    near, like = train.near.matches(held_out.near).T
    found = _named(leak_input=(lines, there[at], leaked),
                   leak_input_near=(lines[near], there[like], ~leaked[near]))  # fmt: skip
    leaked[near] = True
    first = _first(outputs)
    shared = np.zeros(len(lines), bool)  # by the first record of each output
    shared[first[inputs != inputs[first]]] = True
    own = (long != 0) & ~shared[first] & ~leaked
    at = _where(np.array(held_out.long, np.uint64), long)
    found |= _named(leak_output=(lines, there[at], own & (at >= 0)))
    if train.near_outputs is not None and held_out.near_outputs is not None:
        near, like = train.near_outputs.matches(held_out.near_outputs).T
        which = (own & (at < 0))[near]
        found |= _named(leak_output_near=(lines[near], there[like], which))
    return found


def _first(keys: Any) -> Any:
    """Return for each key the place where it stands first."""
    import numpy as np

    _, places, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return places[inverse]


def _where(keys: Any, sought: Any) -> Any:
    """Return for each number sought where it stands first among the keys, -1 if nowhere."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    at = np.searchsorted(keys, sought, sorter=order)
    at[at == len(keys)] = 0
    return np.where(keys[order[at]] == sought, order[at], -1)


def _named(**found: tuple[Any, Any, Any]) -> Found:
    """Return the chosen lines of each check, and those that they are like, if there are any."""
    return {check: (lines[which].tolist(), others[which].tolist())
            for check, (lines, others, which) in found.items() if which.any()}  # fmt: skip
