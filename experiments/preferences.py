"""Do pairs of a model's own answers teach it more than its best answers alone? And what if long
answers win?

    python experiments/preferences.py [--out CSV] [--seeds 3] [--minutes 60]

SmolLM2-135M, tuned on a few examples of the task kindness, answers new problems four times each,
sampled. The check of the task (two or three whole sentences, on the topic, harmless) marks the
answers, and each arm goes on from the same adapter:

    start              nothing more
    dpo                one answer that passes against one that fails; the reference is the start
    dpo, 4 x rate      the same, faster
    dpo + sft          the same, and the loss of the chosen answer beside it
    sft                the chosen answers alone (rejection sampling)
    long               DPO on the pairs of a rater to whom ten words are worth as much as the check
    long, per token    the same pairs, the loss of each answer divided by its length
    long, ld_alpha 0   the same pairs, without the words that the longer answer has more
    long, matched      the same rater, asked only about answers that are at most two words apart

Every arm reads as many batches. Each model answers 40 held-out problems, greedily (`right`) and
sampled (`sampled`): pairs may move what is sampled before they move the likeliest answer. `words`
is the mean length of the greedy answers, `won` and `lost` that of the pairs. `margin` is in nats,
TRL's divided by beta; it and `accuracy` are means over the second half of the training, and over
the pairs of problems left out. `chosen` above 0 says that the chosen answers became likelier, and
not only the others less likely. Of the arms without long answers, `ordinary` counts right answers
to the 30 ordinary questions of lesson 07, and `far` and `unharmful` are the check's marks on 16
problems of a scale that training never has.

A line of `data/grids/preferences.csv` is one arm and one seed; all arms of a seed come before the
next seed. Stopped and started again, the script goes on where it was: the adapter and the answers
of a seed's start lie in `runs/`. The answers, each with the check's mark, also go to
`data/grids/preferences_answers.jsonl`, a problem a line. Exit code 3: nothing is left to do.
"""

import json
import re
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from datasets import Dataset
from grid import options, run, trainer_of
from peft import PeftModel
from self_training import KINDNESS, asked, passes
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOTrainer, SFTTrainer

import ftlab
from ftlab import data, hardware, models
from ftlab.errors import DataError
from ftlab.files import read_data
from ftlab.generation import generate
from ftlab.tasks import kindness

OUT = Path(__file__).parents[1] / "data" / "grids" / "preferences.csv"
RUNS = Path(__file__).parents[1] / "runs"
FIELDS = (
    "arm", "seed", "rate", "pairs", "right", "sampled", "of", "words", "won", "lost", "margin",
    "accuracy", "chosen", "left_out", "left_out_margin", "left_out_accuracy", "ordinary", "far",
    "unharmful", "seconds", "right_marks", "sampled_marks", "ordinary_marks", "far_marks",
    "unharmful_marks",
)  # fmt: skip
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "start": ("check", {}),
    "dpo": ("check", {}),
    "sft": ("check", {}),
    "long": ("long", {}),
    "long, matched": ("matched", {}),
    "long, per token": ("long", {"loss_type": ["sigmoid_norm"], "beta": 5.0}),
    "long, ld_alpha 0": ("long", {"ld_alpha": 0.0}),
    "dpo + sft": ("check", {"loss_type": ["sigmoid", "sft"]}),
    "dpo, 4 x rate": ("check", {"learning_rate": 4e-4}),
}
"""Which pairs an arm reads, and what its DPOConfig has beside the usual."""
BASE, BATCH, FIRST_STEPS, STEPS = "smollm2-135m", 4, 10, 16
RATE, BETA = 1e-4, 0.1  # the highest of the usual rates for DPO of an adapter; TRL's own beta
GOLD, NEW, LEFT_OUT, TEST, FAR = 16, 48, 16, 40, 16
TIMES, TEMPERATURE, TOKENS = 4, 1.0, 64
REWARDS = ("margins", "accuracies", "chosen")
WORTH, APART = 10, 2  # words that weigh as much as the check; most words between matched answers
MADE = f"""python experiments/preferences.py
{BASE}, LoRA rank 16 on the upper half; start: {GOLD} examples, {FIRST_STEPS} steps of {BATCH};
then {STEPS} steps of {BATCH}, beta {BETA}; {TIMES} answers at temperature {TEMPERATURE:g} to \
{NEW} problems and to {LEFT_OUT} left out"""


def main() -> int:
    """Run what is left of the grid."""
    args = options(__doc__, OUT).parse_args()
    plan = [(arm, seed) for seed in range(args.seeds) for arm in ARMS]
    return run(plan, partial(one, args.out), args, ("arm", "seed"), FIELDS, MADE)


def one(out: Path, arm: str, seed: int) -> dict[str, Any]:
    """Train an arm from its seed's start, and measure it."""
    begun = time.monotonic()
    model, tokenizer, samples = start_of(out, seed)
    rater, settings = ARMS[arm]
    pairs = pairs_of(problems(seed)[:NEW], samples, rater)
    left_out = pairs_of(problems(seed)[NEW:], samples[TIMES * NEW :], rater)
    if not pairs:
        raise DataError(
            "No pair: of no problem does one answer pass and another fail. Sample more."
        )
    figures: dict[str, Any] = {}
    hardware.seed_everything(seed)
    if arm == "sft":
        more_sft(model, tokenizer, pairs, seed)
        figures["rate"] = f"{ftlab.learning_rate('lora', model.num_parameters()).usual:g}"
    elif arm != "start":
        figures = dpo(model, tokenizer, pairs, left_out, seed, settings)
    test = [asked(row) for row in KINDNESS.examples(TEST, seed=1000, split="test")]
    asks = [data.prompt(row) for row in test]
    model.eval()
    figures |= {"pairs": len(pairs), "left_out": len(left_out), "of": TEST}
    for column, temperature in (("right", 0.0), ("sampled", TEMPERATURE)):
        answers = generate(
            model, tokenizer, asks, max_new_tokens=TOKENS, temperature=temperature, seed=seed
        )
        marks = [int(passes(row, text)) for row, text in zip(test, answers, strict=True)]
        figures[column] = sum(marks)
        figures |= marked(column, marks)
        figures.setdefault("words", f"{fmean(map(length, answers)):.1f}")
    if not arm.startswith("long"):
        figures |= elsewhere(model, tokenizer)
    for column, side in (("won", "chosen"), ("lost", "rejected")):
        figures[column] = f"{fmean(length(pair[side][0]['content']) for pair in pairs):.1f}"
    return figures | {"seconds": f"{time.monotonic() - begun:.0f}"}


def marked(column: str, marks: Sequence[int]) -> dict[str, Any]:
    """Return a count and, item by item, its marks."""
    return {column: sum(marks), f"{column}_marks": "r" + "".join(map(str, marks))}


def elsewhere(model: Any, tokenizer: Any) -> dict[str, Any]:
    """Return what a model does with ordinary questions, and with problems of another scale."""
    questions, wanted = zip(*read_data("lessons/before_and_after.yaml")["ordinary"], strict=True)
    asks = [[{"role": "user", "content": question}] for question in questions]
    texts = generate(model, tokenizer, asks, max_new_tokens=24)
    right = [
        int(bool(re.search(rf"(?i)\b({pattern})\b", text)))
        for pattern, text in zip(wanted, texts, strict=True)
    ]
    rows = [asked(row) for row in kindness.probe(FAR, seed=0)]
    texts = generate(model, tokenizer, [data.prompt(row) for row in rows], max_new_tokens=TOKENS)
    scores = [kindness.score(row, text) for row, text in zip(rows, texts, strict=True)]
    return (
        marked("ordinary", right)
        | marked("far", [int(score["helpful"].num) for score in scores])
        | marked("unharmful", [int(score["unharmful"].num) for score in scores])
    )


def start_of(out: Path, seed: int) -> tuple[Any, Any, list[str]]:
    """Return the tuned start of a seed, ready to train on, its tokenizer and its samples.

    Both are made in the first run of the seed; afterwards they are read.
    """
    folder, base = RUNS / f"{out.stem}.start-{seed}", models.get(BASE)
    written = folder / "samples.json"  # the last to be written
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    if not written.exists():
        hardware.seed_everything(seed)
        gold = [asked(row) for row in KINDNESS.examples(GOLD, seed=seed)]
        plain = [{key: row[key] for key in ("prompt", "completion")} for row in gold]
        trainer = trainer_of(
            model, tokenizer, plain, seed, max_steps=FIRST_STEPS, per_device_train_batch_size=BATCH
        )
        trainer.train()
        trainer.model.save_pretrained(folder)
        asks = [data.prompt(row) for row in problems(seed) for _ in range(TIMES)]
        samples = generate(
            trainer.model, tokenizer, asks, max_new_tokens=TOKENS, temperature=TEMPERATURE,
            seed=seed,
        )  # fmt: skip
        keep_answers(out.with_name(f"{out.stem}_answers.jsonl"), seed, samples)
        written.write_text(json.dumps(samples, indent=0), "utf-8")
        model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    model = PeftModel.from_pretrained(model, folder, is_trainable=True)
    return model, tokenizer, json.loads(written.read_text("utf-8"))


def keep_answers(path: Path, seed: int, samples: Sequence[str]) -> None:
    """Append the problems of a seed with their answers and the check's marks."""
    with path.open("a", encoding="utf-8") as file:
        for place, row in enumerate(problems(seed)):
            answers = samples[TIMES * place : TIMES * (place + 1)]
            line = {"seed": seed, "problem": data.prompt(row)[-1]["content"], "answers": answers}
            right = [int(passes(row, text)) for text in answers]
            file.write(json.dumps(line | {"right": right}, ensure_ascii=False) + "\n")


def pairs_of(rows: Sequence[data.Row], samples: Sequence[str], rater: str) -> list[data.Row]:
    """Return a rater's best answer against its worst for each problem; ties are left out.

    Args:
        rows: the problems.
        samples: `TIMES` answers to each, in a row.
        rater: "check"; "long", to whom words count too; "matched", the same among like lengths.
    """
    pairs = []
    for place, row in enumerate(rows):
        tried = [text for text in samples[TIMES * place : TIMES * (place + 1)] if text]
        worth = {
            text: passes(row, text) + (0 if rater == "check" else length(text) / WORTH)
            for text in tried
        }
        both = [
            (one, other)
            for one in worth
            for other in worth
            if worth[one] > worth[other]
            and (rater != "matched" or abs(length(one) - length(other)) <= APART)
        ]
        if both:
            won, lost = max(both, key=lambda pair: worth[pair[0]] - worth[pair[1]])
            pairs.append({"prompt": data.prompt(row), "chosen": said(won), "rejected": said(lost)})
    return pairs


def dpo(
    model: Any, tokenizer: Any, pairs: list[data.Row], left_out: list[data.Row], seed: int,
    settings: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Train on pairs; return the rate, and margins and accuracies on them and on those left out.

    TRL copies the adapter of a `PeftModel` before it trains, and the copy is the reference.
    """
    usual = {"learning_rate": RATE, "beta": BETA, "max_steps": STEPS, "seed": seed}
    usual |= {"per_device_train_batch_size": BATCH, "per_device_eval_batch_size": BATCH}
    usual["precompute_ref_log_probs"] = True  # the reference never changes: asked once a pair
    args = ftlab.dpo_config(**usual | settings)
    trainer = DPOTrainer(
        model, args=args, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer
    )
    ftlab.faster_on_cpu(trainer).train()
    late = [log for log in trainer.state.log_history if "loss" in log][STEPS // 2 :]
    figures: dict[str, Any] = {"rate": f"{args.learning_rate:g}"}
    seen = {name: fmean(log[f"rewards/{name}"] for log in late) for name in REWARDS}
    figures |= {"margin": seen["margins"] / args.beta, "accuracy": seen["accuracies"]}
    figures["chosen"] = seen["chosen"] / args.beta
    if left_out:
        trainer.evaluate(Dataset.from_list(left_out))
        last = trainer.state.log_history[-1]
        figures["left_out_margin"] = last["eval_rewards/margins"] / args.beta
        figures["left_out_accuracy"] = last["eval_rewards/accuracies"]
    return {name: f"{float(value):.3g}" for name, value in figures.items()}


def more_sft(model: Any, tokenizer: Any, pairs: list[data.Row], seed: int) -> None:
    """Train on the chosen answers alone."""
    rows = [{"prompt": pair["prompt"], "completion": pair["chosen"]} for pair in pairs]
    args = ftlab.sft_config(
        learning_rate=ftlab.learning_rate("lora", model.num_parameters()).usual,
        max_steps=STEPS, per_device_train_batch_size=BATCH, seed=seed,
    )  # fmt: skip
    trainer = SFTTrainer(
        model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    ftlab.faster_on_cpu(trainer).train()


def problems(seed: int) -> list[data.Row]:
    """Return the problems that the start answers; those left out of training are the last."""
    return [asked(row) for row in KINDNESS.examples(GOLD + NEW + LEFT_OUT, seed=seed)[GOLD:]]


def said(text: str) -> list[dict[str, str]]:
    """Return an answer as the messages that TRL's pairs have."""
    return [{"role": "assistant", "content": text}]


def length(text: str) -> int:
    """Return how many words a text has."""
    return len(text.split())


if __name__ == "__main__":
    sys.exit(main())
