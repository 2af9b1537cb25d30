"""What does a reward that a program computes teach a small model, and what does it cost beside SFT?

    python experiments/rewards.py [--out CSV] [--seeds 3] [--minutes 60]

The task is extraction: five fields of a letter, as JSON. `GRPOTrainer` rewards SmolLM2-135M with

    fields        the share of the five fields that is right; an answer that is no JSON has none
    careful       less a fifth for each value that does not stand in the letter: it can be hacked
    grounded      a fifth for each value that stands in the letter, less a fifth for each that does
                  not; less one for no JSON: the same, mended

from a start tuned on 50 records (the base is never rewarded: lesson 10). SFT goes on from the same
start, on the same further letters with their answers, for as many seconds as GRPO took. Two small
sets of runs, with seed 0 only, change the size of a group and the temperature; each has the same
number of answers a step.

A line of `data/grids/rewards.csv` is a step. `reward` is what was paid for its answers, `signal`
the share of its groups whose answers differ in reward, `kl` the distance from the start, `length`
the answers' mean in tokens, `gradient` its norm (the loss of GRPO is near 0 whether it learns or
not), `fields` the share of right fields whatever was paid. The first and the last have a score on
40 held-out letters: the right fields, of 200, in `marks` letter by letter; `valid`, how many
answers are JSON of the five fields; `made_up`, how many values do not stand in their letter.
`seconds` are the processor's, of training alone. The held-out answers lie beside the file.

The order makes a stop at any moment leave a table: seed 0, seeds 1 and 2, then the small sets.
Stopped and started again, the script goes on where it was. Exit code 3: nothing is left to do.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from grid import finished, options, run, trainer_of
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOTrainer

import ftlab
from ftlab import data, hardware, models, tasks
from ftlab.generation import generate
from ftlab.teaching.lesson10 import made_up, values

ROOT = Path(__file__).parents[1]
OUT = ROOT / "data" / "grids" / "rewards.csv"
STARTS = ROOT / "runs" / "rewards"
"""Where the adapters of the tuned starts are kept between runs."""
COLUMNS = (
    "arm", "seed", "step", "reward", "signal", "kl", "length", "loss", "gradient", "fields",
    "score", "of", "n", "valid", "made_up", "seconds", "marks",
)  # fmt: skip
BASE, RECORDS, FURTHER, TEST, TOKENS = "smollm2-135m", 50, 1000, 40, 52
ANSWERS, GROUP, BETA, RATE = 16, 8, 0.04, 5e-4
"""Answers a step, answers to one letter, the weight of the KL term, the learning rate."""
ARMS: dict[str, dict[str, Any]] = {
    "careful": {"reward": "careful", "steps": 10},
    "grpo": {"reward": "fields", "steps": 10},
    "sft": {},
    "grounded": {"reward": "grounded", "steps": 10},
}
SMALL: dict[str, dict[str, Any]] = {
    f"{name} {value}": {"reward": "fields", "steps": 10, name: value}
    for name, values in {"group": (2, 4, 16), "temperature": (0.5, 1.5)}.items()
    for value in values
}
EXTRACTION = tasks.get("extraction")
MADE = f"""python experiments/rewards.py
{BASE}, LoRA rank 16 on the upper half; GRPO: {ANSWERS} answers a step in groups of {GROUP}, \
rate {RATE}, beta {BETA}, temperature 1; SFT: batches of 4, rate 0.001; both rates constant"""


def main() -> int:
    """Run what is left of the grid."""
    args = options(__doc__, OUT).parse_args()
    plan = [(arm, seed) for seed in range(args.seeds) for arm in ARMS]
    plan += [(arm, 0) for arm in SMALL]
    return run(plan, partial(one, args.out), args, ("arm", "seed"), COLUMNS, MADE)


def one(out: Path, arm: str, seed: int) -> list[dict[str, Any]]:
    """Train one arm; keep what it answers to the held-out letters beside the file."""
    settings = (ARMS | SMALL)[arm]
    model, tokenizer = tuned(seed)
    further = EXTRACTION.examples(RECORDS + FURTHER, seed)[RECORDS:]
    limit = seconds_of_grpo(out, seed) if arm == "sft" else None
    watch = Watch(tokenizer, limit, score_of_start(out, seed))
    if arm == "sft":
        trainer: Any = trainer_of(
            model, tokenizer, plain(further), seed, num_train_epochs=20,
            per_device_train_batch_size=4, learning_rate=1e-3, lr_scheduler_type="constant",
        )  # fmt: skip
    else:
        trainer = rewarded(model, tokenizer, further, seed, **settings)
    trainer.add_callback(watch)
    trainer.train()
    with out.with_suffix(".answers.jsonl").open("a", encoding="utf-8") as stream:
        for step, answers in watch.said.items():
            stream.write(json.dumps({"run": [arm, seed, step], "said": answers}) + "\n")
    return watch.lines


def base() -> tuple[Any, Any]:
    """Return the base and its tokenizer."""
    folder = models.get(BASE)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    return model, AutoTokenizer.from_pretrained(folder)


def tuned(seed: int) -> tuple[Any, Any]:
    """Return the base after 50 records, the adapter merged into it, and its tokenizer.

    The adapter that is trained next is a new one; with it off, the model is this start again, and
    so GRPO needs no second model for its KL.
    """
    model, tokenizer = base()
    folder = STARTS / f"start-{seed}"
    if not folder.exists():
        rows = plain(EXTRACTION.examples(RECORDS, seed))
        trainer = trainer_of(
            model, tokenizer, rows, seed, num_train_epochs=1, per_device_train_batch_size=4
        )
        trainer.train()
        part = folder.with_suffix(".part")
        trainer.save_model(str(part))
        part.rename(folder)
        model, tokenizer = base()
    adapted: Any = PeftModel.from_pretrained(model, folder)
    return adapted.merge_and_unload(), tokenizer


def plain(rows: list[data.Row]) -> list[data.Row]:
    """Return rows with nothing but what SFT reads."""
    return [{key: row[key] for key in ("prompt", "completion")} for row in rows]


def rewarded(
    model: Any, tokenizer: Any, rows: list[data.Row], seed: int, reward: str, steps: int,
    group: int = GROUP, temperature: float = 1.0,
) -> GRPOTrainer:  # fmt: skip
    """Return a GRPOTrainer that pays `reward` and logs `fields` beside it, unpaid."""
    # GRPO keeps a column named "completion" from the rewards, so the record goes under another.
    letters = [{"prompt": data.prompt(row), "record": json.dumps(row)} for row in rows]
    paid = [REWARDS[reward]] if reward == "fields" else [REWARDS[reward], fields]
    hardware.reuse_memory()
    return GRPOTrainer(
        model,
        reward_funcs=paid,
        args=ftlab.grpo_config(
            num_generations=group, temperature=temperature, beta=BETA, max_completion_length=TOKENS,
            per_device_train_batch_size=ANSWERS, learning_rate=RATE, lr_scheduler_type="constant",
            max_steps=steps, seed=seed, reward_weights=[1.0, 0.0][: len(paid)],
        ),
        train_dataset=Dataset.from_list(letters),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model)),
    )  # fmt: skip


def fields(completions: list[Any], record: list[str], **_: Any) -> list[float]:
    """Return the share of the five fields that is right, for each answer."""
    answered = pairs(record, completions)
    return [EXTRACTION.score(row, answer)["fields"].value for row, answer in answered]


def careful(completions: list[Any], record: list[str], **_: Any) -> list[float]:
    """Return less a fifth for each value that does not stand in the letter."""
    return [-made_up(row, answer) / 5 for row, answer in pairs(record, completions)]


def grounded(completions: list[Any], record: list[str], **_: Any) -> list[float]:
    """Return a fifth for each value that stands in the letter, less a fifth for each other one.

    An answer that is no JSON object gets -1.
    """
    rewards = []
    for row, answer in pairs(record, completions):
        given, wrong = values(row, answer), made_up(row, answer)
        rewards.append(-1.0 if given is None else (len(given) - 2 * wrong) / 5)
    return rewards


REWARDS: dict[str, Any] = {"fields": fields, "careful": careful, "grounded": grounded}


def pairs(record: list[str], completions: list[Any]) -> list[tuple[data.Row, str]]:
    """Return records and answers as GRPO hands them over: JSON, and lists of messages."""
    answers = [str(messages[0]["content"]) for messages in completions]
    return list(zip(map(json.loads, record), answers, strict=True))


def seconds_of_grpo(out: Path, seed: int) -> float:
    """Return how long the run of GRPO with this seed trained."""
    runs = finished(out, "arm", "seed", "seconds")
    return max(float(seconds) for arm, n, seconds in runs if (arm, n) == ("grpo", str(seed)))


def score_of_start(out: Path, seed: int) -> dict[str, Any]:
    """Return the columns of the tuned start's score if another run has them."""
    columns = ("score", "of", "n", "valid", "made_up", "marks")
    for n, step, *score in finished(out, "seed", "step", *columns):
        if (n, step) == (str(seed), "0"):
            return dict(zip(columns, score, strict=True))
    return {}


class Watch(TrainerCallback):
    """Keeps the line of each step, and scores the model at both ends, off the clock.

    The clock is the processor's, since other programs may run beside this one.
    """

    def __init__(self, tokenizer: Any, limit: float | None, start: dict[str, Any]) -> None:
        """Watch a run of GRPO; or one of SFT, and stop it after so many seconds.

        Args:
            tokenizer: the model's.
            limit: the seconds.
            start: the columns of the start's score, if they are known.
        """
        self.tokenizer, self.limit, self.start = tokenizer, limit, start
        self.test = EXTRACTION.examples(TEST, 0, split="test")
        self.lines: list[dict[str, Any]] = []
        self.said: dict[int, list[str]] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Score the start."""
        self.lines.append({"step": 0, "seconds": 0} | (self.start or self.scored(0, more["model"])))
        self.begun = time.process_time()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        """Keep what a step logs, and score the model at the end."""
        if "loss" not in logs:
            return  # the summary at the end
        step, now = state.global_step, time.process_time()
        line = {"step": step, "loss": f"{logs['loss']:.3g}", "seconds": f"{now - self.begun:.1f}"}
        if self.limit is not None:
            if now - self.begun < self.limit:
                return
            control.should_training_stop = due = True
        else:
            due = step == state.max_steps
            line |= {
                "reward": f"{logs['reward']:.4f}",
                "signal": f"{1 - logs['frac_reward_zero_std']:.3f}",
                "kl": f"{logs['kl']:.4g}",
                "gradient": f"{logs['grad_norm']:.3g}",
                "length": f"{logs['completions/mean_length']:.1f}",
                "fields": f"{logs['rewards/fields/mean']:.4f}",
            }
        if due:
            line |= self.scored(step, more["model"])
            self.begun += time.process_time() - now
        self.lines.append(line)

    def scored(self, step: int, model: Any) -> dict[str, Any]:
        """Return the columns of a score on the held-out letters."""
        asked = [data.prompt(row) for row in self.test]
        answers = generate(model, self.tokenizer, asked, max_new_tokens=TOKENS)
        self.said[step] = answers
        answered = list(zip(self.test, answers, strict=True))
        marks = [EXTRACTION.score(row, answer) for row, answer in answered]
        right = [int(mark["fields"].num) for mark in marks]
        return {
            "score": sum(right),
            "of": 5 * TEST,
            "n": TEST,
            "valid": int(sum(mark["valid"].num for mark in marks)),
            "made_up": sum(made_up(row, answer) for row, answer in answered),
            "marks": "r" + "".join(map(str, right)),
        }


if __name__ == "__main__":
    sys.exit(main())
