"""Find texts that are nearly the same, in time that grows with their number and not its square.

    I am still waiting on my card?     Jaccard 1.0   I am still waiting on my CARD
    I am still waiting on my card?     Jaccard 0.5   I am still waiting for my card?

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

import re
from array import array
from collections import Counter
from collections.abc import Sequence
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


# What records ask.


def asked(record: data.Row) -> str:
    """Return what a record asks, without its system message."""
    return "\n".join(turn["content"] for turn in data.prompt(record) if turn["role"] != "system")


def instruction(texts: Sequence[str]) -> str:
    """Return the whole lines that all texts begin with; "" for fewer than two different texts.

    >>> instruction(["Sort this:\\n\\na", "Sort this:\\n\\nand"])
    'Sort this:\\n\\n'
    """
    first, last = min(texts, default=""), max(texts, default="")  # what these share, all share
    if first == last:
        return ""
    pairs = enumerate(zip(first, last, strict=False))
    end = next((i for i, (a, b) in pairs if a != b), len(first))
    return first[: first.rfind("\n", 0, end) + 1]


class NearIndex:
    """The signatures of many texts, numbered from 0 in the order in which they were added.

    The first 400 texts are held back to learn the scaffolding: word pairs that stand in more than a
    fifth of them, such as an instruction before every input. They do not count, because otherwise
    all records of one prompt would be near each other.
    """

    def __init__(self, like: "NearIndex | None" = None) -> None:
        """Make an index; `like` gives it another's scaffolding, so that the two compare."""
        from datasketch import MinHash

        self._minhash = MinHash(num_perm=PLACES, seed=1, hashfunc=_same)
        self._waiting: list[set[int]] = []
        if like is not None:
            like._learn()
        self.common: set[int] | None = None if like is None else like.common
        """The scaffolding's word pairs, once it is known."""
        self._numbers = array("Q")  # of the texts that were long enough to be signed
        self._rows: list[Any] = []  # half a kilobyte a text
        self._added = 0

    def add(self, text: str) -> None:
        """Sign a text; its number is that of texts added before."""
        found = pairs_of_words(text)
        if self.common is None:
            self._waiting.append(found)
            if len(self._waiting) >= SAMPLE:
                self._learn()
        else:
            self._sign(found)

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
        rows = np.array([*other._rows, *self._rows], np.uint32).reshape(-1, PLACES)
        pairs = _near(rows)
        pairs = pairs[(pairs[:, 0] < known) & (pairs[:, 1] >= known)]
        pairs = pairs[np.unique(pairs[:, 1], return_index=True)[1]]
        here, there = np.array(self._numbers, np.int64), np.array(other._numbers, np.int64)
        return np.stack([here[pairs[:, 1] - known], there[pairs[:, 0]]], axis=1)


def _near(rows: Any) -> Any:
    """Return the places (earlier, later) of near signatures; `rows` is (texts, PLACES)."""
    import numpy as np

    found = [np.empty((0, 2), np.int64)]
    for band in range(BANDS):
        keys = _keys(rows[:, band * ROWS : (band + 1) * ROWS])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])[: len(keys)]
        first = np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
        later = np.flatnonzero(np.arange(len(keys)) > first)
        for earlier in (first[later], later - 1):
            found.append(np.stack([order[earlier], order[later]], axis=1))
    candidates = np.unique(np.concatenate(found), axis=0)
    kept = [
        block[(rows[block[:, 0]] == rows[block[:, 1]]).mean(axis=1) >= THRESHOLD]
        for block in np.array_split(candidates, len(candidates) // BLOCK + 1)
    ]
    return np.concatenate(kept)


def _same(value: int) -> int:
    return value


def _keys(rows: Any) -> Any:
    """Return one number of 64 bits for each row."""
    import numpy as np

    keys = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        keys = (keys ^ column) * np.uint64(0x100000001B3)
        keys ^= keys >> np.uint64(29)
    return keys
