"""Lesson 04, LoRA and QLoRA: its exercises, as data, and its grid, run by run.

>>> [exercise.id for exercise in EXERCISES]
['04.1', '04.2', '04.3', '04.4']
>>> gap("lora", "lora").value
0.0
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ftlab.evaluation.intervals import Interval, paired_bootstrap, read_ratios
from ftlab.files import data_path
from ftlab.teaching.exercises import exercise

if TYPE_CHECKING:
    import pandas
    from peft import LoraConfig


@cache
def _grid() -> "pandas.DataFrame":
    import pandas

    return pandas.read_csv(data_path("grids/adapters.csv"), comment="#")


def items(name: str, column: str = "f1_items") -> tuple[list[float], list[float]]:
    """Return the numerators and the denominators of each held-out text, added up over the seeds.

    Args:
        name: of the runs in `grids/adapters.csv`.
        column: "f1_items", or "general_items": bits and characters of general text.
    """
    grid = _grid()
    return read_ratios(grid.loc[grid.name == name, column])


def gap(a: str, b: str, column: str = "f1_items") -> Interval:
    """Return how much the runs of `b` have more than those of `a`, paired text by text."""
    return paired_bootstrap(*items(a, column), *items(b, column))


def _adapted(x: Any, W: Any, A: Any, B: Any, alpha: float) -> Any:
    return x @ W.T + alpha / len(A) * (x @ A.T @ B.T)


def _within(budget: int, layers: int, shapes: dict[str, tuple[int, int]]) -> "LoraConfig":
    from peft import LoraConfig

    each = layers * sum(inputs + outputs for inputs, outputs in shapes.values())
    rank = 2 ** ((budget // each).bit_length() - 1)
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(shapes))


def _coarse(weights: list[float], levels: list[float]) -> list[float]:
    top = max(abs(weight) for weight in weights)
    return [top * min(levels, key=lambda level: abs(w / top - level)) for w in weights]


def _for_t4(rows: int) -> Any:
    from transformers import BitsAndBytesConfig

    import ftlab

    four_bit = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype="float16",
    )  # fmt: skip
    args = ftlab.sft_config(
        fp16=True, gradient_checkpointing=True, per_device_train_batch_size=2,
        gradient_accumulation_steps=rows // 2,
    )  # fmt: skip
    return four_bit, args


def _what_a_t4_needs(pair: Any) -> dict[str, Any]:
    """Return what the exercise asks of a BitsAndBytesConfig and an SFTConfig."""
    four, args = pair
    at_once = args.per_device_train_batch_size
    return {
        "levels": four.bnb_4bit_quant_type if four.load_in_4bit else "none",
        "double": four.bnb_4bit_use_double_quant,
        "compute": str(four.bnb_4bit_compute_dtype).removeprefix("torch."),
        "fp16": args.fp16, "bf16": args.bf16, "few at once": at_once <= 2,
        "rows in a step": at_once * args.gradient_accumulation_steps,
        "checkpointing": args.gradient_checkpointing,
    }  # fmt: skip


def _drawn(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).round(2)


_LEVELS = [-1.0, -0.5, -0.2, 0.0, 0.15, 0.4, 1.0]
_BLOCKS = ([0.02, -0.05, 0.031, 0.001], [-3.0, 0.5, 1.1, 0.35, 2.2], [0.9, -0.25, 0.31, -0.66])
_LORA = [
    (_drawn(1, 2, 5), _drawn(2, 3, 5), _drawn(3, 2, 5), _drawn(4, 3, 2), 8.0),
    (_drawn(5, 4, 6), _drawn(6, 5, 6), _drawn(7, 4, 6), _drawn(8, 5, 4), 8.0),
]
_QV = {"q_proj": (576, 576), "v_proj": (576, 192)}

EXERCISES = (
    exercise("04.1", solution=_adapted, cases=tuple(_LORA)),
    exercise(
        "04.2",
        solution=_within,
        cases=((1_000_000, 30, _QV), (300_000, 15, _QV), (5_000_000, 24, {"up_proj": (896, 4864)})),
        view=("r", "lora_alpha", "target_modules"),
    ),
    exercise("04.3", solution=_coarse, cases=tuple((block, _LEVELS) for block in _BLOCKS)),
    exercise("04.4", solution=_for_t4, cases=((16,), (32,)), view=_what_a_t4_needs),
)
