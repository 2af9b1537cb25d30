"""What do 50, 100 and 200 records teach a small model? Every task, against its prompted base.

    python experiments/tasks.py [--out data/grids/tasks.csv] [--minutes 60]

Each task is answered by the base, by the base with eight solved examples in its prompt, and by the
base tuned on 50, 100 and 200 records: the upper half of the layers, LoRA rank 16, two passes, the
same recipe everywhere; extraction also on 150 records in four passes, since two leave it
unfinished. The held-out records are the same for all. A line of the file is one system and one
seed; the seed draws the examples and the training records. The order of the runs makes a stop at
any moment leave a table: all tasks at 50 and 100 records with seed 0, then seeds 1 and 2, then 200.
Stopped and started again, the script goes on where it was; it ends with code 3 when nothing is
left. `python scripts/task_cards.py` puts the table on the tasks' cards.
"""

import datetime
import importlib
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from grid import options, run, trainer_of
from transformers import AutoModelForCausalLM, AutoTokenizer

from ftlab import data, hardware, models, tasks
from ftlab.evaluation.forgetting import bits_per_character
from ftlab.evaluation.systems import System, few_shot_examples
from ftlab.generation import generate

OUT = Path(__file__).parents[1] / "data" / "grids" / "tasks.csv"
FIELDS = ("task", "system", "records", "seed", "n", "totals", "marks", "minutes", "date")
BASE, RATE, EPOCHS, BATCH = "smollm2-135m", 2e-3, 2, 4
ANSWER = {  # most tokens of an answer, and how many held-out records
    "triage": (8, 60),
    "punctuation": (64, 40),
    "extraction": (64, 40),
    "kindness": (64, 40),
    "style": (64, 40),
    "unit_tests": (200, 24),
}
MADE = f"""python experiments/tasks.py
{BASE}, LoRA rank 16 on the upper half, rate {RATE:g}, {EPOCHS} passes, batches of {BATCH}"""
LONGER = {"extraction": (150, 4)}  # records and passes of a further system
BEYOND = {"kindness": 16, "style": 24}  # further records, of a sort that training never has


def main() -> int:
    """Run what is left of the grid."""
    parser = options(__doc__, OUT)
    parser.add_argument("--tasks", nargs="+", default=list(ANSWER), choices=ANSWER)
    args = parser.parse_args()
    runs = plan(args.tasks, args.seeds)
    return run(runs, partial(one, args.out), args, ("task", "records", "seed"), FIELDS, MADE)


def plan(names: list[str], seeds: int) -> list[tuple[str, int, int]]:
    """Return (task, training records, seed) in the order of the runs; -8 is 8 examples."""
    first = [(name, records, 0) for name in names for records in (0, 50, -8, 100)]
    more = [(n, records, seed) for seed in range(1, seeds) for n in names for records in (50, 100)]
    large = [(n, records, seed) for seed in range(seeds) for n in names for records in sizes(n)]
    return [*first, *more, *large]


def sizes(name: str) -> list[int]:
    """Return how many records the large runs of a task have."""
    return [LONGER[name][0], 200] if name in LONGER else [200]


def passes(name: str, records: int) -> int:
    """Return how often a run reads its records."""
    size, longer = LONGER.get(name, (0, EPOCHS))
    return longer if records == size else EPOCHS


def one(out: Path, name: str, records: int, seed: int) -> dict[str, Any]:
    """Tune, or prompt, and mark; keep the answers beside the file.

    Training texts and few-shot examples are never held-out ones.
    """
    begun = time.monotonic()
    hardware.seed_everything(seed)
    task, (most, n) = tasks.get(name), ANSWER[name]
    held_out = task.examples(n, 0, split="test")
    beyond: list[data.Row] = []
    if name in BEYOND:
        beyond = importlib.import_module(f"ftlab.tasks.{name}").probe(BEYOND[name], 0)
    folder = models.get(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    asks = System("base", BASE).asks
    if records < 0:
        shots = few_shot_examples(task.up_to(160, 0), held_out, -records, seed=seed)
        asks = System(f"{-records} examples", BASE, few_shot_examples=shots).asks
    if records > 0:
        rows = task.up_to(200, seed)[:records]
        model = tuned(model, tokenizer, rows, seed, passes(name, records))
    asked = [asks(data.prompt(row)) for row in (*held_out, *beyond)]
    said = generate(model, tokenizer, asked, max_new_tokens=most)
    scores = [task.score(row, text) for row, text in zip((*held_out, *beyond), said, strict=True)]
    totals = {}
    for prefix, part in (("", scores[:n]), ("probe ", scores[n:])):
        for metric in part[0] if part else ():
            total = tasks.total(marks[metric] for marks in part)
            totals[prefix + metric] = [round(total.num, 3), round(total.den, 3)]
    if name == "style":  # how well does it expect each voice?
        for prefix, rows in (("", held_out), ("probe ", beyond)):
            bits = bits_per_character(model, tokenizer, [data.answer(row) for row in rows])
            totals[prefix + "bits"] = [round(sum(part), 1) for part in zip(*bits, strict=True)]
    often = passes(name, records)
    system = "tuned" if often == EPOCHS else f"tuned, {often} passes"
    if records <= 0:
        system = f"{-records} examples" if records else "base"
    with out.with_suffix(".answers.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"run": [name, records, seed], "said": said}) + "\n")
    return {
        "system": system,
        "n": n,
        "totals": json.dumps(totals),
        "marks": " ".join(f"{s[task.headline].num:g}/{s[task.headline].den:g}" for s in scores[:n]),
        "minutes": f"{(time.monotonic() - begun) / 60:.1f}",
        "date": datetime.date.today(),
    }


def tuned(model: Any, tokenizer: Any, rows: list[data.Row], seed: int, epochs: int) -> Any:
    """Return the model with an adapter on its upper half, tuned on the rows."""
    trainer = trainer_of(
        model, tokenizer, rows, seed, learning_rate=RATE, num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
    )  # fmt: skip
    trainer.train()
    return trainer.model


if __name__ == "__main__":
    sys.exit(main())
