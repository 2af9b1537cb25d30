"""What does the learning rate do? LoRA on the real model, from far too low to far too high.

    python experiments/learning_rates.py [--seeds 3] [--minutes 60]

The task is the bookings of lesson 03: 50 rows, read twice, adapters on the upper half of the
layers. The rates are the usual one for LoRA at this size (`ftlab.learning_rate`) times 0.1, 1, 10
and 100, and TRL's default. Each run's held-out loss and right answers are a line of
`data/grids/learning_rates.csv`. Stopped and started again, the script goes on where it was.
"""

import argparse
import csv
import datetime
import math
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

import ftlab
from ftlab import data, hardware, models
from ftlab.generation import generate
from ftlab.teaching.lesson03 import bookings

OUT = Path(__file__).parents[1] / "data" / "grids" / "learning_rates.csv"
FIELDS = ("rate", "times", "seed", "loss", "right", "answers", "train_loss", "seconds")
BASE, TRAIN, EPOCHS, BATCH, TEST = "smollm2-135m", 50, 2, 4, 60


def main() -> None:
    """Run what is left of the grid."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--minutes", type=float, default=60, help="start no run after these")
    args = parser.parse_args()
    usual = ftlab.learning_rate("lora", 135e6).usual
    rates = [usual, SFTConfig.learning_rate, usual * 0.1, usual * 10, usual * 100]
    begun = time.monotonic()
    for seed in range(args.seeds):
        for rate in rates:
            if (f"{rate:g}", str(seed)) in finished():
                continue
            if time.monotonic() - begun > 60 * args.minutes:
                return print("The minutes are over; call again to go on.")
            row = {"rate": f"{rate:g}", "times": f"{rate / usual:g}", "seed": seed}
            keep(row | one(rate, seed))


def finished() -> set[tuple[str, str]]:
    """Return the rate and seed of each run that the file holds."""
    if not OUT.exists():
        return set()
    lines = [line for line in OUT.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {(row["rate"], row["seed"]) for row in csv.DictReader(lines)}


def keep(row: dict[str, Any]) -> None:
    """Append a run to the file, which begins with how it was made."""
    if not OUT.exists():
        OUT.parent.mkdir(exist_ok=True)
        libraries = ", ".join(
            f"{name} {version(name)}" for name in ("torch", "transformers", "trl", "peft")
        )
        machine = (
            f"{platform.machine()}, {torch.get_num_threads()} thread, {hardware.profile().dtype}"
        )
        OUT.write_text(
            "# python experiments/learning_rates.py\n"
            f"# {BASE}, LoRA rank 16 on the upper half, {TRAIN} rows, {EPOCHS} epochs, "
            f"batch {BATCH}\n"
            f"# {datetime.date.today()}; {machine}; {libraries}\n" + ",".join(FIELDS) + "\n",
            encoding="utf-8",
        )
    with OUT.open("a", encoding="utf-8", newline="") as stream:
        csv.DictWriter(stream, FIELDS, lineterminator="\n").writerow(row)
    print(row, flush=True)


def one(rate: float, seed: int) -> dict[str, Any]:
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
    trainer = SFTTrainer(
        model,
        args=ftlab.sft_config(
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            learning_rate=rate,
            seed=seed,
        ),
        train_dataset=Dataset.from_list(train),
        eval_dataset=Dataset.from_list(held_out),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model)),
    )
    ftlab.faster_on_cpu(trainer)
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
        "loss": f"{loss:.4f}" if math.isfinite(loss) else "inf",
        "right": f"{sum(right) / len(right):.3f}",
        "answers": "r" + "".join(str(int(one)) for one in right),
        "train_loss": f"{losses:.4f}",
        "seconds": f"{seconds:.0f}",
    }


if __name__ == "__main__":
    main()
