"""A model that learns from its own answers, all of them or those that pass a check: three rounds.

    python experiments/self_training.py [--out CSV] [--seeds 3] [--minutes 60]

Round 0 tunes the base on 24 examples of the task kindness. In each further round the model of the
round before answers 32 new problems, and a *fresh* base is tuned on the answers:

    all           one answer to each problem, sampled at temperature 1
    checked       of three such answers the first that passes the check of the task: two or three
                  whole sentences, on the topic, harmless
    all, cooler   one answer to each problem, sampled at temperature 0.7

All rounds read as many rows. Each model then answers 40 held-out problems, greedily; `helpful` is
the check's verdict on them, `openings` how many different first three words they have.

Each round is a line of `data/grids/self_training.csv`. Stopped and started again, the script goes
on where it was: what a round learned from lies beside the file of the grid. Exit code 3: nothing is
left to do.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from grid import options, run, trainer_of
from transformers import AutoModelForCausalLM, AutoTokenizer

from ftlab import data, hardware, models, tasks
from ftlab.generation import generate

OUT = Path(__file__).parents[1] / "data" / "grids" / "self_training.csv"
FIELDS = (
    "kept", "round", "seed", "rows", "passed", "sampled", "helpful", "of", "openings", "words",
    "seconds", "answers",
)  # fmt: skip
BASE, BATCH, STEPS = "smollm2-135m", 4, 20
WAYS = {"all": (1.0, 1), "checked": (1.0, 3), "all, cooler": (0.7, 1)}
"""What is kept: the temperature, and how many answers to each problem."""
GOLD, NEW, TEST, ROUNDS, TOKENS = 24, 32, 40, 3, 48
SYSTEM = "Name the smallest helpful action."  # shorter than the one that the template would add
KINDNESS = tasks.get("kindness")
MADE = f"""python experiments/self_training.py
{BASE}, LoRA rank 16 on the upper half, {STEPS} steps of {BATCH}"""


def main() -> int:
    """Run what is left of the grid."""
    args = options(__doc__, OUT).parse_args()
    rounds = [("gold", 0), *((kept, n) for kept in WAYS for n in range(1, ROUNDS + 1))]
    plan = [(*each, seed) for seed in range(args.seeds) for each in rounds]
    return run(plan, partial(one, args.out), args, ("kept", "round", "seed"), FIELDS, MADE)


def one(out: Path, kept: str, number: int, seed: int) -> dict[str, Any]:
    """Tune a fresh base on a round's rows, measure it, and have it write the rows of the next."""
    begun = time.monotonic()
    rows, counts = rows_of(out, kept, number, seed)
    model, tokenizer = tuned(rows, seed)
    test = [asked(row) for row in KINDNESS.examples(TEST, seed=1000, split="test")]
    answers = generate(model, tokenizer, [data.prompt(row) for row in test], max_new_tokens=TOKENS)
    right = [passes(row, answer) for row, answer in zip(test, answers, strict=True)]
    if number < ROUNDS:
        problems = new_problems(number + 1, seed)
        for way in WAYS if number == 0 else (kept,):
            temperature, times = WAYS[way]
            samples = generate(
                model, tokenizer, [data.prompt(row) for row in problems for _ in range(times)],
                max_new_tokens=TOKENS, temperature=temperature, seed=seed,
            )  # fmt: skip
            beside(out, way, number + 1, seed).write_text(json.dumps(samples), "utf-8")
    return counts | {
        "rows": len(rows),
        "helpful": sum(right),
        "of": len(right),
        "openings": len({" ".join(answer.split()[:3]) for answer in answers}),
        "words": f"{sum(len(answer.split()) for answer in answers) / len(answers):.1f}",
        "seconds": f"{time.monotonic() - begun:.0f}",
        "answers": "r" + "".join(str(int(one)) for one in right),
    }


def rows_of(out: Path, kept: str, number: int, seed: int) -> tuple[list[data.Row], dict[str, int]]:
    """Return what a round learns from, and how many of the samples passed the check."""
    if number == 0:
        gold = [asked(row) for row in KINDNESS.examples(GOLD, seed=seed)]
        return gold, {"passed": len(gold), "sampled": len(gold)}
    samples = json.loads(beside(out, kept, number, seed).read_text("utf-8"))
    rows, passed, times = [], 0, WAYS[kept][1]
    for place, problem in enumerate(new_problems(number, seed)):
        tried = samples[times * place : times * (place + 1)]
        good = [text for text in tried if passes(problem, text)]
        passed += len(good)
        for text in ([text for text in tried if text] if kept != "checked" else good)[:1]:
            answer = {"role": "assistant", "content": text}
            rows.append({"prompt": data.prompt(problem), "completion": [answer]})
    return rows, {"passed": passed, "sampled": len(samples)}


def new_problems(number: int, seed: int) -> list[data.Row]:
    """Return the problems that a round's rows answer; none of them is in another round."""
    start = GOLD + NEW * (number - 1)
    return [asked(row) for row in KINDNESS.examples(start + NEW, seed=seed)[start:]]


def asked(row: data.Row) -> data.Row:
    """Return a row with the system message of this experiment."""
    problem = data.prompt(row)[-1]["content"]
    return data.example(problem, data.answer(row), system=SYSTEM, **data.meta(row))


def passes(row: data.Row, answer: str) -> bool:
    """Say whether an answer passes the check of the task."""
    return KINDNESS.score(row, answer)["helpful"].num == 1


def tuned(rows: list[data.Row], seed: int) -> tuple[Any, Any]:
    """Return a fresh base tuned on some rows, and its tokenizer."""
    hardware.seed_everything(seed)
    folder = models.get(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    plain = [{key: row[key] for key in ("prompt", "completion")} for row in rows]
    trainer = trainer_of(
        model, tokenizer, plain, seed, max_steps=STEPS, per_device_train_batch_size=BATCH
    )
    trainer.train()
    return trainer.model, tokenizer


def beside(out: Path, kept: str, number: int, seed: int) -> Path:
    """Return the file of the samples from which a round's rows are chosen."""
    return out.with_name(f"{out.stem}.{kept.replace(', ', '-')}-{number}-{seed}.json")


if __name__ == "__main__":
    sys.exit(main())
