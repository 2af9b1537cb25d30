"""Lesson 04, LoRA and QLoRA: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['04.1', '04.2', '04.3', '04.4']
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ftlab.teaching.exercises import exercise

if TYPE_CHECKING:
    from peft import LoraConfig

Shapes = dict[str, tuple[int, int]]


def _adapted(x: Any, W: Any, A: Any, B: Any, alpha: float) -> Any:
    return x @ W.T + alpha / len(A) * (x @ A.T @ B.T)


def _largest(budget: int, each: int) -> int:
    """Return the largest power of two that costs no more than the budget."""
    return 2 ** ((budget // each).bit_length() - 1)


def _config(rank: int, shapes: Shapes, alpha: int | None = None) -> "LoraConfig":
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=alpha or 2 * rank, target_modules=list(shapes))


def _within(budget: int, layers: int, shapes: Shapes) -> "LoraConfig":
    return _config(_largest(budget, layers * sum(a + b for a, b in shapes.values())), shapes)


def _what_counts(config: Any) -> dict[str, Any]:
    """Return what the exercise asks of a LoraConfig."""
    return {
        "r": config.r, "lora_alpha": config.lora_alpha,
        "target_modules": sorted(config.target_modules or ()),
    }  # fmt: skip


def _coarse(weights: list[float], levels: list[float]) -> list[float]:
    top = max(abs(weight) for weight in weights)
    return [top * min(levels, key=lambda level: abs(w / top - level)) for w in weights]


def _for_t4(rows: int, *, at_once: int = 2, steps: int | None = None, **changed: Any) -> Any:
    """Return the reference's two configurations, or with some values changed."""
    from transformers import BitsAndBytesConfig

    import ftlab

    four: dict[str, Any] = {
        "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "float16",
    }  # fmt: skip
    half = {"fp16": True, "gradient_checkpointing": True}
    for name, value in changed.items():
        (four if name in four else half)[name] = value
    parts = rows // at_once if steps is None else steps
    args = ftlab.sft_config(
        per_device_train_batch_size=at_once, gradient_accumulation_steps=parts, **half
    )
    return BitsAndBytesConfig(**{k: v for k, v in four.items() if v is not None}), args


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
    exercise(
        "04.1",
        solution=_adapted,
        cases=tuple(_LORA),
        mistakes={
            "the scale is missing": lambda x, W, A, B, alpha: x @ W.T + x @ A.T @ B.T,
            "the scale is alpha alone": lambda x, W, A, B, alpha: x @ W.T + alpha * (x @ A.T @ B.T),
            "the scale is that of rsLoRA": lambda x, W, A, B, alpha: (
                x @ W.T + alpha / len(A) ** 0.5 * (x @ A.T @ B.T)
            ),
            "the frozen weight is missing": lambda x, W, A, B, alpha: (
                alpha / len(A) * (x @ A.T @ B.T)
            ),
        },
    ),
    exercise(
        "04.2",
        solution=_within,
        cases=((1_000_000, 30, _QV), (300_000, 15, _QV), (5_000_000, 24, {"up_proj": (896, 4864)})),
        view=_what_counts,
        mistakes={
            "it goes over the budget": lambda b, n, s: _config(2 * _within(b, n, s).r, s),
            "the layers are not counted": lambda budget, layers, shapes: _config(
                _largest(budget, sum(a + b for a, b in shapes.values())), shapes
            ),
            "one of the two matrices is counted": lambda budget, layers, shapes: _config(
                _largest(budget, layers * sum(a for a, _ in shapes.values())), shapes
            ),
            "alpha is the rank": lambda b, n, s: _config(_within(b, n, s).r, s, _within(b, n, s).r),
        },
    ),
    exercise(
        "04.3",
        solution=_coarse,
        cases=tuple((block, _LEVELS) for block in _BLOCKS),
        mistakes={
            "the block is not scaled": lambda ws, levels: [
                min(levels, key=lambda level: abs(w - level)) for w in ws
            ],
            "the scale does not come back": lambda ws, levels: [
                c / max(map(abs, ws)) for c in _coarse(ws, levels)
            ],
            "the largest is taken without its sign removed": lambda ws, levels: [
                max(ws) * min(levels, key=lambda level: abs(w / max(ws) - level)) for w in ws
            ],
            "it takes the next level below": lambda ws, levels: [
                max(map(abs, ws)) * max(lv for lv in levels if lv <= w / max(map(abs, ws)))
                for w in ws
            ],
        },
    ),
    exercise(
        "04.4",
        solution=_for_t4,
        cases=((16,), (32,)),
        view=_what_a_t4_needs,
        mistakes={
            "the layers compute in float32": partial(_for_t4, bnb_4bit_compute_dtype=None),
            "the layers compute in bfloat16": partial(_for_t4, bnb_4bit_compute_dtype="bfloat16"),
            "the levels are those of FP4": partial(_for_t4, bnb_4bit_quant_type="fp4"),
            "the scales stay in 32 bits": partial(_for_t4, bnb_4bit_use_double_quant=False),
            "training is in bf16": partial(_for_t4, fp16=False, bf16=True),
            "training is in float32": partial(_for_t4, fp16=False, bf16=False),
            "all rows of a step are in memory at once": lambda rows: _for_t4(rows, at_once=rows),
            "a step has two rows": partial(_for_t4, steps=1),
            "nothing is checkpointed": partial(_for_t4, gradient_checkpointing=False),
        },
    ),
)
