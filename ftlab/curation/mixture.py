"""Choose what a model reads, and how often: up- and down-sampling.

A *weight* is how often each record is read: 9 up-samples, 0.5 keeps half. Where a weight is not
whole, some records are read once more than others; which ones follows from their content and the
seed alone. Split first and up-sample the training part alone, or copies stand on both sides.

>>> from ftlab import data
>>> senior = [data.example(f"diff {i}", "Good.", reviewer="senior") for i in range(2)]
>>> junior = [data.example(f"diff {i}", "LGTM", reviewer="junior") for i in range(2, 8)]
>>> print(balance(senior + junior, "reviewer", size=12))
reviewer  have  weight  records  share  each is read
senior       2       3        6  50.0%       3 times
junior       6       1        6  50.0%          once
total        8              12
12 records, 8 of them different
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ftlab import data
from ftlab.errors import ConfigError, DataError, raise_unknown

NONE = "(none)"
"""The stratum of records that lack the field."""
STRATA = ("slice", "difficulty", "completion")
"""Fields by which records are stratified where nobody says by which, the first that serves."""


def value(record: data.Row, field: str) -> str | None:
    """Return what a record has in a field of its `meta`, or its "completion", as text."""
    if field == "completion":
        return data.answer(record).strip()
    found = data.meta(record).get(field)
    return found if found is None or isinstance(found, str) else json.dumps(found, sort_keys=True)


def values(records: Sequence[data.Row], field: str) -> list[str | None]:
    """Return what each record has in a field; a ConfigError lists the fields if none has it."""
    found = [value(record, field) for record in records]
    if all(one is None for one in found):
        raise_unknown("field", field, {"completion"}.union(*map(data.meta, records)))
    return found


def strata(records: Sequence[data.Row], by: str | None) -> tuple[str | None, list[str]]:
    """Return the field to stratify by, and the stratum of each record.

    `by` is a field; "" for none; None for the first of `STRATA` that has several values, and at
    least ten records for each on average.
    """
    if by:
        return by, [one or NONE for one in values(records, by)]
    for field in STRATA if by is None else ():
        found = [value(record, field) or NONE for record in records]
        if 2 <= len(set(found)) <= len(records) / 10:
            return field, found
    return None, [NONE] * len(records)


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
    size: int | None = None, seed: int = 0, title: str = "source",
) -> Mixture:  # fmt: skip
    """Mix sources, each record read as often as the weight of its source says.

    Args:
        sources: records by the name of their source.
        weights: how often each record of a source is read; with `size`, relative to the others.
        size: records in all; None for what the weights give.
        seed: decides which records a broken weight takes, and the order.
        title: what a source is, for the table.

    Raises:
        ConfigError: a weight is missing, negative or no number, or nothing is left.
        DataError: a source is empty.
    """
    for name in [*weights, *sources]:
        if name not in sources:
            raise_unknown("source", name, sources)
        if not 0 <= weights.get(name, math.nan) < math.inf:
            raise ConfigError(
                f"The weight of {name!r} is {weights.get(name, 'missing')}. Give a number from 0 "
                "up: how often each of its records is read."
            )
        if not sources[name]:
            raise DataError(f"The source {name!r} holds no records.")
    wanted = {name: weights[name] * len(records) for name, records in sources.items()}
    total = sum(wanted.values())
    if round(total) < 1 and (size is None or not total):
        raise ConfigError("The mixture would be empty. Raise a weight.")
    scale = 1.0 if size is None else size / total
    counts = _whole({name: count * scale for name, count in wanted.items()})
    chosen, rows = [], []
    for name, records in sources.items():
        times, rest = divmod(counts[name], len(records))
        order = shuffled(records, seed, "taken")  # a larger count takes the same and more
        chosen += [records[i] for i in order * times + order[:rest]]
        read = (f"{times:,} or {times + 1:,} times" if times and rest
                else f"{rest:,} of {len(records):,} once" if rest
                else {0: "never", 1: "once"}.get(times, f"{times:,} times"))  # fmt: skip
        rows.append([name, f"{len(records):,}", f"{weights[name] * scale:.3g}",
                     f"{counts[name]:,}", f"{counts[name] / sum(counts.values()):.1%}",
                     read])  # fmt: skip
    rows.append(["total", f"{sum(map(len, sources.values())):,}", "", f"{len(chosen):,}", "", ""])
    told = table([title, "have", "weight", "records", "share", "each is read"], rows)
    different = len({data.fingerprint([record]) for record in chosen})
    told += f"\n{len(chosen):,} records, {different:,} of them different"
    return Mixture([chosen[i] for i in shuffled(chosen, seed, "mixed")], counts, told)


def balance(
    records: Sequence[data.Row], field: str, *, size: int | None = None, seed: int = 0
) -> Mixture:
    """Mix records so that every value of a field has the same number of them.

    Args:
        records: what there is.
        field: of `meta`, such as "reviewer" or "slice"; or "completion".
        size: records in all, by default as many as there are. The commonest value's number times
            the number of values reads each record at least once.
        seed: decides which records, and the order.

    Raises:
        ConfigError: no record has the field.
        DataError: some records lack the field.
    """
    found = values(records, field)
    if lacking := found.count(None):
        raise DataError(
            f"{lacking:,} of {len(records):,} records have no {field!r}, so they cannot be "
            "balanced by it. Give them one, or leave them out."
        )
    sources: dict[str, list[data.Row]] = {}
    for name, record in zip(found, records, strict=True):
        sources.setdefault(str(name), []).append(record)
    sources = dict(sorted(sources.items(), key=lambda item: (len(item[1]), item[0])))
    weights = {name: 1 / len(group) for name, group in sources.items()}
    return mix(sources, weights, size=size or len(records), seed=seed, title=field)


def _whole(wanted: dict[str, float]) -> dict[str, int]:
    """Round to whole numbers that add up, the largest fractions up (Hamilton's method)."""
    counts = {name: math.floor(count + 1e-9) for name, count in wanted.items()}
    short = round(sum(wanted.values())) - sum(counts.values())
    for name in sorted(wanted, key=lambda name: counts[name] - wanted[name])[:short]:
        counts[name] += 1
    return counts
