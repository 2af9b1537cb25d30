"""Lesson 04, LoRA and QLoRA: its exercises, as data, and what it measures with.

>>> [exercise.id for exercise in EXERCISES]
['04.1', '04.2', '04.3', '04.4', '04.5']
>>> whole, linear = counted(SHAPES["Llama-3-8B"])
>>> f"{whole / 1e9:.2f} billion, {len(linear)} linear layers"
'8.03 billion, 224 linear layers'
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ftlab import data
from ftlab.teaching.exercises import exercise
from ftlab.training.shapes import SHAPES

__all__ = ["EXERCISES", "SHAPES", "counted", "shipped"]


def counted(config: Mapping[str, Any]) -> tuple[int, list[tuple[int, int]]]:
    """Return a model's parameters, and (in, out) of each linear layer that LoRA goes beside.

    The model is built of shapes alone, so that any size takes a moment and no memory.

    Args:
        config: the fields of its `config.json`.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = dict(config)
    made = AutoConfig.for_model(fields.pop("model_type"), **fields)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    head = model.get_output_embeddings()
    linear = [
        (module.in_features, module.out_features)
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    return sum(weight.numel() for weight in model.parameters()), linear


def shipped(name: str) -> dict[str, Any]:
    """Return the fields of a model's `config.json`; a hub model goes by name too."""
    from ftlab.training.estimate import config_of

    return config_of(name)


def batch_of(records: Sequence[data.Row], tokenizer: Any, device: Any = "cpu") -> dict[str, Any]:
    """Return records as the trainer sees them, padded to one length.

    Args:
        records: what is to be in the batch.
        tokenizer: the model's.
        device: where the batch goes.

    Returns:
        `input_ids` and `labels`, shape (records, tokens); -100 carries no loss.
    """
    import torch

    from ftlab.training.sft import prepare

    rows = prepare(tokenizer, records, max_length=tokenizer.model_max_length)
    longest = max(len(row["input_ids"]) for row in rows)
    fills = {"input_ids": tokenizer.pad_token_id, "labels": -100}
    return {
        key: torch.tensor(
            [row[key] + [fill] * (longest - len(row[key])) for row in rows], device=device
        )
        for key, fill in fills.items()
    }


def kept_for_backward(
    model: Any, batch: Mapping[str, Any], *, words: int = 0
) -> tuple[dict[str, int], float]:
    """Take one step forward and back; return what autograd kept in between, and the loss.

    Args:
        model: a causal LM with weights that train; its gradients are added to.
        batch: `input_ids` and `labels`, shape (records, tokens).
        words: the size of the vocabulary, by which logits are known.

    Returns:
        Bytes of activations and of logits, each storage once and the model's own weights not
        counted; and the loss.
    """
    import torch

    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    seen: dict[int, tuple[str, int]] = {}
    held = []

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            part = "logits" if words and tensor.shape[-1:] == (words,) else "activations"
            seen[storage.data_ptr()] = (part, storage.nbytes())
            held.append(tensor)  # or its place might be given to another
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(**batch).loss
    sizes = {"activations": 0, "logits": 0}
    for part, size in seen.values():
        sizes[part] += size
    held.clear()
    loss.backward()
    return sizes, loss.item()


# The solutions and the mistakes, as functions.


def _numbers(rows: int, columns: int, rank: int) -> int:
    return rank * (rows + columns)


def _adapted(x: Any, W: Any, A: Any, B: Any, alpha: float) -> Any:
    return x @ W.T + alpha / len(A) * (x @ A.T @ B.T)


def _coarse(weights: list[float], levels: list[float]) -> list[float]:
    top = max(abs(weight) for weight in weights)
    return [top * min(levels, key=lambda level: abs(w / top - level)) for w in weights]


def _bytes(weights: int, block: int) -> float:
    return weights / 2 + 4 * weights / block


def _unmerge(merged: Any, A: Any, B: Any, alpha: float) -> Any:
    return merged - alpha / len(A) * (B @ A)


def _drawn(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).round(2)


_LEVELS = [-1.0, -0.5, -0.2, 0.0, 0.15, 0.4, 1.0]
_BLOCKS = ([0.02, -0.05, 0.031, 0.001], [-3.0, 0.5, 1.1, 0.35, 2.2], [0.9, -0.25, 0.31, -0.66])
_LORA = [
    (_drawn(1, 2, 5), _drawn(2, 3, 5), _drawn(3, 2, 5), _drawn(4, 3, 2), 8.0),
    (_drawn(5, 4, 6), _drawn(6, 5, 6), _drawn(7, 4, 6), _drawn(8, 5, 4), 8.0),
]
_MERGED = [(W, A, B, alpha) for _, W, A, B, alpha in _LORA]

EXERCISES = (
    exercise(
        "04.1",
        solution=_numbers,
        cases=((96, 96, 1), (320, 864, 8), (4096, 4096, 16)),
        mistakes={
            "that is the whole matrix": lambda m, n, r: m * n,
            "it counts one of the two matrices": lambda m, n, r: r * m,
            "it counts the whole matrix rank times": lambda m, n, r: r * m * n,
            "it adds the rank instead of multiplying": lambda m, n, r: r + m + n,
        },
    ),
    exercise(
        "04.2",
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
        solution=_bytes,
        cases=((6400, 64), (6400, 32), (1_000_000, 100)),
        mistakes={
            "it forgets the scales": lambda weights, block: weights / 2,
            "it takes 4 bits for 4 bytes": lambda weights, block: 4 * weights + 4 * weights / block,
            "it keeps a scale for each weight": lambda weights, block: weights / 2 + 4 * weights,
            "it takes a scale for one byte": lambda weights, block: weights / 2 + weights / block,
        },
    ),
    exercise(
        "04.5",
        solution=_unmerge,
        cases=tuple(_MERGED),
        mistakes={
            "it merges once more": lambda merged, A, B, alpha: merged + alpha / len(A) * (B @ A),
            "the scale is missing": lambda merged, A, B, alpha: merged - B @ A,
            "A and B are the wrong way round": lambda merged, A, B, alpha: (
                merged - alpha / len(A) * (A @ B)
            ),
        },
    ),
)
