"""Divide records into train, val and test, so that no sibling of a record crosses; or mix them.

    a   Where is my card?            group ticket-1     ┐ one cluster: a and b share the group,
    b   It says delivered. Is it?    group ticket-1     │ b and c are nearly the same text
    c   It says delivered!! Is it?   group ticket-9     ┘

What shares a group (an author, a source file, a template) or nearly its text is linked; what hangs
together by links is a *cluster*, and goes to one part whole: a model that has read `b` answers `c`
from memory, and a test on `c` would measure that. Clusters are dealt out from the largest to the
smallest, each to the part with room for it where the counts of all labels come nearest to their
shares (the greedy method of scikit-learn's StratifiedGroupKFold, for parts of any size). The order
of the records does not matter.
"""

import hashlib
import json
import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftlab import data
from ftlab.curation.near_duplicates import NearIndex, asked
from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import write_text

NAMES = {2: ("train", "test"), 3: ("train", "val", "test")}
NONE = "(none)"
"""The stratum of records that lack the field."""
STRATA = ("slice", "difficulty", "completion")
"""Fields by which records are stratified where nobody says by which, the first that serves."""
_WORDS = re.compile(r"\w+")


def shuffled(records: Sequence[data.Row], seed: int, salt: str = "") -> list[int]:
    """Return the places of the records in an order that their content, seed and salt decide."""
    copies: Counter[str] = Counter()
    keys = []
    for record in records:
        print_ = data.fingerprint([record])
        copies[print_] += 1
        keys.append(hashlib.sha256(f"{salt} {seed} {print_} {copies[print_]}".encode()).digest())
    return sorted(range(len(keys)), key=keys.__getitem__)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as plain text in columns: the first to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *rest in cells:
        right = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *right]).rstrip())
    return "\n".join(lines)


@dataclass(frozen=True)
class Split:
    """The parts, and the arithmetic that led to them; `print` shows it."""

    parts: dict[str, list[data.Row]]
    """train, val and test, or train and test; each in the order of the input."""
    clusters: dict[str, int]
    """How many clusters each part has: that many are independent of each other."""
    arithmetic: str
    """From records to clusters to parts."""

    def __str__(self) -> str:
        return self.arithmetic

    def __getitem__(self, part: str) -> list[data.Row]:
        return self.parts[part]

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write each part as JSONL, and the arithmetic as split.txt: all of them or none.

        Raises:
            DataError: the folder is not empty or cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} is not an empty folder. Choose another.")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".saving-") as temporary:
                for name, records in self.parts.items():
                    data.write(Path(temporary, "parts", f"{name}.jsonl"), records)
                write_text(Path(temporary, "parts", "split.txt"), f"{self}\n")
                if folder.exists():
                    folder.rmdir()  # Windows renames onto nothing only
                Path(temporary, "parts").rename(folder)
        except OSError as error:
            raise DataError(f"Could not write {folder}: {error.strerror or error}.") from error
        return sorted(folder.iterdir())


def split(
    records: Sequence[data.Row], sizes: Sequence[float], *, by: Sequence[str] | None = None,
    label: str | None = None, near: bool = True, seed: int = 0,
) -> Split:  # fmt: skip
    """Divide records into parts that share no group and no nearly equal input.

    Args:
        records: what to divide.
        sizes: of train and test, or of train, val and test: shares that add up to 1.
        by: fields of `meta`; records with an equal value in one of them stay together. None
            takes "group" where records have one.
        label: the field by which to stratify, or "completion"; "" for none; None to take slice,
            difficulty or completion, the first that serves.
        near: keep nearly equal inputs together; those of equal words always are.
        seed: of the choice between like clusters.

    Raises:
        ConfigError: the sizes make no sense, or no record has a field.
        DataError: a part would be empty.

    >>> pool = [data.example(f"text {i}", "x", group=f"{i // 4}") for i in range(40)]
    >>> print(split(pool, [0.8, 0.2], near=False))
    40 records
    - 30  linked by the field group
    = 10  clusters, the largest of 4
    part   wanted  records  share  clusters
    train      32       32  80.0%         8
    test        8        8  20.0%         2
    Seed 0, not stratified.
    """
    if not records:
        raise DataError("There are no records to divide.")
    goals = _goals(sizes, len(records))
    if by is None:
        by = ["group"] if any("group" in data.meta(record) for record in records) else []
    label, labels = _strata(records, label)
    cluster, steps = clusters(records, by, near=near)
    part_of = _deal(records, cluster, labels, goals, seed)
    dealt = [part_of[number] for number in cluster]
    parts: dict[str, list[data.Row]] = {name: [] for name in goals}
    for record, name in zip(records, dealt, strict=True):
        parts[name].append(record)
    whole = dict(Counter(part_of.values()))
    if empty := next((name for name in goals if not parts[name]), None):
        raise DataError(
            f"{empty} would be empty: the {len(records):,} records hang together in "
            f"{len(part_of):,} clusters, the largest of {max(Counter(cluster).values()):,}. "
            "Take another field to keep together, or a larger share."
        )
    rows = [[name, f"{goals[name]:,}", f"{len(part):,}", f"{len(part) / len(records):.1%}",
             f"{whole[name]:,}"] for name, part in parts.items()]  # fmt: skip
    shown = table(["part", "wanted", "records", "share", "clusters"], rows)
    how = f"Seed {seed}, {f'stratified by {label}' if label else 'not stratified'}."
    return Split(parts, whole, "\n".join([*steps, shown, how]))


def clusters(
    records: Sequence[data.Row], by: Sequence[str] = (), *, near: bool = True
) -> tuple[list[int], list[str]]:
    """Return the number of each record's cluster, and lines that count what was linked.

    Equal values of the fields `by` link, and inputs of equal words; nearly equal ones if `near`.

    Raises:
        ConfigError: no record has one of the fields.
    """
    from scipy.cluster.hierarchy import DisjointSet

    texts = [asked(record) for record in records]
    links: dict[str, list[tuple[int, int]]] = {}
    columns = {f"the field {field}": values(records, field) for field in by}
    columns["equal words"] = [" ".join(_WORDS.findall(t.lower())) or t for t in texts]
    for what, column in columns.items():
        first: dict[str, int] = {}
        links[what] = [(first.setdefault(x, i), i) for i, x in enumerate(column) if x is not None]
    if near:
        order = shuffled(records, 0, "near")  # the index learns from what comes first
        index = NearIndex()
        for i in order:
            index.add(texts[i])
        links["nearly equal inputs"] = [(order[a], order[b]) for a, b in index.pairs().tolist()]
    steps, sets = [f"{len(records):,} records"], DisjointSet(range(len(records)))
    for what, pairs in links.items():
        before = sets.n_subsets
        for pair in pairs:
            sets.merge(*pair)
        if sets.n_subsets < before:
            steps.append(f"- {before - sets.n_subsets:,}  linked by {what}")
    found = [sets[i] for i in range(len(records))]
    sizes = [*Counter(found).values(), 0]
    return found, [*steps, f"= {sets.n_subsets:,}  clusters, the largest of {max(sizes):,}"]


def values(records: Sequence[data.Row], field: str) -> list[str | None]:
    """Return what each record has in a field of its `meta`, or as "completion", as text.

    Raises:
        ConfigError: none has the field; the message lists the fields.
    """
    if field == "completion":
        return [data.answer(record).strip() for record in records]
    found = [data.meta(record).get(field) for record in records]
    if all(one is None for one in found):
        raise_unknown("field", field, {"completion"}.union(*map(data.meta, records)))
    return [one if one is None or isinstance(one, str) else json.dumps(one, sort_keys=True)
            for one in found]  # fmt: skip


def _strata(records: Sequence[data.Row], by: str | None) -> tuple[str | None, list[str]]:
    """Return the field to stratify by, if any, and the stratum of each record."""
    if by:
        return by, [one or NONE for one in values(records, by)]
    for field in STRATA if by is None else ():
        if field == "completion" or any(field in data.meta(record) for record in records):
            found = [one or NONE for one in values(records, field)]
            if 2 <= len(set(found)) <= len(records) / 10:
                return field, found
    return None, [NONE] * len(records)


def _goals(sizes: Sequence[float], n: int) -> dict[str, int]:
    """Return how many records each part should have, at least one; they add up to `n`."""
    shares = all(size > 0 for size in sizes) and math.isclose(sum(sizes), 1, abs_tol=1e-6)
    if len(sizes) not in NAMES or not shares:
        raise ConfigError(
            f"The sizes are {list(sizes)}. Give two (train, test) or three (train, val, test) "
            "shares above 0 that add up to 1, as 0.8 0.1 0.1."
        )
    if n < len(sizes):
        raise DataError(f"{n} records cannot make {len(sizes)} parts.")
    names = NAMES[len(sizes)]
    ends = [round(n * sum(sizes[:i]) + 1e-9) for i in range(len(sizes) + 1)]
    goals = {name: ends[i + 1] - ends[i] for i, name in enumerate(names)}
    for name in names:
        if not goals[name]:
            goals[name] += 1
            goals[max(goals, key=goals.__getitem__)] -= 1
    return goals


def _deal(
    records: Sequence[data.Row], cluster: Sequence[int], labels: Sequence[str],
    goals: dict[str, int], seed: int,
) -> dict[int, str]:  # fmt: skip
    """Return the part of each cluster."""
    of_cluster: dict[int, Counter[str | None]] = {}
    for i in shuffled(records, seed, "split"):  # a cluster stands where its first record does
        # The size counts like a label that all have.
        of_cluster.setdefault(cluster[i], Counter()).update([labels[i], None])
    all_labels: Counter[str | None] = Counter(labels)
    all_labels[None] = len(records)
    share = {name: goal / len(records) for name, goal in goals.items()}
    have: dict[str, Counter[str | None]] = {name: Counter() for name in goals}
    part_of: dict[int, str] = {}

    def excess(name: str) -> float:
        """How much further from its shares the part would be, in chi-square."""
        aims = {x: share[name] * all_labels[x] for x in counts}
        return sum(count * (2 * (have[name][x] - aims[x]) + count) / aims[x]
                   for x, count in counts.items())  # fmt: skip

    for number, counts in sorted(of_cluster.items(), key=lambda item: -item[1][None]):
        room = {name: goals[name] - have[name][None] for name in goals}
        fits = [name for name in goals if room[name] >= counts[None]]
        name = min(fits, key=excess) if fits else max(goals, key=lambda x: room[x] / goals[x])
        part_of[number] = name
        have[name] += counts
    return part_of


@dataclass(frozen=True)
class Mixture:
    """Records, and the arithmetic that led to them; `print` shows it."""

    records: list[data.Row]
    """What is to be read, shuffled."""
    counts: dict[str, int]
    """How many of them came from each source."""
    arithmetic: str

    def __str__(self) -> str:
        return self.arithmetic


def mix(
    sources: Mapping[str, Sequence[data.Row]], weights: Mapping[str, float], *,
    size: int | None = None, seed: int = 0,
) -> Mixture:  # fmt: skip
    """Mix sources, each record read as often as the weight of its source says: 9 up-samples.

    Where a weight is not whole, some records are read once more than others; which ones follows
    from their content and the seed alone. Split first and up-sample the training part alone, or
    copies stand on both sides.

    Args:
        sources: records by the name of their source.
        weights: how often each record of a source is read; with `size`, relative to the others.
        size: records in all; None for what the weights give.
        seed: decides which records a broken weight takes, and the order.

    Raises:
        ConfigError: a weight is negative or no number, or nothing is left.
        DataError: a source is empty.

    >>> senior = [data.example(f"diff {i}", "Good.") for i in range(2)]
    >>> junior = [data.example(f"diff {i}", "LGTM") for i in range(2, 8)]
    >>> print(mix({"senior": senior, "junior": junior}, {"senior": 3, "junior": 1}))
    source  have  weight  records  share
    senior     2       3        6  50.0%
    junior     6       1        6  50.0%
    total      8              12
    12 records, 8 of them different
    """
    for name, records in sources.items():
        if not 0 <= weights[name] < math.inf:
            raise ConfigError(
                f"The weight of {name!r} is {weights[name]}. Give a number from 0 up: how often "
                "each of its records is read."
            )
        if not records:
            raise DataError(f"The source {name!r} holds no records.")
    wanted = {name: weights[name] * len(records) for name, records in sources.items()}
    total = sum(wanted.values())
    scale = 1.0 if size is None else size / (total or 1)
    if round(total * scale) < 1:
        raise ConfigError("The mixture would be empty. Raise a weight.")
    counts = _whole({name: count * scale for name, count in wanted.items()})
    chosen, rows = [], []
    for name, records in sources.items():
        times, rest = divmod(counts[name], len(records))
        order = shuffled(records, seed, "taken")  # a larger count takes the same and more
        chosen += [records[i] for i in order * times + order[:rest]]
        part = counts[name] / sum(counts.values())
        rows.append([name, f"{len(records):,}", f"{weights[name] * scale:.3g}",
                     f"{counts[name]:,}", f"{part:.1%}"])  # fmt: skip
    rows.append(["total", f"{sum(map(len, sources.values())):,}", "", f"{len(chosen):,}", ""])
    told = table(["source", "have", "weight", "records", "share"], rows)
    different = len({data.fingerprint([record]) for record in chosen})
    told += f"\n{len(chosen):,} records, {different:,} of them different"
    return Mixture([chosen[i] for i in shuffled(chosen, seed, "mixed")], counts, told)


def _whole(wanted: dict[str, float]) -> dict[str, int]:
    """Round to whole numbers that add up, the largest fractions up (Hamilton's method)."""
    counts = {name: math.floor(count + 1e-9) for name, count in wanted.items()}
    short = round(sum(wanted.values())) - sum(counts.values())
    for name in sorted(wanted, key=lambda name: counts[name] - wanted[name])[:short]:
        counts[name] += 1
    return counts
