"""Lesson 09, Preferences: its exercises, as data, and what to look at in a file of pairs.

>>> [exercise.id for exercise in EXERCISES]
['09.1', '09.2', '09.3', '09.4', '09.5']
>>> examine([{"prompt": [], "chosen": [], "rejected": []}])[0]
'1 pair, of which 1 cannot be used: line 1 has no prompt, chosen or rejected messages.'
"""

import math
from collections.abc import Sequence
from typing import Any

from ftlab.teaching.exercises import exercise

Row = dict[str, Any]
SIDES = ("chosen", "rejected")


def examine(rows: Sequence[Row]) -> list[str]:
    """Say what a file of pairs holds, and what would go wrong with it.

    Args:
        rows: each with a prompt, a chosen and a rejected list of messages.
    """
    usable = [number for number, row in enumerate(rows, start=1) if not _fault(row)]
    faults = [f"line {n} {_fault(row)}" for n, row in enumerate(rows, start=1) if _fault(row)]
    count = f"{len(rows)} pair{'s' * (len(rows) != 1)}"
    if faults:
        count += f", of which {len(faults)} cannot be used: {'; '.join(faults[:3])}"
    said = [f"{count}."]
    if not usable:
        return said
    good = [rows[number - 1] for number in usable]
    prompts = {str(row["prompt"]) for row in good}
    said.append(f"{len(prompts)} different prompts. Split by prompt, never by pair.")
    lengths = [[len(row[side][-1]["content"].split()) for side in SIDES] for row in good]
    longer = sum((won > lost) + (won == lost) / 2 for won, lost in lengths) / len(good)
    means = [sum(column) / len(good) for column in zip(*lengths, strict=True)]
    text = f"Words: chosen {means[0]:.1f}, rejected {means[1]:.1f}; "
    text += f"the chosen answer is the longer one in {longer:.0%} of the pairs"
    risky = len(good) >= 10 and abs(longer - 0.5) > 0.2
    said.append(f"{text}: length is the easiest lesson here, match it." if risky else f"{text}.")
    if len(good) < 30:
        said.append("Fewer than 30 pairs: they will be learned by heart. Collect more.")
    return said


def _fault(row: Row) -> str:
    """Return what is wrong with a pair, or nothing."""
    if not all(isinstance(row.get(key), list) and row[key] for key in ("prompt", *SIDES)):
        return "has no prompt, chosen or rejected messages"
    if row["chosen"] == row["rejected"]:
        return "has the same answer twice"
    if any(row[side][-1].get("role") != "assistant" for side in SIDES):
        return "has an answer that is not the assistant's"
    if any(row[side][0] == row["prompt"][0] for side in SIDES):
        return "repeats the prompt in an answer"
    return ""


# The exercises.


def _pair(prompt: Any, answers: list[str], marks: list[int]) -> Row | None:
    if len(set(marks)) < 2:
        return None
    chosen, rejected = answers[marks.index(1)], answers[marks.index(0)]
    return {
        "prompt": prompt,
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
    }


def _dpo_loss(
    chosen: float, rejected: float, ref_chosen: float, ref_rejected: float, beta: float
) -> float:
    margin = (chosen - ref_chosen) - (rejected - ref_rejected)
    return math.log(1 + math.exp(-beta * margin))


def _careful(rate: float) -> Any:
    import ftlab

    return ftlab.dpo_config(
        learning_rate=rate, beta=0.1, precompute_ref_log_probs=True,
        loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.2],
    )  # fmt: skip


def _what_counts(args: Any) -> Row:
    """Return what the exercise asks of a DPOConfig."""
    kinds = [args.loss_type] if isinstance(args.loss_type, str) else list(args.loss_type)
    weights = args.loss_weights or [1.0] * len(kinds)
    return {
        "losses": dict(zip(kinds, weights, strict=True)), "beta": args.beta,
        "rate": args.learning_rate, "once": args.precompute_ref_log_probs,
    }  # fmt: skip


def _like_lengths(pairs: Sequence[Row], most: int) -> list[Row]:
    kept = []
    for pair in pairs:
        won, lost = (len(pair[side][-1]["content"].split()) for side in SIDES)
        if abs(won - lost) <= most:
            kept.append(pair)
    return kept


def _reward_adapter(targets: list[str], layers: list[int]) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=8, lora_alpha=16, task_type="SEQ_CLS", modules_to_save=["score"],
        target_modules=targets, layers_to_transform=layers,
    )  # fmt: skip


_ASK = [{"role": "user", "content": "The bag tore. What now?"}]
_TEXTS = ["Lift it.", "Take the bag, and help.", "I do not know.", "Help her."]
_PAIRS = [
    _pair(_ASK, [won, lost], [1, 0])
    for won, lost in (
        ("Help her up now, please.", "Help her."),
        ("So.", "Say that it happens to everyone, and stay."),
        ("Lift the bag.", "Unquestionably, notwithstanding everything."),
        ("Help her up.", "Go on."),
    )
]

EXERCISES = (
    exercise(
        "09.1",
        _pair,
        cases=tuple(
            (_ASK, _TEXTS, marks)
            for marks in ([0, 1, 0, 1], [1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0])
        ),
    ),
    exercise("09.2", _dpo_loss),
    exercise("09.3", _careful, view=_what_counts),
    exercise(
        "09.4",
        _like_lengths,
        cases=((_PAIRS, 2), (_PAIRS, 0), (_PAIRS, 9)),
    ),
    exercise(
        "09.5",
        _reward_adapter,
        view=("r", "lora_alpha", "task_type", "modules_to_save", "target_modules",
              "layers_to_transform"),
    ),
)  # fmt: skip
