"""Labels of several people: a CSV file out, one back from each, and how far they agree.

    write_csv(client, "traces.csv")      # id, model, user, answer, label, correction, reviewer
    print(read_csv(client, ["ann.csv", "ben.csv"]))

A trace gets the label that most of its reviewers gave; where they are divided it gets none.
"""

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from ftlab.errors import DataError
from ftlab.evaluation.intervals import Interval
from ftlab.evaluation.judge import kappa
from ftlab.files import read_text, write_text
from ftlab.serving.loop import label, question, traces

__all__ = ["COLUMNS", "Reviews", "read_csv", "write_csv"]

COLUMNS = ("id", "model", "user", "answer", "label", "correction", "reviewer")
FORMULA = ("=", "+", "-", "@", "\t")


@dataclass(frozen=True)
class Reviews:
    """What came of several people's labels; `print` shows it."""

    labelled: list[str]  # traces that have a label now
    disputed: list[str]
    """Traces on which the reviewers are divided: they have none, and should be talked about."""
    agreement: dict[tuple[str, str], Interval]
    """Two reviewers -> Cohen's kappa on the traces that both labelled."""

    def __str__(self) -> str:
        told = [f"{len(self.labelled)} labelled, {len(self.disputed)} disputed"]
        told += [f"disputed: {name}" for name in self.disputed]
        return "\n".join(
            told + [f"{a} and {b}: kappa {found}" for (a, b), found in self.agreement.items()]
        )


def write_csv(
    client: Any, path: str | os.PathLike[str], model: str | None = None, *, overwrite: bool = False
) -> int:
    """Write traces for reviewers; return how many.

    A cell that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    found = traces(client, model)
    for trace in found:
        held = [trace["metadata"].get(name, "") for name in COLUMNS[4:]]
        cells = [trace["id"], trace["model"], question(trace["messages"]),
                 trace["answer"].get("content") or "", *held]  # fmt: skip
        table.writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells])
    write_text(Path(path), text.getvalue(), overwrite=overwrite)
    return len(found)


def read_csv(client: Any, paths: Sequence[str | os.PathLike[str]]) -> Reviews:
    """Read reviewers' files, and label the traces as most of them do.

    Where a line names no reviewer, it is the file's name. A correction without a label means bad.

    Raises:
        DataError: a file lacks a column, or a label is neither good nor bad, or of no trace; no
            trace is labelled then.
    """
    votes: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)  # trace -> reviewer -> vote
    known = {trace.id for trace in client.chat.completions.list(limit=100)}
    for path in paths:
        rows = csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff")))
        if missing := {"id", "label"} - set(rows.fieldnames or ()):
            raise DataError(f"{path} has no column {' or '.join(sorted(missing))}.")
        for row in rows:
            name, mark, better, who = (
                (row.get(key) or "").strip() for key in ("id", "label", "correction", "reviewer")
            )
            if better[:1] == "'" and better[1:].startswith(FORMULA):
                better = better[1:]
            mark = mark.lower() or ("bad" if better else "")
            if mark not in ("", "good", "bad") or (mark and name not in known):
                raise DataError(
                    f"{path}, line {rows.line_num}: label {mark!r} of {name!r}. Labels are good "
                    "and bad, of traces that are there; nothing was labelled."
                )
            if mark:
                votes[name][who or Path(path).stem] = (mark, better)
    labelled, disputed = [], []
    for name, given in votes.items():
        most = Counter(mark for mark, _ in given.values()).most_common()
        if len(most) > 1 and most[0][1] == most[1][1]:
            disputed.append(name)
            continue
        better = next((text for mark, text in given.values() if text and mark == most[0][0]), "")
        label(client, name, label=most[0][0], correction=better, reviewer=", ".join(given)[:512])
        labelled.append(name)
    pairs = {}
    for a, b in combinations(dict.fromkeys(who for given in votes.values() for who in given), 2):
        both = [(given[a][0], given[b][0]) for given in votes.values() if {a, b} <= given.keys()]
        pairs[a, b] = kappa([mark for mark, _ in both], [mark for _, mark in both])
    return Reviews(labelled, disputed, pairs)
