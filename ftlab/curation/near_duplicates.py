"""Find texts that are nearly the same, in time that grows with their number and not its square.

    I am still waiting on my card?     Jaccard 1.0   I am still waiting on my CARD
    I am still waiting on my card?     Jaccard 0.5   I am still waiting for my card?

A text is the set of its neighbouring word pairs, in lower case without marks. Two texts are near
when they share at least 80 % of the pairs that either has (the Jaccard index). MinHash (Broder
1997, here from the library datasketch) gives each text a signature in which the share of equal
places estimates that index; texts whose signature agrees in a whole band are compared (Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, chapter 3).

>>> index = NearIndex()
>>> for text in ["I still wait for my card?", "Where is it now?", "i STILL wait for my card"]:
...     index.add(text)
>>> index.pairs().tolist()
[[0, 2]]
"""

import re
from array import array
from collections import Counter
from typing import Any
from zlib import crc32

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

    def _signatures(self) -> Any:
        """Return all signatures, (texts, places)."""
        import numpy as np

        self._learn()
        return np.array(self._rows, np.uint32).reshape(-1, PLACES)

    def pairs(self, threshold: float = THRESHOLD) -> Any:
        """Return pairs (earlier, later) of near texts, as an array of shape (pairs, 2), sorted.

        Texts that meet in a band are compared with the first there and with the one before, not
        each with each: every text of a cluster is found, not every pair of it.
        """
        import numpy as np

        rows = self._signatures()
        found = []
        for band in range(BANDS):
            keys = _keys(rows, band)
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])[: len(keys)]
            if len(starts) == len(keys):
                continue
            place = np.arange(len(keys))
            first = np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
            later = place[place > first]
            for earlier in (first[later], later - 1):
                found.append(np.stack([order[earlier], order[later]], axis=1))
        return self._checked(found, rows, rows, self, threshold)

    def matches(self, other: "NearIndex", threshold: float = THRESHOLD) -> Any:
        """Return pairs (number here, number in `other`) of near texts, one for each text here.

        Args:
            other: made with `like=self`.
            threshold: least estimated Jaccard index.
        """
        import numpy as np

        mine, theirs = self._signatures(), other._signatures()
        found = []
        for band in range(BANDS if len(mine) and len(theirs) else 0):
            keys = _keys(theirs, band)
            order = np.argsort(keys, kind="stable")
            sought = _keys(mine, band)
            at = np.searchsorted(keys[order], sought)
            at[at == len(keys)] = 0
            hit = np.flatnonzero(keys[order][at] == sought)
            found.append(np.stack([hit, order[at[hit]]], axis=1))
        pairs = self._checked(found, mine, theirs, other, threshold)
        return pairs[np.unique(pairs[:, 0], return_index=True)[1]]

    def _checked(
        self, found: list[Any], mine: Any, theirs: Any, other: "NearIndex", threshold: float
    ) -> Any:
        """Keep the candidates whose signatures agree enough; give them their texts' numbers."""
        import numpy as np

        if not found:
            return np.empty((0, 2), np.int64)
        candidates = np.unique(np.concatenate(found), axis=0)
        kept = [
            block[(mine[block[:, 0]] == theirs[block[:, 1]]).mean(axis=1) >= threshold]
            for block in np.array_split(candidates, len(candidates) // BLOCK + 1)
        ]
        rows = np.concatenate(kept).reshape(-1, 2)
        here, there = np.array(self._numbers, np.int64), np.array(other._numbers, np.int64)
        if not len(rows):
            return np.empty((0, 2), np.int64)
        return np.stack([here[rows[:, 0]], there[rows[:, 1]]], axis=1)


def _same(value: int) -> int:
    return value


def _keys(rows: Any, band: int) -> Any:
    """Return one number of 64 bits for each signature's band."""
    import numpy as np

    keys = np.zeros(len(rows), np.uint64)
    for place in range(band * ROWS, (band + 1) * ROWS):
        keys = (keys ^ rows[:, place]) * np.uint64(0x100000001B3) + np.uint64(place)
        keys ^= keys >> np.uint64(29)
    return keys
