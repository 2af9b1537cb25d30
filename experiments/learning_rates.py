"""What does the learning rate do? LoRA on the real model, from far too low to far too high.

    python experiments/learning_rates.py [--seeds 3] [--minutes 60]

The task is the bookings of lesson 03: 50 rows, read twice, adapters on the upper half of the
layers. The rates are the usual one for LoRA at this size (`ftlab.learning_rate`) times 0.1, 1, 10
and 100, and TRL's default. Each run's held-out loss and right answers are a line of
`data/grids/learning_rates.csv`. Stopped and started again, the script goes on where it was.
"""

import math
import sys
import time
from pathlib import Path
from typing import Any

from grid import options, run, trainer_of
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig

import ftlab
from ftlab import data, hardware, models
from ftlab.generation import generate
from ftlab.teaching.lesson03 import bookings

OUT = Path(__file__).parents[1] / "data" / "grids" / "learning_rates.csv"
FIELDS = ("rate", "times", "seed", "loss", "right", "answers", "train_loss", "seconds")
BASE, TRAIN, EPOCHS, BATCH, TEST = "smollm2-135m", 50, 2, 4, 60
USUAL = ftlab.learning_rate("lora", 135e6).usual
MADE = f"""python experiments/learning_rates.py
{BASE}, LoRA rank 16 on the upper half, {TRAIN} rows, {EPOCHS} epochs, batch {BATCH}"""


def main() -> int:
    """Run what is left of the grid."""
    args = options(__doc__, OUT).parse_args()
    rates = [USUAL, SFTConfig.learning_rate, USUAL * 0.1, USUAL * 10, USUAL * 100]
    plan = [(f"{rate:g}", seed) for seed in range(args.seeds) for rate in rates]
    return run(plan, one, args, ("rate", "seed"), FIELDS, MADE)


def one(rate: str, seed: int) -> dict[str, Any]:
    """Train once, and measure on held-out rows that are the same for all runs."""
    hardware.seed_everything(seed)
    held_out = bookings(TEST, 1000)
    asked = {data.prompt(row)[-1]["content"] for row in held_out}
    train = [
        row for row in bookings(2 * TRAIN, seed) if data.prompt(row)[-1]["content"] not in asked
    ][:TRAIN]
    folder = models.get(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    trainer = trainer_of(
        model, tokenizer, train, seed, eval_rows=held_out, learning_rate=float(rate),
        num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH,
    )  # fmt: skip
    begun = time.monotonic()
    losses = trainer.train().training_loss
    seconds = time.monotonic() - begun
    loss = trainer.evaluate()["eval_loss"]
    answers = generate(
        trainer.model, tokenizer, [data.prompt(row) for row in held_out], max_new_tokens=24
    )
    right = [
        data.answer(row) == answer.strip() for row, answer in zip(held_out, answers, strict=True)
    ]
    return {
        "times": f"{float(rate) / USUAL:g}",
        "loss": f"{loss:.4f}" if math.isfinite(loss) else "inf",
        "right": f"{sum(right) / len(right):.3f}",
        "answers": "r" + "".join(str(int(one)) for one in right),
        "train_loss": f"{losses:.4f}",
        "seconds": f"{seconds:.0f}",
    }


if __name__ == "__main__":
    sys.exit(main())
