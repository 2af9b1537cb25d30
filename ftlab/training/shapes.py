"""The shapes of real models, and any model's weights as it is tuned, counted without a download.

A model is built by transformers and peft on torch's device `meta`, which holds no data, so its
weights are counted in the model itself. Any `config.json` will do.

>>> sorted(SHAPES)
['LLaMA-65B', 'Llama-3-8B', 'Llama-3.2-1B', 'Qwen2.5-0.5B', 'Qwen2.5-1.5B']
>>> sizes(config_of(SHAPES["Llama-3-8B"]), "lora", rank=8).trainable
20971520
"""

import functools
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError, OfflineError, first_line
from ftlab.files import read_data
from ftlab.training.fast import TOWER, all_linear, beside_text

__all__ = ["SHAPES", "Sizes", "config_of", "sizes"]

SHAPES: dict[str, dict[str, Any]] = read_data("shapes.yaml")
"""The fields of `config.json` that decide a model's shapes, by the model's name."""


def config_of(model: Any) -> Any:
    """Return a model's transformers config, and read no weights.

    Args:
        model: a shipped name, a folder, a `config.json`, a hub id, a dict or a config.

    Raises:
        ModelError: there is none, or transformers knows no such type or values.
    """
    from transformers import AutoConfig

    from ftlab import models

    if hasattr(model, "to_dict"):
        return model
    place: Any
    if isinstance(model, Mapping):
        place = f"type {model.get('model_type')!r}"
        read = functools.partial(AutoConfig.for_model, **model)
    else:
        path = Path(os.fspath(model)).expanduser()
        place = path if path.exists() else models.locate(model)
        read = functools.partial(AutoConfig.from_pretrained, place)
    try:
        return read()
    except Exception as error:  # no network, gated, no JSON; each family checks its own values
        kind = OfflineError if place is model else ModelError
        raise kind(
            f"transformers finds no config of {place}: {first_line(error)} The config.json of a "
            "causal LM is wanted; where there is no network, give its path."
        ) from error


@dataclass(frozen=True)
class Sizes:
    """The shapes and weights of a model as it is tuned; bytes where it says so."""

    layers: int
    width: int
    heads: int
    attention: int
    """Width of all heads together."""
    feed_forward: int
    """Width of the inner layer that a token passes, all its experts together."""
    experts: int
    """That serve a token; 0 without a mixture."""
    merged: float
    """Bytes of a layer's experts with their adapters added, as peft keeps them at each use."""
    normed: int
    """Numbers a token that the norms of all layers read."""
    head: int
    """Weights of the output layer."""
    vocabulary: int
    tied: bool
    """The output layer is the embedding."""
    parameters: int
    trainable: int
    trainable_bytes: int
    base_bytes: int
    """Of the base's weights that are not held in 4 bits."""
    adapter_bytes: int
    quantised: int
    """Weights held in 4 bits."""
    linear: int
    """Weights of linear layers that are not, the output layer's included."""
    multiplied: float
    """Weights that a token meets, without the output layer's."""


def sizes(
    config: Any, method: str, *, rank: int, weights: str = "float32", compute: str = "float32"
) -> Sizes:
    """Build a model without data, put adapters on its linear layers, and count.

    Args:
        config: a transformers config.
        method: full, lora or qlora.
        rank: of an adapter's matrices.
        weights: what the base's weights are held in.
        compute: what mixed precision computes in; "float32" means none.

    Raises:
        ModelError: transformers cannot build it as a causal LM with attention, or peft cannot
            put adapters on it.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft and transformers: the real run shows its own
        try:
            causal: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, weights))
            text = config.get_text_config()
            heads, width, layers = (
                text.num_attention_heads, text.hidden_size, text.num_hidden_layers
            )  # fmt: skip
            head = causal.get_output_embeddings().weight
        except Exception as error:  # a value that its family's code cannot use
            raise ModelError(
                f"A {config.model_type!r} cannot be built as a causal LM: {first_line(error)}"
            ) from error
        base, modules = list(causal.parameters()), list(causal.modules())
        tied = causal.get_input_embeddings().weight is head
        if method != "full":
            towers = rf".*({TOWER.pattern}).*" if beside_text(causal) else None
            lora = LoraConfig(
                r=rank, exclude_modules=towers, task_type="CAUSAL_LM", **all_linear(causal)
            )
            causal = get_peft_model(causal, lora)
    head_width = getattr(text, "head_dim", None) or width // heads
    norms = [m.weight.numel() for m in modules
             if "Norm" in type(m).__name__ and getattr(m, "weight", None) is not None]  # fmt: skip
    linear = sum(m.weight.numel() for m in modules
                 if isinstance(m, (torch.nn.Linear, Conv1D)) and m.weight is not head)  # fmt: skip
    experts = getattr(text, "num_experts_per_tok", None) or 0
    mixtures = [p for p in base if p.dim() == 3]  # (experts, in, out)
    feed_forward = getattr(text, "intermediate_size", None) or 4 * width
    if experts:
        feed_forward = experts * (getattr(text, "moe_intermediate_size", None) or feed_forward)
    whole = sum(p.numel() for p in base)
    adapters = sum(p.numel() for p in causal.parameters()) - whole
    trainable = adapters or whole
    # training holds QLoRA's adapters in bf16 where it computes in it
    wide = 2 if method == "qlora" and compute == "bfloat16" else 4
    quantised = linear if method == "qlora" else 0
    return Sizes(
        layers=layers, width=width, heads=heads,
        attention=heads * head_width, feed_forward=feed_forward, experts=experts,
        merged=sum(p.nbytes for p in mixtures) / layers if adapters else 0.0,
        normed=sum(size * (heads if size == head_width else 1) for size in norms),
        head=head.numel(), vocabulary=len(head), tied=tied,
        parameters=whole + adapters, trainable=trainable,
        trainable_bytes=wide * trainable, adapter_bytes=wide * adapters, quantised=quantised,
        base_bytes=sum(p.nbytes for p in base) - quantised * base[0].itemsize,
        linear=linear - quantised + head.numel(),
        multiplied=linear + adapters + sum(p.numel() * experts / len(p) for p in mixtures),
    )  # fmt: skip
