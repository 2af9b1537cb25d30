"""The verdict: did training help, by how much, and how sure can we be?

Every contestant answers the same held-out records. Figures come with the intervals of
`ftlab.evaluation.intervals`, differences are paired record by record, and the sentence on top is
derived from the figures: it says "no difference shown" where the interval covers zero.

>>> from ftlab import tasks
>>> from ftlab.tasks.punctuation import strip
>>> task = tasks.get("punctuation")
>>> records = task.examples(40, seed=0, split="test")
>>> copied = [strip(record.completion) for record in records]
>>> perfect = [record.completion for record in records]
>>> print(compare(task, records, {"copy": copied, "perfect": perfect}).sentence)
On 40 held-out examples, f1 is 1.000 for perfect and 0.000 for copy: better by 1.000 (95 % interval
1.000 to 1.000).
"""

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import ConfigError, DataError
from ftlab.evaluation.intervals import (
    SAMPLES,
    UNKNOWN,
    Interval,
    bootstrap,
    interval,
    paired_bootstrap,
    ratios,
)
from ftlab.files import write_text
from ftlab.tasks import Ratio, Task

__all__ = ["Interval", "Verdict", "bootstrap", "compare", "paired_bootstrap"]

if TYPE_CHECKING:
    from rich.table import Table

    from ftlab.records import Record

_FEW = 30
_TIE = 1e-12


@dataclass(frozen=True)
class Verdict:
    """Contestants on the same records: figures, differences, and the sentence they add up to."""

    task: str
    headline: str
    n: int
    seed: int
    contestants: dict[str, dict[str, Interval]]
    """Contestant -> metric -> figure; the first contestant is the baseline."""
    differences: dict[str, dict[str, Interval]]
    """Every other contestant -> metric -> its figure less the baseline's."""
    outcomes: dict[str, dict[str, int]]
    """Every other contestant -> win, tie, loss on the headline, record by record."""
    slices: dict[str, dict[str, Any]]
    """Slice -> n, contestants and differences on the headline alone."""
    sentence: str
    """What the figures say, in plain words."""
    examples: list[dict[str, Any]]
    """Record by record: input, reference, slice, and each contestant's text and scores."""
    provenance: dict[str, Any]
    """Who made this, from what: models, hashes, versions, device, seconds."""

    def table(self) -> "Table":
        """Return the figures as a rich table, the headline first."""
        from rich import box
        from rich.table import Table

        others = list(self.differences)
        # Thin lines: two contestants and their difference fit a terminal of 80 columns.
        table = Table(
            title=f"{self.task}: {self.n} held-out examples, 95 % intervals",
            box=box.SIMPLE,
            title_justify="left",
            caption_justify="left",
            padding=(0, 0),
        )
        table.add_column("metric")
        for name in (*self.contestants, *(f"{name} less {self.baseline}" for name in others)):
            table.add_column(name, justify="right")
        metrics = list(self.contestants[self.baseline])
        for metric in sorted(metrics, key=lambda m: m != self.headline):
            cells = [str(figures[metric]) for figures in self.contestants.values()]
            cells += [str(self.differences[name][metric]) for name in others]
            table.add_row(metric, *cells, style="bold" if metric == self.headline else None)
        table.caption = "\n".join(
            f"{name} against {self.baseline}, example by example: "
            f"{counts['win']} better, {counts['tie']} equal, {counts['loss']} worse"
            for name, counts in self.outcomes.items()
        )
        return table

    @property
    def baseline(self) -> str:
        """The contestant that the others are compared with."""
        return next(iter(self.contestants))

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON data; a figure that cannot be known is None."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write `verdict.json` and the page `verdict.html` into a folder; return the page's path.

        Raises:
            DataError: one of them is there already and `overwrite` is False.
        """
        from ftlab.evaluation.report import page

        data = self.to_json()
        paths = [Path(folder, name) for name in ("verdict.json", "verdict.html")]
        texts = [json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", page(data)]
        # Asked of both before either is written, so that the two always belong together.
        for path in paths:
            if path.exists() and not overwrite:
                raise DataError(
                    f"{path} exists already. Choose another folder, or ask for overwriting."
                )
        for path, text in zip(paths, texts, strict=True):
            write_text(path, text, overwrite=overwrite)
        return paths[1]


def _plain(value: Any) -> Any:
    """Return JSON data: intervals as objects, nan as None, keys as text."""
    if isinstance(value, Interval):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


# The comparison.


def compare(
    task: Task,
    records: "Sequence[Record]",
    outputs: dict[str, list[str]],
    *,
    seed: int = 0,
    provenance: dict[str, Any] | None = None,
) -> Verdict:
    """Score every contestant on the same records and say what the figures show.

    Args:
        task: what is asked, and how an answer is marked.
        records: the held-out records.
        outputs: contestant -> its raw texts, one for each record; the first is the baseline.
        seed: of the bootstrap.
        provenance: what else the verdict should say about its making.

    Raises:
        ConfigError: no records, no contestants, or a contestant with too few or too many texts.
    """
    if not records:
        raise ConfigError("There are no records to compare on. Give at least one; 200 say more.")
    if not outputs:
        raise ConfigError("There are no contestants. Give outputs as {'base': [...], ...}.")
    wrong = [f"{name!r} has {len(texts)}" for name, texts in outputs.items()
             if len(texts) != len(records)]  # fmt: skip
    if wrong:
        raise ConfigError(
            f"{len(records)} records, but {', '.join(wrong)} outputs. "
            "Give one text for each record, in the same order."
        )
    parsed = {name: [task.parse(text) for text in texts] for name, texts in outputs.items()}
    scores = {
        name: [task.score(record, text) for record, text in zip(records, texts, strict=True)]
        for name, texts in parsed.items()
    }
    contestants, differences = _figures(scores, range(len(records)), seed)
    slices: dict[str, dict[str, Any]] = {}
    for part in sorted({str(record.meta["slice"]) for record in records if "slice" in record.meta}):
        where = [i for i, r in enumerate(records) if str(r.meta.get("slice")) == part]
        headline_only = {
            name: [{task.headline: marks[task.headline]} for marks in rows]
            for name, rows in scores.items()
        }
        figures, gaps = _figures(headline_only, where, seed)
        slices[part] = {
            "n": len(where),
            "contestants": {name: row.get(task.headline, UNKNOWN) for name, row in figures.items()},
            "differences": {name: row.get(task.headline, UNKNOWN) for name, row in gaps.items()},
        }
    heads = {name: [marks[task.headline].value for marks in rows] for name, rows in scores.items()}
    baseline, *others = outputs
    return Verdict(
        task=task.name,
        headline=task.headline,
        n=len(records),
        seed=seed,
        contestants=contestants,
        differences=differences,
        outcomes={name: _count(heads[baseline], heads[name]) for name in others},
        slices=slices,
        sentence=_sentence(task.headline, len(records), contestants, differences),
        examples=[
            {
                "input": record.messages[-1]["content"],
                "reference": record.completion,
                "slice": record.meta.get("slice"),
                "outputs": {
                    name: _shown(outputs[name][i], parsed[name][i], scores[name][i])
                    for name in outputs
                },
            }
            for i, record in enumerate(records)
        ],
        provenance={**_made_here(task, records), **(provenance or {})},
    )


def _figures(
    scores: dict[str, list[dict[str, Ratio]]], where: Sequence[int], seed: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """Return every contestant's metrics and the differences from the first, over the same draws."""
    import numpy as np

    baseline, *others = scores
    metrics = list(scores[baseline][0])
    rows = [[scores[name][i][m] for i in where] for name in scores for m in metrics]
    values, draws = ratios(
        [[ratio.num for ratio in row] for row in rows],
        [[ratio.den for ratio in row] for row in rows],
        samples=SAMPLES,
        seed=seed,
    )
    values = values.reshape(len(scores), len(metrics))
    draws = draws.reshape(SAMPLES, len(scores), len(metrics))
    # A metric without a single case anywhere (no question mark in any text) is left out.
    kept = [k for k in range(len(metrics)) if not np.isnan(values[:, k]).all()]
    contestants = {
        name: {metrics[k]: interval(values[c, k], draws[:, c, k], 0.95) for k in kept}
        for c, name in enumerate(scores)
    }
    differences = {
        name: {
            metrics[k]: interval(values[c, k] - values[0, k], draws[:, c, k] - draws[:, 0, k], 0.95)
            for k in kept
        }
        for c, name in enumerate(others, start=1)
    }
    return contestants, differences


def _count(baseline: list[float], other: list[float]) -> dict[str, int]:
    """Count records won, tied and lost; where a value cannot be known, neither side wins."""
    gaps = [b - a for a, b in zip(baseline, other, strict=True)]
    win, loss = sum(gap > _TIE for gap in gaps), sum(gap < -_TIE for gap in gaps)
    return {"win": win, "tie": len(gaps) - win - loss, "loss": loss}


def _sentence(
    headline: str,
    n: int,
    contestants: dict[str, dict[str, Interval]],
    differences: dict[str, dict[str, Interval]],
) -> str:
    """Say what the headline shows, and no more than it shows."""
    baseline, base = next((name, row.get(headline)) for name, row in contestants.items())
    examples = "example" if n == 1 else "examples"
    if base is None:
        return f"On {n} held-out {examples}, {headline} cannot be told: there is no case of it."
    if not differences:
        text = (
            f"On {n} held-out {examples}, {headline} is {base.value:.3f} for {baseline} "
            f"(95 % interval {base.low:.3f} to {base.high:.3f})."
        )
    else:
        parts = []
        for name, row in differences.items():
            gap = row[headline]
            figures = (
                f"{contestants[name][headline].value:.3f} for {name} and {base.value:.3f} "
                f"for {baseline}"
            )
            between = f"95 % interval {gap.low:.3f} to {gap.high:.3f}"
            if gap.covers_zero:
                finding = f"no difference shown ({between}, which covers zero)"
            else:
                finding = f"{'better' if gap.value > 0 else 'worse'} by {abs(gap.value):.3f} "
                # The interval is told in the direction of the finding.
                low, high = sorted((abs(gap.low), abs(gap.high)))
                finding += f"(95 % interval {low:.3f} to {high:.3f})"
            parts.append(f"{figures}: {finding}")
        text = f"On {n} held-out {examples}, {headline} is {'; '.join(parts)}."
    if n < _FEW:
        text += f" {n} {examples} are few: read the interval as a rough guide."
    return text


def _shown(raw: str, parsed: str, marks: dict[str, Ratio]) -> dict[str, Any]:
    """Return one answer for the record of the verdict; the raw text only if it says more."""
    shown: dict[str, Any] = {"text": parsed, "scores": {m: r.value for m, r in marks.items()}}
    return shown if raw.strip() == parsed else {**shown, "raw": raw}


def _made_here(task: Task, records: "Sequence[Record]") -> dict[str, Any]:
    """Return what is known here about the making of a verdict."""
    from importlib import metadata

    from ftlab import __version__
    from ftlab.records import fingerprint

    versions = {"ftlab": __version__, "python": platform.python_version()}
    for name in ("numpy", "torch", "transformers", "trl", "peft"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "data": {
            "task": task.name,
            "licence": task.licence,
            "examples": len(records),
            "fingerprint": fingerprint(list(records)),
        },
        "bootstrap": {"samples": SAMPLES, "level": 0.95, "resampled": "examples"},
        "versions": versions,
        "platform": platform.platform(),
    }
