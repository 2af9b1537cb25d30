"""Find records that repeat each other, contradict each other, or stand in two files.

    line 3    in  Where is my card?    out  card_arrival
    line 9    in  Where is my card?    out  lost_card         contradictions: 9 (like 3)

Of each record only four numbers of 64 bits are kept, and the signature of
`near_duplicates.NearIndex`, half a kilobyte: a large file fits in memory.
"""

import json
from array import array
from hashlib import blake2b
from typing import Any

from ftlab import data
from ftlab.curation.findings import Finding, finding
from ftlab.curation.near_duplicates import NearIndex

LONG = 12
"""Words in an output from which on it counts as a text of its own, and not as a label."""


def same(*texts: str) -> int:
    """Return a number of 64 bits that equal texts share, whatever spaces are around them."""
    digest = blake2b(digest_size=8)
    for text in texts:
        digest.update(text.strip().encode("utf-8") + b"\0")
    return int.from_bytes(digest.digest(), "little")


def spoken(row: data.Row) -> list[str]:
    """Return the texts of a row by which it is known: each turn before the answer, and the answer.

    What a turn calls of tools belongs to it.
    """

    def text(turn: dict[str, Any]) -> str:
        calls = turn.get("tool_calls")
        return turn["content"] + (json.dumps(calls, sort_keys=True) if calls else "")

    before = data.prompt(row)
    last = data.conversation(row)[len(before)]
    return [*(f"{turn['role']}\n{text(turn)}" for turn in before), text(last)]


class Repeats:
    """What must be remembered of the records of one file to find repetitions."""

    def __init__(self, like: "Repeats | None" = None, *, outputs: bool = False) -> None:
        """Start a file.

        Args:
            like: the training file's, when this is the evaluation file.
            outputs: sign long outputs too, to look for near copies of them.
        """
        self.lines = array("Q")
        self.inputs = array("Q")
        self.outputs = array("Q")
        self.long = array("Q")  # the output's number where it is long, else 0
        self.near: NearIndex = NearIndex(like.near if like else None)
        self.near_outputs: NearIndex | None = None
        if outputs:
            self.near_outputs = NearIndex(like.near_outputs if like else None)

    def see(self, line: int, record: data.Row) -> None:
        """Remember one record."""
        *said, answer = spoken(record)
        output = same(answer)
        self.lines.append(line)
        self.inputs.append(same(*said))
        self.outputs.append(output)
        long = len(answer.split()) >= LONG
        self.long.append(output if long else 0)
        asked = [turn["content"] for turn in data.prompt(record) if turn["role"] != "system"]
        self.near.add("\n".join(asked))
        if self.near_outputs is not None:
            self.near_outputs.add(answer if long else "")


def repetitions(seen: Repeats, *, labelled: bool) -> list[Finding]:
    """Return the findings within one file.

    Args:
        seen: its records.
        labelled: whether its outputs are labels, so that near inputs should agree.
    """
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
    apart = outputs[earlier] != outputs[later]
    return [
        *_findings("exact_duplicates", lines[place], lines[copy_of], copy_of != place),
        *_findings("contradictions", lines[place], lines[asked_before], against),
        *_findings("near_duplicates", lines[later], lines[earlier], np.ones(len(later), bool)),
        *_findings("near_contradictions", lines[later], lines[earlier], apart & labelled),
    ]


def leaks(train: Repeats, held_out: Repeats) -> list[Finding]:
    """Return the findings between a training file and an evaluation file.

    The lines are those of the training file, the others those of the evaluation file. An output
    that answers different inputs of the training file is a label, and no leak.
    """
    import numpy as np

    lines, inputs, outputs, long = (
        np.array(x, np.uint64) for x in (train.lines, train.inputs, train.outputs, train.long)
    )
    there = np.array(held_out.lines, np.uint64)
    if not len(lines) or not len(there):
        return []
    at = _where(np.array(held_out.inputs, np.uint64), inputs)
    leaked = at >= 0
    found = _findings("leak_input", lines, there[at], leaked)
    near, like = train.near.matches(held_out.near).T
    found += _findings("leak_input_near", lines[near], there[like], ~leaked[near])
    leaked[near] = True

    first = _first(outputs)
    shared = np.zeros(len(lines), bool)  # by the first record of each output
    shared[first[inputs != inputs[first]]] = True
    own = (long != 0) & ~shared[first] & ~leaked
    at = _where(np.array(held_out.long, np.uint64), long)
    found += _findings("leak_output", lines, there[at], own & (at >= 0))
    if train.near_outputs is not None and held_out.near_outputs is not None:
        near, like = train.near_outputs.matches(held_out.near_outputs).T
        found += _findings("leak_output_near", lines[near], there[like], (own & (at < 0))[near])
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


def _findings(check: str, lines: Any, others: Any, which: Any) -> list[Finding]:
    """Return a finding of the chosen lines and the lines that they are like, if there is any."""
    if not which.any():
        return []
    return [finding(check, lines[which].tolist(), others[which].tolist())]
