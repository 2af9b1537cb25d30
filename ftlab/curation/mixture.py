"""Choose how often a model reads each of several files: up- and down-sampling.

A *weight* is how often each record is read: 9 up-samples, 0.5 keeps half. Where a weight is not
whole, some records are read once more than others; which ones follows from their content and the
seed alone. Split first and up-sample the training part alone, or copies stand on both sides.

>>> from ftlab import data
>>> senior = [data.example(f"diff {i}", "Good.") for i in range(2)]
>>> junior = [data.example(f"diff {i}", "LGTM") for i in range(2, 8)]
>>> print(mix({"senior": senior, "junior": junior}, {"senior": 3, "junior": 1}))
source  have  weight  records  share
senior     2       3        6  50.0%
junior     6       1        6  50.0%
total      8              12
12 records, 8 of them different
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ftlab import data
from ftlab.errors import ConfigError, DataError


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
    size: int | None = None, seed: int = 0,
) -> Mixture:  # fmt: skip
    """Mix sources, each record read as often as the weight of its source says.

    Args:
        sources: records by the name of their source.
        weights: how often each record of a source is read; with `size`, relative to the others.
        size: records in all; None for what the weights give.
        seed: decides which records a broken weight takes, and the order.

    Raises:
        ConfigError: a weight is negative or no number, or nothing is left.
        DataError: a source is empty.
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
        share = f"{counts[name] / sum(counts.values()):.1%}"
        weight = f"{weights[name] * scale:.3g}"
        rows.append([name, f"{len(records):,}", weight, f"{counts[name]:,}", share])
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
