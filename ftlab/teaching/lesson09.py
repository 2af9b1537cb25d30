"""Lesson 09, Preferences: its exercises, as data, and what to look at in a file of pairs.

>>> [exercise.id for exercise in EXERCISES]
['09.1', '09.2', '09.3', '09.4', '09.5']
>>> examine([{"prompt": [], "chosen": [], "rejected": []}])[0]
'1 pair, of which 1 cannot be used: line 1 has no prompt, chosen or rejected messages.'
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ftlab.teaching.exercises import exercise

if TYPE_CHECKING:
    from peft import LoraConfig
    from trl import DPOConfig

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


# 09.1


def _pair(prompt: Any, chosen: str, rejected: str) -> Row:
    sides = zip(SIDES, (chosen, rejected), strict=True)
    return {"prompt": prompt} | {k: [{"role": "assistant", "content": text}] for k, text in sides}


def _preference(prompt: Any, answers: list[str], marks: list[int]) -> Row | None:
    if len(set(marks)) < 2:
        return None
    return _pair(prompt, answers[marks.index(1)], answers[marks.index(0)])


def _changed(prompt: Any, answers: list[str], marks: list[int], how: str) -> Row | None:
    """Return the pair with one of the usual mistakes."""
    row = _preference(prompt, answers, marks)
    if row is None:
        return None if how != "ties" else _pair(prompt, answers[0], answers[-1])
    if how == "exchanged":
        return row | {"chosen": row["rejected"], "rejected": row["chosen"]}
    if how == "texts":
        return row | {side: row[side][0]["content"] for side in SIDES}
    return row | ({side: [*prompt, *row[side]] for side in SIDES} if how == "repeated" else {})


# 09.2


def _dpo_loss(
    chosen: float, rejected: float, ref_chosen: float, ref_rejected: float, beta: float
) -> float:
    return math.log(1 + math.exp(-beta * ((chosen - ref_chosen) - (rejected - ref_rejected))))


# 09.3


def _careful(rate: float, **changed: Any) -> "DPOConfig":
    import ftlab

    usual: Row = {
        "learning_rate": rate, "beta": 0.1, "precompute_ref_log_probs": True,
        "loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.2],
    }  # fmt: skip
    return ftlab.dpo_config(**usual | changed)


def _what_counts(args: Any) -> Row:
    """Return what the exercise asks of a DPOConfig."""
    kinds = [args.loss_type] if isinstance(args.loss_type, str) else list(args.loss_type)
    weights = args.loss_weights or [1.0] * len(kinds)
    return {
        "losses": dict(zip(kinds, weights, strict=True)), "beta": args.beta,
        "rate": args.learning_rate, "once": args.precompute_ref_log_probs,
    }  # fmt: skip


# 09.4


def _matched(
    answers: list[str], worth: list[float], most: float, *, size: Any = lambda text: text.split(),
    apart: Any = abs,
) -> tuple[str, str] | None:  # fmt: skip
    places = range(len(answers))
    couples = [
        (worth[i] - worth[j], i, j)
        for i in places
        for j in places
        if apart(len(size(answers[i])) - len(size(answers[j]))) <= most
    ]
    gap, better, worse = max(couples, default=(0, 0, 0))
    return (answers[better], answers[worse]) if gap > 0 else None


# 09.5


def _reward_adapter(targets: list[str], layers: list[int], **changed: Any) -> "LoraConfig":
    from peft import LoraConfig

    usual: Row = {
        "r": 8, "lora_alpha": 16, "task_type": "SEQ_CLS", "modules_to_save": ["score"],
        "target_modules": targets, "layers_to_transform": layers,
    }  # fmt: skip
    return LoraConfig(**usual | changed)


def _what_a_reward_needs(config: Any) -> Row:
    """Return what the exercise asks of a LoraConfig."""
    return {
        "r": config.r, "alpha": config.lora_alpha, "task": config.task_type,
        "head": list(config.modules_to_save or ()),
        "where": [sorted(config.target_modules or ()), config.layers_to_transform],
    }  # fmt: skip


_ASK = [{"role": "user", "content": "The bag tore. What now?"}]
_TEXTS = ["Lift it.", "Take the bag, and help.", "I do not know.", "Help her."]
_NUMBERS = ((-30.0, -28.0, -33.0, -25.0, 0.1), (-12.5, -40.0, -12.0, -41.0, 0.5))
_LENGTHS = [
    "Help her up.",
    "Help her up now, please.",
    "Say that it happens to everyone, and then stay a little while.",
    "Go on with what you did.",
    "So.",
]

EXERCISES = (
    exercise(
        "09.1",
        solution=_preference,
        cases=(
            (_ASK, _TEXTS, [0, 1, 0, 1]),
            (_ASK, _TEXTS, [1, 1, 0, 1]),
            (_ASK, _TEXTS, [1, 1, 1, 1]),
            (_ASK, _TEXTS, [0, 0, 0, 0]),
        ),
        mistakes={
            "chosen and rejected are exchanged": lambda p, a, m: _changed(p, a, m, "exchanged"),
            "the answers are texts": lambda p, a, m: _changed(p, a, m, "texts"),
            "the answers repeat the prompt": lambda p, a, m: _changed(p, a, m, "repeated"),
            "ties give a pair": lambda p, a, m: _changed(p, a, m, "ties"),
            "ties stop it": lambda p, a, m: _pair(p, a[m.index(1)], a[m.index(0)]),
        },
    ),
    exercise(
        "09.2",
        solution=_dpo_loss,
        cases=_NUMBERS,
        mistakes={
            "the reference is missing": lambda c, r, rc, rr, beta: _dpo_loss(c, r, 0, 0, beta),
            "beta is missing": lambda c, r, rc, rr, beta: _dpo_loss(c, r, rc, rr, 1),
            "the margin has the wrong sign": lambda c, r, rc, rr, beta: _dpo_loss(
                r, c, rr, rc, beta
            ),
            "the minus is missing": lambda c, r, rc, rr, beta: -_dpo_loss(c, r, rc, rr, beta),
            "the log is missing": lambda c, r, rc, rr, beta: math.exp(
                -_dpo_loss(c, r, rc, rr, beta)
            ),
        },
    ),
    exercise(
        "09.3",
        solution=_careful,
        cases=((1e-4,), (5e-6,)),
        view=_what_counts,
        mistakes={
            "SFT took the place of DPO": lambda rate: _careful(
                rate, loss_type=["sft"], loss_weights=None
            ),
            "both losses weigh alike": lambda rate: _careful(rate, loss_weights=None),
            "the weights are exchanged": lambda rate: _careful(rate, loss_weights=[0.2, 1.0]),
            "SFT is missing": lambda rate: _careful(rate, loss_type=["sigmoid"], loss_weights=None),
            "the reference is computed in every step": lambda rate: _careful(
                rate, precompute_ref_log_probs=False
            ),
        },
    ),
    exercise(
        "09.4",
        solution=_matched,
        cases=(
            (_LENGTHS, [0.3, 1.5, 2.6, 0.6, 0.1], 3),
            (_LENGTHS, [1.2, 0.9, 0.1, 0.8, 1.0], 2),
            (_LENGTHS, [1.0, 1.0, 1.0, 1.0, 1.0], 9),
            (_LENGTHS[1:3], [0.0, 1.0], 3),
        ),
        mistakes={
            "length does not count": lambda answers, worth, most: _matched(
                answers, worth, math.inf
            ),
            "letters are counted": lambda answers, worth, most: _matched(
                answers, worth, most, size=lambda text: text
            ),
            "a better answer may be much shorter": lambda answers, worth, most: _matched(
                answers, worth, most, apart=lambda gap: gap
            ),
            "the worse answer comes first": lambda answers, worth, most: (
                (found := _matched(answers, worth, most)) and found[::-1]
            ),
        },
    ),
    exercise(
        "09.5",
        solution=_reward_adapter,
        cases=((["q_proj", "v_proj"], [2, 3]), (["up_proj"], [7])),
        view=_what_a_reward_needs,
        mistakes={
            "the head is left out": lambda targets, layers: _reward_adapter(
                targets, layers, modules_to_save=None
            ),
            "the task is that of a causal LM": lambda targets, layers: _reward_adapter(
                targets, layers, task_type="CAUSAL_LM"
            ),
            "the head gets an adapter": lambda targets, layers: _reward_adapter(
                [*targets, "score"], layers, modules_to_save=None
            ),
            "the layers are not given": lambda targets, layers: _reward_adapter(
                targets, layers, layers_to_transform=None
            ),
        },
    ),
)
