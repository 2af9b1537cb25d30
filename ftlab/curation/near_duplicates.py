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
from ftlab.curation.findings import Notes

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

    def __init__(self) -> None:
        from datasketch import MinHash

        self._minhash = MinHash(num_perm=PLACES, seed=1, hashfunc=lambda value: value)
        self._waiting: list[set[int]] = []
        self._common: set[int] | None = None  # the scaffolding, once it is known
        self._numbers = array("Q")  # of the texts that were long enough to be signed
        self._rows: list[Any] = []
        self._added = 0

    def add(self, text: str) -> None:
        """Sign a text; its number is that of texts added before."""
        self._waiting.append(pairs_of_words(text))
        if self._common is not None or len(self._waiting) >= SAMPLE:
            self._sign()

    def _sign(self) -> None:
        """Sign the texts that wait; the first time, settle what is scaffolding."""
        if self._common is None:
            seen = Counter(pair for found in self._waiting for pair in found)
            least = max(COMMON * len(self._waiting), 10)
            self._common = {pair for pair, count in seen.items() if count > least}
        for found in self._waiting:
            # A text of scaffolding alone counts whole: such are copies of each other.
            left = found - self._common or found
            if len(left) >= LEAST:
                self._minhash.clear()
                self._minhash.update_batch(left)
                self._rows.append(self._minhash.hashvalues.astype("uint32"))
                self._numbers.append(self._added)
            self._added += 1
        self._waiting.clear()

    def pairs(self) -> Any:
        """Return pairs (earlier, later) of near texts, as an array of shape (pairs, 2), sorted.

        Texts that meet in a band are compared with the first there and with the one before, not
        each with each: every text of a cluster is found, not every pair of it.
        """
        import numpy as np

        self._sign()
        rows = np.array(self._rows, np.uint32).reshape(-1, PLACES)
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
        alike = lambda pairs: (rows[pairs[:, 0]] == rows[pairs[:, 1]]).mean(axis=1)
        near = np.concatenate([pairs[alike(pairs) >= THRESHOLD] for pairs in blocks])
        return np.array(self._numbers, np.int64)[near]


# Records that repeat each other, contradict each other, or stand in two files.

LONG = 12  # words in an output from which on it is a text of its own, and not a label


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
    """What repeats in a file, and what of it stands in an evaluation file, which is held first.

    Of a record nothing is kept but a few numbers and its signature.
    """

    def __init__(self) -> None:
        self.lines, self._held = array("Q"), array("Q")
        self._inputs, self._outputs = array("Q"), array("Q")
        self._near = NearIndex()  # of the held records, then of the others
        self._first: dict[int, int] = {}  # input -> place of the record that has it first
        self._again: dict[tuple[int, int], int] = {}  # input and another output -> place
        self._held_inputs: dict[int, int] = {}  # input -> line
        self._held_outputs: dict[int, int] = {}
        self._suspects: dict[int, list[int]] = {}  # long output that is held too -> places
        self._leaked: set[int] = set()

    def hold(self, line: int, record: data.Row) -> None:
        """Remember a record of the evaluation file."""
        *said, answer = spoken(record)
        self._held.append(line)
        self._held_inputs.setdefault(same(*said), line)
        if len(answer.split()) >= LONG:
            self._held_outputs.setdefault(same(answer), line)
        self._near.add(asked(record))

    def see(self, line: int, record: data.Row, notes: Notes) -> None:
        """Compare a record with those before it and those held."""
        *said, answer = spoken(record)
        given, output, place = same(*said), same(answer), len(self.lines)
        self.lines.append(line)
        self._inputs.append(given)
        self._outputs.append(output)
        self._near.add(asked(record))
        if (like := self._held_inputs.get(given)) is not None:
            self._leaked.add(place)
            notes.add("leak_input", line, like=like)
        if output in self._held_outputs and len(answer.split()) >= LONG:
            self._suspects.setdefault(output, []).append(place)
        first = self._first.setdefault(given, place)
        if first == place:
            return
        other = output != self._outputs[first]
        before = self._again.setdefault((given, output), place) if other else first
        if before != place:
            notes.add("exact_duplicates", line, like=self.lines[before])
        else:
            notes.add("contradictions", line, like=self.lines[first])

    def finish(self, notes: Notes, *, labelled: bool) -> None:
        """Put down what is near; near inputs should agree where the outputs are labels."""
        held, known = len(self._held), set[int]()
        for earlier, later in ((a - held, b - held) for a, b in self._near.pairs().tolist()):
            if later < 0:
                continue
            line = self.lines[later]
            if earlier < 0:
                if later not in self._leaked:
                    self._leaked.add(later)
                    notes.add("leak_input_near", line, like=self._held[earlier + held])
            elif later not in known and self._inputs[earlier] != self._inputs[later]:
                known.add(later)
                notes.add("near_duplicates", line, like=self.lines[earlier])
                if labelled and self._outputs[earlier] != self._outputs[later]:
                    notes.add("near_contradictions", line, like=self.lines[earlier])
        for output, places in self._suspects.items():
            # What answers different inputs is a label, and no leak.
            if len({self._inputs[place] for place in places}) == 1:
                for place in set(places) - self._leaked:
                    notes.add("leak_output", self.lines[place], like=self._held_outputs[output])
