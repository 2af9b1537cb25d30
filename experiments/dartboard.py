"""Does the diversity score rank mixtures of training data by what the tuned model can do?

    python experiments/dartboard.py [--model ftlab-7m] [--records 300] [--seeds 3] [--minutes 60]

Seven mixtures of a task's slices, all of one size, from one slice to all evenly. Each is scored on
the dartboard (`ftlab diversity`) and trained on; the model's accuracy is the task's headline metric
over test records taken evenly from all slices. Which slices
a mixture favours changes with the seed. A finished run is a line in `runs/dartboard.jsonl`: stopped
and started again, the experiment goes on where it was. Afterwards, or with --minutes 0, it writes
the table `runs/dartboard.md`, the same as `.csv`, and Spearman's rho, whatever they say.

Look first whether the base learns the task from so few records at all; if the even mixture stays at
chance, there is nothing to rank: `--mixtures even --seeds 1 --records 1500`.
"""

import argparse
import csv
import io
import json
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftlab import data, files, models, tasks
from ftlab.curation import diversity
from ftlab.generation import generate
from ftlab.training import sft

MIXTURES: dict[str, list[float]] = {  # weights of the slices, in an order drawn by the seed
    "one": [1],
    "two": [1] * 2,
    "three": [1] * 3,
    "five": [1] * 5,
    "steep": [2.0**-i for i in range(99)],
    "sloping": [1 / (i + 1) for i in range(99)],
    "even": [1] * 99,
}
TASKS = {  # the metric, and the most tokens of an answer
    "kindness": ("", 80),
    "unit_tests": ("", 300),
}
BOARD = 400  # reference records, evenly over the slices
FIGURES = ("score", "coverage", "evenness", "accuracy")


def main() -> None:
    """Run what is left of the experiment and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ftlab-7m")
    parser.add_argument("--task", default="kindness", choices=TASKS)
    parser.add_argument("--mixtures", nargs="+", default=list(MIXTURES), choices=MIXTURES)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--test", type=int, default=200, help="records, evenly over the slices")
    parser.add_argument("--minutes", type=float, default=600, help="start no run after these")
    parser.add_argument("--out", type=Path, default=Path("runs/dartboard.jsonl"))
    args = parser.parse_args()
    if not 10 <= args.test <= BOARD:
        parser.error(f"--test must be from 10 to {BOARD}, the size of the board")
    settings = {
        key: getattr(args, key) for key in ("model", "task", "records", "epochs", "test")
    }  # a line with other settings is another experiment's
    done = finished(args.out, settings)
    wanted = [(seed, name) for seed in range(args.seeds) for name in args.mixtures]
    left = [run for run in wanted if run not in done]
    begun = time.monotonic()
    if left and args.minutes > 0:
        task = tasks.get(args.task)
        slices = sorted({slice_of(record) for record in task.examples(500, 0)})
        pool = task.examples(12 * BOARD, 1000, split="test")
        reference = evenly(pool, MIXTURES["even"], BOARD, slices)
        board = diversity.board(reference)
        print(f"{len(left)} of {len(wanted)} runs to go: {settings}", flush=True)
        for number, (seed, name) in enumerate(left):
            spent = (time.monotonic() - begun) / 60
            if spent >= args.minutes:
                print(f"{args.minutes:g} minutes are over; call again to go on.")
                break
            row = one(task, board, reference[: args.test], slices, name, seed, args)
            done[seed, name] = {**settings, **row}
            args.out.parent.mkdir(parents=True, exist_ok=True)
            with args.out.open("a", encoding="utf-8") as stream:  # "\n" first: a kill cuts a line
                stream.write("\n" + json.dumps(done[seed, name]) + "\n")
            each = (time.monotonic() - begun) / 60 / (number + 1)
            figures = "  ".join(f"{figure} {row[figure]:.2f}" for figure in FIGURES)
            eta = each * (len(left) - number - 1)
            print(f"{name:<8} seed {seed}  {figures}  about {eta:.0f} min left", flush=True)
    if done:
        table = summary(list(done.values()))
        head = f"{args.task}, {args.model}, {args.records} records, {args.epochs:g} epochs, "
        head += f"{args.test} test records"
        text = f"{head}\n\n{markdown(table)}\n\n{verdict(table, list(done.values()))}\n"
        files.write_text(args.out.with_suffix(".md"), text, overwrite=True)
        files.write_text(args.out.with_suffix(".csv"), as_csv(table), overwrite=True)
        print(f"\n{text}")


def one(
    task: tasks.Task,
    board: diversity.Board,
    test: Sequence[data.Row],
    slices: Sequence[str],
    name: str,
    seed: int,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Draw a mixture, score it, train on it and ask the tuned model; return the figures."""
    order = random.Random(f"dartboard {seed}").sample(slices, len(slices))
    pool = task.examples(int(1.4 * len(slices) * args.records), seed)
    records = evenly(pool, MIXTURES[name], args.records, order)
    thrown = diversity.measure(records, board)
    metric, most = TASKS[task.name]
    model, tokenizer = models.load(args.model)
    run = sft.train(
        model, tokenizer, records, epochs=args.epochs, seed=seed, on_step=lambda *_: None
    )
    answers = generate(
        run.model, tokenizer, [data.prompt(r) for r in test], max_new_tokens=most, batch_size=50
    )
    scores = [task.score(r, a)[metric or task.headline] for r, a in zip(test, answers, strict=True)]
    by_slice = {
        part: tasks.total(s for s, r in zip(scores, test, strict=True) if slice_of(r) == part).value
        for part in slices
    }
    return {
        "mixture": name,
        "seed": seed,
        "score": thrown.score,
        "coverage": thrown.coverage,
        "evenness": thrown.evenness,
        "accuracy": tasks.total(scores).value,
        "by_slice": by_slice,
        "loss": run.history[-1]["loss"],
        "seconds": round(run.seconds, 1),
    }


def slice_of(record: data.Row) -> str:
    """Return the slice of a record."""
    return str(data.meta(record)["slice"])


def evenly(
    pool: Sequence[data.Row], weights: Sequence[float], n: int, order: Sequence[str]
) -> list[data.Row]:
    """Take `n` records of the slices in `order`, by weight, mixed so that any start is alike.

    Raises:
        ValueError: the pool has too few of a slice.
    """
    left = {part: [r for r in pool if slice_of(r) == part] for part in order}
    share = dict(zip(order, weights, strict=False))
    taken = dict.fromkeys(share, 0)
    chosen = []
    for _ in range(n):  # always the one that is furthest behind its weight
        part = min(taken, key=lambda name: (taken[name] + 1) / share[name])
        if taken[part] == len(left[part]):
            raise ValueError(f"The pool has only {taken[part]} records of {part}.")
        chosen.append(left[part][taken[part]])
        taken[part] += 1
    return chosen


def finished(path: Path, settings: dict[str, Any]) -> dict[tuple[int, str], dict[str, Any]]:
    """Return the runs of these settings that a file holds; a line cut by a kill is left out."""
    rows = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if all(row.get(key) == value for key, value in settings.items()):
            rows[row["seed"], row["mixture"]] = row
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a mixture, the means over its seeds, by rising score."""
    table = []
    for name in MIXTURES:
        mine = [row for row in rows if row["mixture"] == name]
        if mine:
            means = {figure: statistics.fmean(row[figure] for row in mine) for figure in FIGURES}
            found = [row["accuracy"] for row in mine]
            table.append(
                {"mixture": name, "seeds": len(mine), **means,
                 "lowest": min(found), "highest": max(found)}
            )  # fmt: skip
    return sorted(table, key=lambda row: row["score"])


def markdown(table: list[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    names = list(table[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in table:
        cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_csv(table: list[dict[str, Any]]) -> str:
    """Return the table as comma-separated values."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue()


def verdict(table: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """Return how well each figure ranks the mixtures' accuracy, and that of single runs."""
    from scipy.stats import spearmanr

    if len(table) < 3:
        return "Spearman's rho needs three mixtures or more."
    if len({row["accuracy"] for row in table}) == 1:
        return "All mixtures have the same accuracy: there is nothing to rank."
    lines = []
    for figure in FIGURES[:-1]:
        rhos = [
            spearmanr([r[figure] for r in some], [r["accuracy"] for r in some]).statistic
            for some in (table, rows)
        ]
        lines.append(
            f"Spearman's rho of {figure} and accuracy: {rhos[0]:.2f} over {len(table)} mixtures' "
            f"means, {rhos[1]:.2f} over {len(rows)} single runs."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
