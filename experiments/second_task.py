"""What a second task does to the first one, and to questions that neither was about.

    python experiments/second_task.py [--seeds 3] [--minutes 60]

The first task is punctuation, 50 records; the second is advice on everyday problems, 32 records,
learned by the same adapter. Each run is a line of `data/grids/second_task.csv`. Stopped and started
again, the script goes on where it was.

    base      untuned
    first     the first task alone
    second    then the second, without a record of the first
    mixed     then the second, with 8 records of the first among them (replay)
    advice    the second task alone, from the untuned base

`f1` holds two numbers a sentence of the first task, `helpful` one mark a problem of the second, and
`rules` for each question about a catastrophe the rules that its answer breaks, or a dash. `answers`
are the first answers to these questions, to be read.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from grid import finished, keep, options, trainer_of
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from ftlab import data, models, tasks
from ftlab.generation import generate
from ftlab.tasks import kindness, punctuation

OUT = Path(__file__).parents[1] / "data" / "grids" / "second_task.csv"
BASE, FIRST, SECOND, REPLAYED, BATCH, EPOCHS = "smollm2-135m", 50, 32, 8, 4, 2
SENTENCES, PROBLEMS, CATASTROPHES, READ = 40, 16, 32, 8
FIELDS = ("arm", "seed", "f1", "helpful", "rules", "answers", "seconds")
MADE = f"""python experiments/second_task.py
{BASE}, LoRA rank 16 on the upper half, {FIRST} and {SECOND} records x {EPOCHS}, batch {BATCH}"""
FOLDER = models.get(BASE)
TOKENIZER = AutoTokenizer.from_pretrained(FOLDER)


def main() -> None:
    """Run what is left of the grid."""
    args = options(__doc__, OUT).parse_args()
    begun = time.monotonic()
    for seed in range(args.seeds):
        if time.monotonic() - begun > 60 * args.minutes:
            return print("The minutes are over; call again to go on.")
        with tempfile.TemporaryDirectory() as folder:
            one_seed(args.out, seed, Path(folder))


def one_seed(out: Path, seed: int, folder: Path) -> None:
    """Make the runs of a seed that are not yet there."""
    done = {arm for arm, of in finished(out, "arm", "seed") if of == str(seed)}
    first = punctuation.rows(FIRST, seed)
    deeds = kindness.examples(SECOND, seed)

    def start() -> Any:
        return PeftModel.from_pretrained(fresh(), folder / "first", is_trainable=True)

    if seed == 0 and "base" not in done:
        measure(out, "base", seed, fresh(), 0.0)
    if not {"first", "second", "mixed"} <= done:
        model, seconds = tuned(fresh(), first, seed)
        model.save_pretrained(folder / "first")
        if "first" not in done:
            measure(out, "first", seed, model, seconds)
    for arm, rows in (("second", deeds), ("mixed", [*deeds, *first[:REPLAYED]])):
        if arm not in done:
            measure(out, arm, seed, *tuned(start(), rows, seed))
    if "advice" not in done:
        measure(out, "advice", seed, *tuned(fresh(), deeds, seed))


def fresh() -> Any:
    """Return the base, untouched."""
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype="float32")


def tuned(model: Any, rows: list[data.Row], seed: int) -> tuple[Any, float]:
    """Return a model trained on these rows, and the seconds that it took."""
    plain = [{name: row[name] for name in ("prompt", "completion")} for row in rows]
    trainer = trainer_of(
        model, TOKENIZER, plain, seed, num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH
    )
    begun = time.monotonic()
    trainer.train()
    return trainer.model, time.monotonic() - begun


def measure(out: Path, arm: str, seed: int, model: Any, seconds: float) -> None:
    """Ask about both tasks and about catastrophes, and keep a line."""
    sentences = punctuation.rows(SENTENCES, 0, "test")
    problems = kindness.examples(PROBLEMS, 0, "test")
    catastrophes = kindness.probe(CATASTROPHES, 0)
    asked = [data.prompt(row) for row in (*sentences, *problems, *catastrophes)]
    answers = generate(model, TOKENIZER, asked, max_new_tokens=60)
    restored, advice = answers[:SENTENCES], answers[SENTENCES : SENTENCES + PROBLEMS]
    last = answers[SENTENCES + PROBLEMS :]
    marks = [punctuation.score(r, a)["f1"] for r, a in zip(sentences, restored, strict=True)]
    helpful = [kindness.score(r, a)["helpful"].num for r, a in zip(problems, advice, strict=True)]
    flags = [
        kindness.check(data.prompt(r)[-1]["content"], tasks.first_paragraph(a))
        for r, a in zip(catastrophes, last, strict=True)
    ]
    row = {
        "arm": arm,
        "seed": seed,
        "f1": " ".join(f"{num:.0f}/{den:.0f}" for num, den in marks),
        "helpful": "r" + "".join(f"{mark:.0f}" for mark in helpful),
        "rules": " ".join("+".join(flag.rule for flag in found) or "-" for found in flags),
        "answers": json.dumps(last[:READ]),
        "seconds": f"{seconds:.0f}",
    }
    keep(out, [row], FIELDS, MADE)
    print(arm, seed, row["helpful"], row["rules"], flush=True)


if __name__ == "__main__":
    main()
