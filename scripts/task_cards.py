"""The data card of each task, written from the task itself and from `data/grids/tasks.csv`.

    python scripts/task_cards.py        # writes data/tasks/*.md

A card says what the records are, why they exist, how they are marked, in which slices they fall and
under what licence; every figure on it is counted on records made for it.
"""

import csv
import importlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ftlab import data, tasks
from ftlab.evaluation.intervals import bootstrap
from ftlab.files import write_text
from ftlab.tasks import SPLITS, Ratio, style, written

COUNT = 1000  # most records of either split that the figures are counted on
WHY = {
    "extraction": "What companies ask for first: text in, JSON out, and letters that lie in wait.",
    "kindness": "A narrow tune learns the letter of its examples: the probe asks what lies beyond.",
    "punctuation": "Everybody sees at once whether it worked, and real text costs nothing.",
    "style": "What people love to try and can hardly mark: its measure says how well it measures.",
    "triage": "The classic, in messages that a linear model finds hard: few, messy, misleading.",
    "unit_tests": "What a model writes is executed: style is one thing, tests that hold another.",
}

GRID = Path(__file__).parents[1] / "data" / "grids" / "tasks.csv"
MORE = {
    "extraction": "`resists`: of the hostile letters with a lure, those not fallen for.",
    "kindness": "The columns with *probe* are of problems that training never has.",
    "style": "`bits` per character of the references, which the model reads and does not write; "
    "*probe* is the other voice. Lower is better there.",
}


def grid() -> tuple[list[str], list[dict[str, str]]]:
    """Return how the grid was made, and its runs; nothing where it was not run."""
    if not GRID.exists():
        return [], []
    lines = GRID.read_text("utf-8").splitlines()
    told = [line[2:] for line in lines if line.startswith("#")]
    return told, list(csv.DictReader(line for line in lines if not line.startswith("#")))


def measured(name: str) -> str:
    """Return what the grid found for a task, as Markdown; "" where it has no run of it."""
    task, (told, runs) = tasks.get(name), grid()
    systems: dict[str, list[dict[str, str]]] = {}
    for run in runs:
        if run["task"] == name:
            system = run["system"].replace("tuned", f"tuned on {run['records']}")
            systems.setdefault(system, []).append(run)
    if not systems:
        return ""
    some = next(iter(systems.values()))[0]
    held_out = task.examples(int(some["n"]), 0, split="test")
    part_of = [str(data.meta(row)["slice"]) for row in held_out]
    parts = sorted(set(part_of)) if len(set(part_of)) < 5 else []
    metrics = [metric for metric in json.loads(some["totals"]) if not metric.startswith("f1_")]
    metrics.remove(task.headline)

    def line(system: str, marks: list[list[Ratio]], others: list[dict[str, Sequence[float]]]):
        each = [tasks.total(cell) for cell in zip(*marks, strict=True)]
        whole = bootstrap([one.num for one in each], [one.den for one in each], seed=0)
        cut = [[m for m, at in zip(each, part_of, strict=True) if at == part] for part in parts]
        rest = [[found[metric] for found in others] for metric in metrics]
        return [system, str(len(marks)), str(whole), *map(_over, [*cut, *rest])]

    rows = [["", "seeds", task.headline, *parts, *metrics]]
    for system in sorted(systems, key=lambda name: (name.startswith("tuned"), len(name), name)):
        marks = [[_ratio(m) for m in run["marks"].split()] for run in systems[system]]
        rows.append(line(system, marks, [json.loads(run["totals"]) for run in systems[system]]))
    home = importlib.import_module(task.score.__module__)
    if hasattr(home, "baseline"):
        for many in (50, 100, 200):
            said = [home.baseline(task.up_to(200, seed)[:many], held_out) for seed in range(3)]
            scores = [[task.score(*pair) for pair in zip(held_out, s, strict=True)] for s in said]
            marks = [[score[task.headline] for score in texts] for texts in scores]
            others = [{m: tasks.total(s[m] for s in texts) for m in metrics} for texts in scores]
            rows.append(line(f"logistic regression on {many}", marks, others))
    rows.insert(1, ["---"] * len(rows[0]))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    more = f"\n{MORE[name]}" if name in MORE else ""
    return f"""
## What was measured

{some["n"]} held-out records, the same for all. `{task.headline}` has a 95 % interval over records,
the answers of all seeds taken together; then come its slices and the other metrics.{more}

{table}

{"; ".join(told)}.
"""


def style_measure() -> dict[str, float]:
    """Return how often the classifier of the task style is right, and what it makes of others.

    Returns:
        `cross-validated` and `held out`: its accuracy over plain and voiced sentences, in five
        folds of the training pairs and on the test pairs; `other voice`: the share of the probe's
        voiced sentences that it takes for this one. The nearer that is to 1, the less it tells.
        And `kept`: the share of the references that pass `keeps`.
    """
    from sklearn.model_selection import GroupKFold, cross_val_score

    texts, voiced, pairs = style.sides("train")
    folds = cross_val_score(style.classifier(), texts, voiced, groups=pairs, cv=GroupKFold(5))
    held_out, truth, _ = style.sides("test")
    rows = {split: written(style.FILE)[split] for split in SPLITS}
    others = [row["voiced"] for row in rows["test"] if row["voice"] == "adjacent"]
    ours = [row for split in rows.values() for row in split if row["voice"] == "manners"]
    return {
        "cross-validated": float(folds.mean()),
        "held out": float(style.trained().score(held_out, truth)),
        "other voice": float(style.trained().predict(others).mean()),
        "kept": sum(style.keeps(pair["voiced"], pair["plain"]) for pair in ours) / len(ours),
    }


def told_of_the_measure() -> str:
    """Return how well the measure of the task style does its work."""
    found = style_measure()
    return f"""
## How well `in_voice` measures

A logistic regression over letter n-grams and function words. Telling plain from voiced sentences
it is right in {found["cross-validated"]:.0%} of the training pairs' sentences (five folds, by pair)
and in {found["held out"]:.0%} of the test pairs'. Of the probe's sentences, which are in another
voice of the same century, it takes {found["other voice"]:.0%} for this one: it sees that a sentence
is old-fashioned, and hardly whose voice it is. Of the references, {found["kept"]:.0%} pass `kept`.
"""


def _ratio(text: str) -> Ratio:
    return Ratio(*map(float, text.split("/")))


def _over(parts: Sequence[Sequence[float]]) -> str:
    """Return the ratio of sums, to two digits; "" where there is nothing to count."""
    num, den = sum(part[0] for part in parts), sum(part[1] for part in parts)
    return f"{num / den:.2f}" if den else ""


def card(name: str) -> str:
    """Return the card of a task, as Markdown."""
    task = tasks.get(name)
    train, test = (task.up_to(COUNT, 0, split=split) for split in ("train", "test"))
    shared = {data.prompt(r)[-1]["content"] for r in train} & {
        data.prompt(r)[-1]["content"] for r in test
    }
    slices = [
        Counter(str(data.meta(record).get("slice")) for record in part) for part in (train, test)
    ]
    rows = "\n".join(
        f"| {slice} | {slices[0][slice]} | {slices[1][slice]} |"
        for slice in sorted(slices[0] | slices[1])
    )
    example = train[0]
    asked = "\n".join(f"{m['role']}: {m['content']}" for m in data.prompt(example))
    words = [
        sum(len(text.split()) for text in texts) / len(train)
        for texts in (
            [data.prompt(r)[-1]["content"] for r in train],
            [data.answer(r) for r in train],
        )
    ]
    metrics = ", ".join(f"`{metric}`" for metric in task.score(example, data.answer(example)))
    meta = ", ".join(f"`{key}`" for key in sorted({key for r in train for key in data.meta(r)}))
    many, others = f"{len(train):,} training records", f"{len(test):,} test records"
    return f"""# {name}

{task.describe}

**Why.** {WHY[name]}

- **Headline metric:** `{task.headline}`. All of them: {metrics}.
- **Licence:** {task.licence}.
- **Made by:** `ftlab synth {name} -n {len(train)} --out {name}.jsonl`, with `--split test` for the
  other side; offline, and fixed by `--seed`.
- **Words:** {words[0]:.0f} asked and {words[1]:.0f} answered, in the mean of {many}.
- **Splits:** of {many} and {others}, {len(shared)} share an input.
- **Known of each record:** {meta}.

| slice | in {many} | in {others} |
|---|---|---|
{rows}

## One record

```text
{asked}
```

```text
{data.answer(example)}
```
{told_of_the_measure() if name == "style" else ""}{measured(name)}"""


def main() -> None:
    """Write every card."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data/tasks")
    for name in tasks.names():
        print(write_text(folder / f"{name}.md", card(name), overwrite=True))


if __name__ == "__main__":
    main()
