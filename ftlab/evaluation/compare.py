"""The verdict: did training help, by how much, and how sure can we be?

Every system answers the same held-out records. Figures come with intervals, differences are paired
record by record and tested (`ftlab.evaluation.intervals`), and the sentence on top is derived from
the figures (`ftlab.evaluation.report`): it says "no difference shown" where that is so.

>>> from ftlab import tasks
>>> task = tasks.get("triage")
>>> records = task.examples(40, seed=0, split="test")
>>> perfect = [data.answer(record) for record in records]
>>> print(compare(task, records, {"silent": [""] * 40, "perfect": perfect}).sentence)
On 40 held-out examples, right is 1.000 for perfect and 0.000 for silent: better by 1.000 (95 %
interval 0.825 to 1.000).
"""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab import data
from ftlab.errors import ConfigError, DataError
from ftlab.evaluation import report
from ftlab.evaluation.intervals import SAMPLES, UNKNOWN, Interval, edged, ratios
from ftlab.evaluation.power import Pair, pairs
from ftlab.files import write_text
from ftlab.generation import split_thought
from ftlab.tasks import Ratio, Task

if TYPE_CHECKING:
    from rich.table import Table

NO_RECORDS = "There are no records to compare on. Give at least one; 200 say more."


@dataclass(frozen=True)
class Verdict:
    """Systems on the same records: figures, differences, and the sentence they add up to."""

    task: str
    headline: str
    n: int
    seed: int
    systems: dict[str, dict[str, Interval]]
    """System -> metric -> figure; the first system is the baseline."""
    differences: dict[str, dict[str, Interval]]
    """Every other system -> metric -> its figure less the baseline's."""
    slices: dict[str, dict[str, Any]]  # slice -> n, systems and differences on the headline alone
    sentence: str
    examples: list[dict[str, Any]]
    """Record by record: input, reference, slice, and each system's text and scores."""
    provenance: dict[str, Any]
    """Who made this, from what: models, hashes, versions, device, seconds."""
    pairs: list[Pair] = field(default_factory=list)
    """Every two systems on the headline: difference, wins, tests, power."""
    costs: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Every system -> tokens in, tokens out and seconds of an answer, if they were counted."""
    forgetting: dict[str, Any] = field(default_factory=dict)
    """`models` -> bits per character on general text, and their `differences` from the first."""
    remarks: list[str] = field(default_factory=list)

    def table(self) -> "Table":
        """Return the headline of every system, and how it differs from the baseline."""
        from rich import box
        from rich.table import Table

        # Thin lines, so that it fits a terminal of 80 columns.
        table = Table(
            title=f"{self.task}: {self.n} held-out examples, 95 % intervals", box=box.SIMPLE,
            title_justify="left", caption_justify="left", padding=(0, 0),
        )  # fmt: skip
        counted = {name: row["tokens_in"] for name, row in self.costs.items()
                   if row.get("tokens_in") is not None}  # fmt: skip
        against = {pair.b: pair for pair in self.pairs if pair.a == self.baseline}
        columns = [self.headline, f"less {self.baseline}", "win/tie/loss", "p"]
        table.add_column("system", overflow="fold")
        for column in [*columns, *(["tokens in"] if counted else [])]:
            table.add_column(column, justify="right")
        for name, row in self.systems.items():
            pair = against.get(name)
            cells = [str(row.get(self.headline, UNKNOWN))]
            cells += (
                [str(pair.difference), f"{pair.win}/{pair.tie}/{pair.loss}",
                 "< 0.001" if pair.corrected < 0.001 else f"{pair.corrected:.3f}"]
                if pair else ["", "", ""]
            )  # fmt: skip
            if counted:
                cells.append(f"{counted[name]:.0f}" if name in counted else "")
            table.add_row(name, *cells)
        if len(self.pairs) > 1:
            table.caption = f"p is corrected for {len(self.pairs)} comparisons (Holm)."
        return table

    @property
    def baseline(self) -> str:
        """The system that the others are compared with."""
        return next(iter(self.systems))

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON data; a figure that cannot be known is None."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write `verdict.json` and the page `verdict.html` into a folder; return the page's path.

        Raises:
            DataError: one of them is there already and `overwrite` is False.
        """
        data, shown = self.to_json(), Path(folder, "verdict.html")
        whole = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        texts = {Path(folder, "verdict.json"): whole, shown: report.page(data)}
        # Asked of both before either is written, so that the two always belong together.
        if not overwrite and (there := [path for path in texts if path.exists()]):
            raise DataError(
                f"{there[0]} exists already. Choose another folder, or ask for overwriting."
            )
        for path, text in texts.items():
            write_text(path, text, overwrite=overwrite)
        return shown


def _plain(value: Any) -> Any:
    """Return JSON data: intervals and pairs as objects, nan as None, keys as text."""
    if isinstance(value, Pair):
        return {**_plain(asdict(value)), "difference": _plain(value.difference)}
    if isinstance(value, Interval):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def compare(
    task: Task, records: "Sequence[data.Row]", outputs: dict[str, list[str]], *, seed: int = 0,
    provenance: dict[str, Any] | None = None, costs: Mapping[str, Any] | None = None,
    forgetting: Mapping[str, Any] | None = None,
) -> Verdict:  # fmt: skip
    """Score every system on the same records and say what the figures show.

    Args:
        task: what is asked, and how an answer is marked.
        records: the held-out records.
        outputs: system -> its raw texts, one for each record; the first is the baseline. Thoughts
            (<think>…</think>) before an answer are cut off before marking.
        seed: of the bootstrap.
        provenance: what else the verdict should say about its making.
        costs: of every system, as a `Verdict` has them.
        forgetting: what became of general text (`ftlab.evaluation.forgetting.forgotten`).

    Raises:
        ConfigError: no records, no systems, or a system with too few or too many texts.
    """
    if not records:
        raise ConfigError(NO_RECORDS)
    if not outputs:
        raise ConfigError("There are no systems. Give outputs as {'base': [...], ...}.")
    wrong = [f"{name!r} has {len(texts)}" for name, texts in outputs.items()
             if len(texts) != len(records)]  # fmt: skip
    if wrong:
        raise ConfigError(
            f"{len(records)} records, but {', '.join(wrong)} outputs. "
            "Give one text for each record, in the same order."
        )
    parts = {name: [split_thought(text) for text in texts] for name, texts in outputs.items()}
    parsed = {name: [task.parse(text) for _, text in found] for name, found in parts.items()}
    scores = {
        name: [task.score(record, text) for record, text in zip(records, texts, strict=True)]
        for name, texts in parsed.items()
    }
    systems, differences = _figures(scores, range(len(records)), seed)
    n, head = len(records), task.headline
    heads = {name: [marks[head] for marks in rows] for name, rows in scores.items()}
    figures = {name: row.get(head) for name, row in systems.items()}
    compared, slices = pairs(heads, seed=seed), _slices(records, heads, seed)
    examples = [
        {"input": data.prompt(record)[-1]["content"], "reference": data.answer(record),
         "slice": data.meta(record).get("slice"),
         "outputs": {name: _shown(outputs[name][i], parsed[name][i], scores[name][i])
                     for name in outputs}}
        for i, record in enumerate(records)
    ]  # fmt: skip
    thought = {
        name: (
            sum(thought is not None for thought, _ in found),
            sum(thought is not None and "</think>" not in text
                for (thought, _), text in zip(found, outputs[name], strict=True)),
        )
        for name, found in parts.items()
    }  # fmt: skip
    costs, forgetting = dict(costs or {}), dict(forgetting or {})
    return Verdict(
        task.name, head, n, seed, systems, differences, slices,
        report.sentence(head, n, figures, compared), examples,
        {**_made_here(task, records), **(provenance or {})}, compared, costs, forgetting,
        [*report.thoughts(thought, n),
         *report.remarks(n, compared, slices, figures, costs, forgetting)],
    )  # fmt: skip


def _slices(
    records: "Sequence[data.Row]", heads: Mapping[str, Sequence[Ratio]], seed: int
) -> dict[str, dict[str, Any]]:
    """Return the headline by slice and by difficulty."""
    parts: dict[str, list[int]] = {}
    for key, before in (("slice", ""), ("difficulty", "difficulty ")):
        known = [data.meta(record).get(key) for record in records]
        for value in sorted({str(one) for one in known if one is not None}):
            parts[before + value] = [i for i, one in enumerate(known) if str(one) == value]
    alone = {who: [{"headline": ratio} for ratio in rows] for who, rows in heads.items()}
    found = {}
    for name, where in parts.items():
        figures, gaps = _figures(alone, where, seed)
        found[name] = {
            "n": len(where),
            "systems": {who: row.get("headline", UNKNOWN) for who, row in figures.items()},
            "differences": {who: row.get("headline", UNKNOWN) for who, row in gaps.items()},
        }
    return found


def _figures(
    scores: dict[str, list[dict[str, Ratio]]], where: Sequence[int], seed: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """Return every system's metrics and the differences from the first, over the same draws."""
    import numpy as np

    baseline, *others = scores
    metrics = list(scores[baseline][0])
    rows = [[scores[name][i][m] for i in where] for name in scores for m in metrics]
    values, draws = ratios([[ratio.num for ratio in row] for row in rows],
                           [[ratio.den for ratio in row] for row in rows],
                           samples=SAMPLES, seed=seed)  # fmt: skip
    values = values.reshape(len(scores), len(metrics))
    draws = draws.reshape(SAMPLES, len(scores), len(metrics))
    # A metric without a single case anywhere (no question mark in any text) is left out.
    kept = [k for k in range(len(metrics)) if not np.isnan(values[:, k]).all()]
    part = lambda c, k: rows[c * len(metrics) + k]
    systems = {
        name: {metrics[k]: edged(values[c, k], draws[:, c, k], part(c, k)) for k in kept}
        for c, name in enumerate(scores)
    }
    gaps, spread = values - values[0], draws - draws[:, :1]
    differences = {
        name: {metrics[k]: edged(gaps[c, k], spread[:, c, k], part(0, k), part(c, k))
               for k in kept}
        for c, name in enumerate(others, start=1)
    }  # fmt: skip
    return systems, differences


def _shown(raw: str, parsed: str, marks: dict[str, Ratio]) -> dict[str, Any]:
    """Return one answer for the record of the verdict; the raw text only if it says more."""
    shown: dict[str, Any] = {"text": parsed, "scores": {m: r.value for m, r in marks.items()}}
    return shown if raw.strip() == parsed else {**shown, "raw": raw}


def _made_here(task: Task, records: "Sequence[data.Row]") -> dict[str, Any]:
    """Return what is known here about the making of a verdict."""
    from ftlab import __version__
    from ftlab.hardware import versions

    return {
        "data": {"task": task.name, "licence": task.licence, "examples": len(records),
                 "fingerprint": data.fingerprint(list(records))},
        "bootstrap": {"samples": SAMPLES, "level": 0.95, "resampled": "examples"},
        "versions": {"ftlab": __version__, **versions()}, "platform": platform.platform(),
    }  # fmt: skip
