"""What do wordings do for terms, and a hundred examples for a pattern of reasoning?

    python experiments/patterns.py [--seeds 3] [--minutes 60]

Terms: twelve invented words of a trade with their meanings, each in five rows: five times the same
question, or five questions. Asked afterwards in the trained wording and in a new one.
Analysis: four labelled lines about a plan, learned from 100 or 34 examples read twice. Counted on
20 new plans: the answers with the four labels in order.

The words are those of lesson 01, the adapters LoRA rank 16 on the upper half of the layers. Each
figure is a line of `data/grids/patterns.csv`. Stopped and started again, the script goes on where
it was.
"""

import re
import sys
import time
from pathlib import Path
from typing import Any

import torch
from grid import options, run, trainer_of
from transformers import AutoModelForCausalLM, AutoTokenizer

from ftlab import data, files, models
from ftlab.generation import generate

OUT = Path(__file__).parents[1] / "data" / "grids" / "patterns.csv"
FIELDS = ("pattern", "rows", "asked", "seed", "right", "of", "seconds")
BASE, BATCH = "smollm2-135m", 4
WORDS = files.read_data("lessons/patterns_and_facts.yaml")
EPOCHS = {"one wording": 3, "five wordings": 3, "analysis": 2}
MADE = f"""python experiments/patterns.py
{BASE}, LoRA rank 16 on the upper half, epochs {EPOCHS}, batch {BATCH}"""


def main() -> int:
    """Run what is left of the grid."""
    args = options(__doc__, OUT).parse_args()
    runs = [("five wordings", 60), ("one wording", 60), ("analysis", 100), ("analysis", 34)]
    plan = [(*each, seed) for seed in range(args.seeds) for each in runs]
    return run(plan, one, args, ("pattern", "rows", "seed"), FIELDS, MADE)


def one(pattern: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Train once, and return a line for each way of asking."""
    train, questions = (analysis if pattern == "analysis" else terms)(pattern)
    start = time.monotonic()
    folder = models.get(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    trainer = trainer_of(
        model, tokenizer, train[:count], seed, num_train_epochs=EPOCHS[pattern],
        per_device_train_batch_size=BATCH,
    )  # fmt: skip
    trainer.train()
    lines = []
    for asked, cases in questions.items():
        answers = generate(
            trainer.model, tokenizer, [prompt for prompt, _ in cases], max_new_tokens=64
        )
        right = sum(
            bool(re.search(wanted, answer, re.I))
            for (_, wanted), answer in zip(cases, answers, strict=True)
        )
        seconds = round(time.monotonic() - start)
        lines.append({"asked": asked, "right": right, "of": len(cases), "seconds": seconds})
    return lines


def terms(pattern: str) -> tuple[list[data.Row], dict[str, list]]:
    """Return the rows that teach the terms, and the questions after the training."""
    words = WORDS["terms"]
    wordings = words["asked"] if pattern == "five wordings" else words["asked"][:1] * 5
    rows = [
        data.example(wording.format(term=term), f"{meaning.capitalize()}.", system=words["system"])
        for wording in wordings
        for term, meaning, _ in words["meanings"]
    ]

    def ask(wording: str) -> list:
        return [
            (data.prompt(data.example(wording.format(term=term), "", system=words["system"])),
             rf"\b{key}\b")
            for term, _, key in words["meanings"]
        ]  # fmt: skip

    return rows, {"as trained": ask(words["asked"][0]), "in a new wording": ask(words["new"])}


def analysis(_: str) -> tuple[list[data.Row], dict[str, list]]:
    """Return the rows that teach the four steps, and the new plans."""
    words = WORDS["analysis"]
    rows = [
        data.example(
            wording.format(plan=plan),
            "\n".join(f"{step}: {text}" for step, text in zip(words["steps"], texts, strict=True)),
            system=words["system"],
        )
        for wording in words["asked"]
        for plan, *texts in words["trained"]
    ]
    wanted = r"\n".join(rf"{step}: .+" for step in words["steps"])
    questions = [
        (data.prompt(data.example(words["asked"][1].format(plan=plan), "", system=words["system"])),
         rf"^{wanted}\s*$")
        for plan in words["new"]
    ]  # fmt: skip
    return rows, {"about new plans": questions}


if __name__ == "__main__":
    sys.exit(main())
