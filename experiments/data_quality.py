"""What a property of the data does to the tuned model: many short runs of one real model.

    python experiments/data_quality.py [--out data/grids/data_quality.csv] [--minutes 60]
    python experiments/data_quality.py --list      the runs in their order, with what is done

The task is triage (a message's topic in one word), on messages that no run trains on; for the last
parts punctuation, and everyday advice. Each run is LoRA rank 16 on the upper half of
smollm2-135m, two passes. A finished run is a line of the CSV: stopped and started again, the grid
goes on where it was, and with nothing left it exits with code 3.

    curve     none, or 25 to 400 records
    spread    60 records: over all topics, 15 with three near copies of each, two topics, or as
              skewed as production
    wrong     60 records of which 10, 20 or 40 % have a wrong topic
    kinds     60 records: plain ones alone, or 30 plain, 16 messy and 14 hostile
    weight    20 right records and 40 of which half are wrong: as they come, the right ones read
              three times, or with three times the weight in the loss
    linear    a logistic regression in the model's place: the records of `curve`, or of punctuation
              as in `tasks.py`
    capitals  punctuation, with capitals left in the input, or without
    short     advice in full, or cut to its first sentence

`answers` holds what came: for triage one digit a message of `asked_of()`, the topic's place in
TOPICS, or a dash; for punctuation F1's two numbers a sentence; for advice the words of each answer.
"""

import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from grid import finished, keep, options
from peft import LoraConfig
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTTrainer

import ftlab
from ftlab import data, models, tasks
from ftlab.generation import generate
from ftlab.tasks import punctuation, triage
from ftlab.tasks.triage import SYSTEM, TOPICS, parse

OUT = Path(__file__).parents[1] / "data" / "grids" / "data_quality.csv"
BASE, BATCH, EPOCHS, SIZE = "smollm2-135m", 2, 2, 60
FIELDS = ("part", "arm", "seed", "records", "seconds", "answers")
MADE = f"""python experiments/data_quality.py
{BASE}, LoRA rank 16 on the upper half, {EPOCHS} passes, batch {BATCH}"""
PRODUCTION = dict(zip(TOPICS, (0.40, 0.06, 0.04, 0.25, 0.03, 0.12, 0.10), strict=True))

# (part, arm) in the order of their worth; the first seed of all comes before the second of any.
ARMS: list[tuple[str, str]] = [
    ("spread", "spread"), ("kinds", "plain"), ("kinds", "mixed"), ("wrong", "40"),
    ("curve", "0"), ("curve", "25"), ("curve", "100"), ("spread", "two topics"),
    ("spread", "near copies"), ("spread", "production"), ("weight", "as they come"),
    ("weight", "read more often"), ("weight", "weighted"), ("capitals", "left in"),
    ("capitals", "taken away"), ("wrong", "20"), ("short", "full"), ("short", "first sentence"),
    ("curve", "200"), ("wrong", "10"), ("curve", "50"), ("curve", "400"),
    *(("linear", size) for size in ("25", "50", "100", "200", "400")),
    *(("linear, punctuation", size) for size in ("50", "100", "200")),
]  # fmt: skip
ALWAYS_THE_SAME = ("curve", "0")
"""The untuned base: its greedy answers need one seed."""


# The records.


def tickets(split: str) -> list[dict[str, Any]]:
    """Return the messages of a split, in the order of their ids."""
    task = tasks.get("triage")
    rows = [
        {"text": data.prompt(r)[-1]["content"], "topic": data.answer(r), **data.meta(r)}
        for r in task.examples(task.sizes[split], 0, split)
    ]
    return sorted(rows, key=lambda row: row["id"])


def asked_of() -> list[dict[str, Any]]:
    """Return the messages that every run answers: the test split, and 30 hostile ones beside it."""
    return tickets("test") + [t for t in tickets("train") if t["slice"] == "hostile"][:30]


def pool() -> list[dict[str, Any]]:
    """Return what may be trained on: the train split without those 30."""
    kept = {ticket["id"] for ticket in asked_of()}
    return [ticket for ticket in tickets("train") if ticket["id"] not in kept]


def spread(some: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Return messages in a random order in which the topics take turns."""
    rng = random.Random(seed)
    queues = {topic: [t for t in some if t["topic"] == topic] for topic in TOPICS}
    for queue in queues.values():
        rng.shuffle(queue)
    longest = max(map(len, queues.values()))
    return [queue[i] for i in range(longest) for queue in queues.values() if i < len(queue)]


def drawn(some: list[dict[str, Any]], counts: dict[str, int], seed: int) -> list[dict[str, Any]]:
    """Return so many messages of each topic."""
    order = spread(some, seed)
    return [t for topic, n in counts.items() for t in [t for t in order if t["topic"] == topic][:n]]


def mislabelled(some: list[dict[str, Any]], share: float, seed: int) -> list[dict[str, Any]]:
    """Give a share of the messages another topic; a larger share only adds."""
    rng, out = random.Random(f"wrong {seed}"), list(some)
    order = rng.sample(range(len(some)), len(some))
    others = [rng.randrange(1, len(TOPICS)) for _ in some]
    for i in order[: round(share * len(some))]:
        right = TOPICS.index(some[i]["topic"])
        out[i] = {**some[i], "topic": TOPICS[(right + others[i]) % len(TOPICS)]}
    return out


def row(ticket: dict[str, Any]) -> data.Row:
    """Return a message as a row to train on."""
    return data.example(ticket["text"], ticket["topic"], system=SYSTEM)


def near_copies(some: list[dict[str, Any]], seed: int) -> list[data.Row]:
    """Return 15 messages and three copies of each: with slips, in lower case, with a footer."""
    rng = random.Random(f"copies {seed}")
    footers = (
        "Sent from my telephone",
        "Best regards",
        "Ticket 4711, please reply above this line",
    )

    def slips(text: str) -> str:
        for _ in range(2):  # two neighbours change places
            at = rng.randrange(1, len(text) - 2)
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        return text

    ways = (str, slips, str.lower, lambda text: f"{text}\n\n{rng.choice(footers)}")
    few = spread(some, seed)[: SIZE // len(ways)]
    return [row({**ticket, "text": way(ticket["text"])}) for way in ways for ticket in few]


def triage_rows(part: str, arm: str, seed: int) -> list[data.Row]:
    """Return the rows of one run, and for the weighted one their weights."""
    some = pool()
    base = spread(some, seed)[:SIZE]
    of = {kind: [t for t in some if t["slice"] == kind] for kind in ("plain", "messy", "hostile")}
    if part == "curve":
        return [row(t) for t in spread(some, seed)[: int(arm)]]
    if part == "wrong":
        return [row(t) for t in mislabelled(base, int(arm) / 100, seed)]
    if part == "kinds":
        mixed = spread(of["plain"], seed)[:30] + spread(of["messy"], seed)[:16]
        mixed += spread(of["hostile"], seed)[:14]
        return [row(t) for t in (spread(of["plain"], seed)[:SIZE] if arm == "plain" else mixed)]
    if part == "weight":
        trusted = base[:20]
        others = mislabelled(base[20:], 0.5, seed)
        rows = [row(t) | {"weight": w} for w, ts in ((3.0, trusted), (1.0, others)) for t in ts]
        if arm == "read more often":
            rows += 2 * rows[: len(trusted)]
        return rows if arm == "weighted" else [{**r, "weight": 1.0} for r in rows]
    if arm == "near copies":
        return near_copies(some, seed)
    counts = {
        "two topics": dict.fromkeys(TOPICS, 1) | {"refund": 2, "billing": 27, "login": 27},
        "production": {topic: round(SIZE * share) for topic, share in PRODUCTION.items()},
    }
    return [row(t) for t in (drawn(some, counts[arm], seed) if arm in counts else base)]


def kindness_rows(arm: str, seed: int) -> list[data.Row]:
    """Return everyday advice, whole or only its first sentence."""
    rows = []
    for one in tasks.get("kindness").examples(50, seed):
        answer = data.answer(one)
        answer = re.split(r"(?<=[.!?])\s", answer)[0] if arm == "first sentence" else answer
        rows.append(data.example(data.prompt(one)[-1]["content"], answer))
    return rows


# A run.


class Weighted(SFTTrainer):
    """A trainer whose rows have weights: the loss is their weighted mean over tokens."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        weight, labels = inputs.pop("weight"), inputs.pop("labels")[:, 1:]
        learned = labels != -100
        places = learned.any(dim=0).nonzero()[:, 0]  # logits are needed here only
        logits = model(**inputs, logits_to_keep=places).logits
        labels, learned = labels[:, places], learned[:, places]
        losses = cross_entropy(logits.transpose(1, 2).float(), labels, reduction="none")
        weight = weight[:, None] * learned
        return (losses * weight).sum() / weight.sum()


def tune(rows: list[data.Row], seed: int, steps: int = -1) -> tuple[Any, Any]:
    """Train an adapter on rows; return it with its tokenizer."""
    folder = models.get(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    if not rows:
        return model, tokenizer
    weighted = "weight" in rows[0]
    trainer = (Weighted if weighted else SFTTrainer)(
        model,
        args=ftlab.sft_config(
            output_dir=tempfile.gettempdir(), num_train_epochs=EPOCHS, max_steps=steps,
            per_device_train_batch_size=BATCH, seed=seed, remove_unused_columns=not weighted,
            learning_rate=ftlab.learning_rate("lora", model.num_parameters()).high,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model)),
    )  # fmt: skip
    if weighted:
        collate = trainer.data_collator
        trainer.data_collator = lambda rows: {
            **collate(rows), "weight": torch.tensor([row["weight"] for row in rows])
        }  # fmt: skip
    else:
        ftlab.faster_on_cpu(trainer)
    trainer.train()
    return trainer.model, tokenizer


def topics_of(model: Any, tokenizer: Any) -> str:
    """Ask all messages; return a digit for each answer."""
    asked = [data.prompt(row(ticket)) for ticket in asked_of()]
    return digits([parse(text) for text in generate(model, tokenizer, asked, max_new_tokens=24)])


def digits(words: list[str]) -> str:
    """Return a digit for each topic, and a dash for what is none."""
    return "".join(str(TOPICS.index(w)) if w in TOPICS else "-" for w in words)


def marks_of(model: Any, tokenizer: Any, rows: list[data.Row]) -> str:
    """Return F1's two numbers for each sentence."""
    return marks(
        rows, generate(model, tokenizer, [data.prompt(r) for r in rows], max_new_tokens=60)
    )


def marks(rows: list[data.Row], said: list[str]) -> str:
    """Return F1's two numbers for each answer."""
    found = [punctuation.score(r, text)["f1"] for r, text in zip(rows, said, strict=True)]
    return " ".join(f"{f1.num:g}/{f1.den:g}" for f1 in found)


def logistic(part: str, size: int, seed: int) -> str:
    """Return the answers of a logistic regression of so many records, as a model's are written."""
    if part == "linear":
        return digits(
            triage.baseline(triage_rows("curve", str(size), seed), [*map(row, asked_of())])
        )
    task = tasks.get("punctuation")
    held_out = task.examples(40, 0, split="test")
    return marks(held_out, punctuation.baseline(task.up_to(200, seed)[:size], held_out))


def careless(rows: list[data.Row]) -> list[data.Row]:
    """Return sentences whose input keeps its capitals and loses only the marks."""
    bare = [" ".join(w.form for w in punctuation.read(data.answer(row))) for row in rows]
    system = punctuation.SYSTEM
    return [
        data.example(asked, data.answer(row), system=system)
        for asked, row in zip(bare, rows, strict=True)
    ]


def plain(rows: list[data.Row]) -> list[data.Row]:
    """Return rows without what is known of them."""
    return [{key: row[key] for key in ("prompt", "completion")} for row in rows]


def one(part: str, arm: str, seed: int) -> list[dict[str, Any]]:
    """Train once and ask; return the lines of the run."""
    begun = time.monotonic()
    steps = SIZE * EPOCHS // BATCH if part == "weight" else -1  # all arms read as many rows
    if part.startswith("linear"):
        answers = logistic(part, int(arm), seed)
        took = round(time.monotonic() - begun)
        return [dict(zip(FIELDS, (part, arm, seed, arm, took, answers), strict=True))]
    asked: dict[str, Callable[[Any, Any], str]] = {"": topics_of}
    if part == "capitals":
        rows, test = plain(punctuation.rows(SIZE, seed)), plain(punctuation.rows(40, 0, "test"))
        rows = careless(rows) if arm == "left in" else rows
        asked = {", asked without": lambda *it: marks_of(*it, test)}
        asked[", asked with"] = lambda *it: marks_of(*it, careless(test))
    elif part == "short":
        rows = kindness_rows(arm, seed)
        questions = [data.prompt(r) for r in kindness_rows("full", seed + 100)[:30]]
        asked = {"": lambda *it: " ".join(
            str(len(text.split())) for text in generate(*it, questions, max_new_tokens=80)
        )}  # fmt: skip
    else:
        rows = triage_rows(part, arm, seed)
    model, tokenizer = tune(rows, seed, steps)
    took = time.monotonic() - begun
    return [
        dict(zip(FIELDS, (part, arm + how, seed, len(rows), round(took), ask(model, tokenizer)),
                 strict=True))
        for how, ask in asked.items()
    ]  # fmt: skip


# The grid.


def planned(seeds: int) -> list[tuple[str, str, int]]:
    """Return all runs in their order."""
    runs = [(*arm, seed) for seed in range(seeds) for arm in ARMS]
    return [run for run in runs if run[:2] != ALWAYS_THE_SAME or run[2] == 0]


def main() -> int:
    """Run what is left of the grid; return 3 when nothing is left."""
    parser = options(__doc__, OUT)
    parser.add_argument("--parts", nargs="+", help="only these parts")
    parser.add_argument("--list", action="store_true", help="only list the runs")
    args = parser.parse_args()
    there = finished(args.out, "part", "arm", "seed")
    done = {(part, arm.split(",")[0], int(seed)) for part, arm, seed in there}
    runs = [run for run in planned(args.seeds) if not args.parts or run[0] in args.parts]
    if args.list:
        for run in runs:
            print("done" if run in done else "    ", *run)
        return 0
    disable_progress_bars()
    begun = time.monotonic()
    for run in runs:
        if run in done:
            continue
        if time.monotonic() - begun > 60 * args.minutes:
            return 0
        lines = one(*run)
        keep(args.out, lines, FIELDS, MADE)
        print(*lines, sep="\n", flush=True)
    return 3


if __name__ == "__main__":
    sys.exit(main())
