"""What do paraphrases, back-translations and new messages add to 21 seeds, for the tuned model?

    python experiments/amplify.py [--out CSV] [--seeds 3] [--minutes 60]

The task is to name the topic of a customer's message. Each arm has the 21 seed messages of lesson
05 and 42 more (or none): a large model's recorded paraphrases, its translations there and back, its
new messages, or messages written for the course. All arms read the same number of rows, so that the
seeds alone are read more often. "everything" has all that the large model made, read once. Tested
on the course's 120 held-out messages, with a logistic regression on the same rows beside.

Each run is a line of `data/grids/amplify.csv`; the last columns hold each answer, right or not.
Stopped and started again, the script goes on where it was. Exit code 3: nothing is left to do.
"""

import random
import re
import sys
import time
from pathlib import Path
from typing import Any

from grid import options, run, trainer_of
from transformers import AutoModelForCausalLM, AutoTokenizer

from ftlab import data, hardware, models
from ftlab.files import data_path
from ftlab.generation import generate
from ftlab.recorded import read_recorded
from ftlab.tasks import triage
from ftlab.teaching import lesson05
from ftlab.teaching.lesson05 import WORDS

OUT = Path(__file__).parents[1] / "data" / "grids" / "amplify.csv"
FIELDS = (
    "arm", "seed", "rows", "read", "right", "valid", "logistic", "of", "seconds", "answers",
    "logistic_answers",
)  # fmt: skip
BASE, BATCH, STEPS, MORE = "smollm2-135m", 4, 32, 42
ARMS = ("seeds", "new", "paraphrase", "written", "back-translation", "everything")
MADE = f"""python experiments/amplify.py
{BASE}, LoRA rank 16 on the upper half, {STEPS} steps of {BATCH}"""

Message = tuple[str, str]
"""A text and its topic."""


def main() -> int:
    """Run what is left of the grid."""
    args = options(__doc__, OUT).parse_args()
    plan = [(arm, seed) for seed in range(args.seeds) for arm in ARMS[:-1]]
    plan += [(ARMS[-1], seed) for seed in range(args.seeds)]
    return run(plan, one, args, ("arm", "seed"), FIELDS, MADE)


def made() -> dict[str, list[Message]]:
    """Return what the large model made of the seeds, by way, without near copies."""
    recorded = {
        row["messages"][-1]["content"]: row["reply"]
        for row in read_recorded(data_path("recorded/teacher.jsonl"))
    }
    replies = {kind: [recorded[p] for p in some] for kind, some in lesson05.requests().items()}
    replies["back"] = [recorded[WORDS["back"].format(text=text)] for text in replies["there"]]
    found: dict[str, list[Message]] = {"paraphrase": [], "back-translation": [], "new": []}
    there = [seed["text"] for seed in WORDS["seeds"]]
    for way, topic, source, text in lesson05.candidates(replies):
        lost = set(re.findall(r"\d+", source)) - set(re.findall(r"\d+", text))
        if not lost and max(alike(text, other) for other in there) < 0.7:
            there.append(text)
            found[way].append((text, topic))
    return found


def alike(a: str, b: str) -> float:
    """Return the words that two texts share, over those that either has."""
    one, other = (set(re.findall(r"[a-z0-9']+", text.lower())) for text in (a, b))
    return len(one & other) / len(one | other)


def arm_rows(arm: str, seed: int) -> list[Message]:
    """Return the messages of an arm: the seeds and up to `MORE` others, as many of each topic."""
    rows = [(one["text"], one["topic"]) for one in WORDS["seeds"]]
    if arm == "seeds":
        return rows
    hand = triage.examples(480, seed=0)
    ways = made() | {
        "written": [(data.prompt(row)[-1]["content"], data.answer(row)) for row in hand]
    }
    if arm == "everything":
        return rows + ways["paraphrase"] + ways["back-translation"] + ways["new"]
    draw = random.Random(f"{arm} {seed}")
    for topic in triage.TOPICS:
        some = [message for message in ways[arm] if message[1] == topic]
        rows += draw.sample(some, min(len(some), MORE // len(triage.TOPICS)))
    return rows


def one(arm: str, seed: int) -> dict[str, Any]:
    """Train once, and measure on held-out messages that are the same for all runs."""
    hardware.seed_everything(seed)
    test = triage.examples(120, seed=0, split="test")
    begun = time.monotonic()
    folder = models.get(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    rows = arm_rows(arm, seed)
    train = [data.example(text, topic, system=triage.SYSTEM) for text, topic in rows]
    steps = -(-len(rows) // BATCH) if arm == "everything" else STEPS
    trainer = trainer_of(
        model, tokenizer, train, seed, max_steps=steps, per_device_train_batch_size=BATCH
    )
    trainer.train()
    model = trainer.model
    asked = [data.prompt(row) for row in test]
    answers = generate(model, tokenizer, asked, max_new_tokens=6)
    marks = [triage.score(row, answer) for row, answer in zip(test, answers, strict=True)]
    right = [mark["right"].num == 1 for mark in marks]
    named = triage.baseline(train, test)
    rival = [topic == data.answer(row) for topic, row in zip(named, test, strict=True)]
    return {
        "rows": len(rows),
        "read": steps * BATCH,
        "right": sum(right),
        "valid": sum(mark["valid"].num == 1 for mark in marks),
        "logistic": sum(rival),
        "of": len(test),
        "seconds": f"{time.monotonic() - begun:.0f}",
        "answers": bits(right),
        "logistic_answers": bits(rival),
    }


def bits(right: list[bool]) -> str:
    """Return one digit an answer, behind a letter that keeps it from being read as a number."""
    return "r" + "".join(str(int(each)) for each in right)


if __name__ == "__main__":
    sys.exit(main())
