"""A training step that computes nothing: every tensor's size and life, and the work, are counted.

The model is built of torch's fake tensors, which have a shape and a type but no data. One step runs
through the real code of transformers, peft and autograd, while each storage that appears and goes
is noted. So what autograd keeps is counted, not guessed (by hand, for a plain transformer:
Korthikanti et al. 2022, "Reducing activation recomputation", section 4), by
`ftlab.training.ledger`. One and two layers say what n take; those that differ in shape are all run.
The step is that of `finetune`, with `faster_on_cpu`: logits only where a token carries loss.

>>> config = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
...     "num_attention_heads": 4, "num_hidden_layers": 8, "vocab_size": 1000}
>>> found = step(read(config), "full", batch_size=2, length=32)
>>> found.peak["logits"] >= 4 * 2 * 31 * 1000, found.peak["gradients"] <= 4 * found.trainable
(True, True)
"""

import contextlib
import copy
import functools
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ftlab.errors import ModelError, first_line
from ftlab.training.fast import TOWER, beside_text, is_plain
from ftlab.training.ledger import Ledger, Step

__all__ = ["read", "step"]


def read(config: Mapping[str, Any]) -> Any:
    """Return the transformers config that a `config.json` describes.

    Raises:
        ModelError: there is no such model type in transformers, or a value is of no use.
    """
    from transformers import AutoConfig

    values = dict(config)
    kind = values.pop("model_type", None)
    values.pop("quantization_config", None)  # what is held in 4 bits is the method's affair
    try:
        return AutoConfig.for_model(str(kind), **values)
    except Exception as error:  # each family checks its values in its own way
        raise ModelError(
            f"transformers knows no model of type {kind!r} with these values: "
            f"{first_line(error)} The config.json of a causal LM is wanted."
        ) from error


def step(
    config: Any,
    method: str,
    *,
    batch_size: int,
    length: int,
    parts: int = 1,
    rank: int = 32,
    checkpointing: bool = False,
    compute: str = "float32",
    weights: str = "float32",
    eager: bool = True,
    loss_share: float = 1.0,
) -> Step:
    """Count one training step.

    Args:
        config: a transformers config.
        method: full, lora or qlora; an adapter is on every linear layer.
        batch_size: records in the step.
        length: tokens in each record.
        parts: in which the records are computed, one after the other, on the same gradients.
        rank: of an adapter's matrices.
        checkpointing: keep each layer's input alone, and compute the rest again (Chen et al. 2016).
        compute: what mixed precision computes in; "float32" means none.
        weights: what the base's weights are held in.
        eager: attention as plain matrix products; else a fused kernel that keeps no
            length × length matrix (Dao et al. 2022).
        loss_share: part of the tokens that carry loss; only they get logits.

    Raises:
        ModelError: transformers cannot build it as a causal LM, or its code asks for numbers where
            there are only shapes.
    """
    layers, alike = _layers(config.to_json_string())
    at_once = batch_size // parts
    how = (method, at_once, length, rank, checkpointing, compute, weights, eager, loss_share)
    try:
        if not alike or layers < 3:
            return _traced(config, layers, *how).whole(parts)
        one, two = (_traced(config, n, *how) for n in (1, 2))
        return two.grown(one, layers - 2, parts)
    except (NotImplementedError, RuntimeError, TypeError, AttributeError) as error:
        why = f"cannot be followed on shapes alone: {first_line(error)}"
        raise ModelError(f"A step of {config.model_type!r} {why}") from error


@functools.lru_cache(maxsize=32)
def _layers(text: str) -> tuple[int, bool]:
    """Return how many layers a config's model has, and whether all are of one shape."""
    import torch

    with torch.device("meta"):
        blocks = _blocks(_build(read(json.loads(text))))
    shapes = [{name: tuple(p.shape) for name, p in b.named_parameters()} for b in blocks]
    return len(blocks), all(shape == shapes[0] for shape in shapes)


def _build(
    config: Any, layers: int | None = None, attention: str | None = None, weights: str = "float32"
) -> Any:
    """Return the causal LM, of so many layers."""
    import torch
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    inner = config.get_text_config()
    if layers is not None:
        inner.num_hidden_layers = layers
        if getattr(inner, "layer_types", None):
            inner.layer_types = inner.layer_types[:layers]
    try:
        return AutoModelForCausalLM.from_config(
            config, dtype=getattr(torch, weights), attn_implementation=attention
        )
    except Exception as error:  # a value of the config that its family's code cannot use
        raise ModelError(
            f"A {config.model_type!r} cannot be built as a causal LM: {first_line(error)}"
        ) from error


def _blocks(model: Any) -> Any:
    """Return the list of the model's layers."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"{type(model).__name__} has no list of its {count} layers.")


def _traced(
    config: Any, layers: int, method: str, batch_size: int, length: int, rank: int,
    checkpointing: bool, compute: str, weights: str, eager: bool, loss_share: float,
) -> "Ledger":  # fmt: skip
    """Run one step of so many layers; return what was noted."""
    import torch
    import torch._dynamo  # which cannot be imported first below, where tensors are on "meta"
    from torch._subclasses.fake_tensor import FakeTensorMode

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft and transformers: the real run shows its own
        with torch.device("meta"):
            causal = _build(config, layers, "eager" if eager else None, weights)
            base = {id(p) for p in causal.parameters()}
            model, four_bit = _prepared(causal, method, rank, compute)
        if checkpointing:
            new = getattr(model, "activation_checkpointing_enable", None)  # transformers 5.2x
            (new or model.gradient_checkpointing_enable)({"use_reentrant": False})
        plain = is_plain(causal)
        vocabulary = config.get_text_config().vocab_size
        count = max(1, round(batch_size * (length - 1) * (loss_share if plain else 1)))
        ledger = Ledger(model, base, four_bit, count * vocabulary, vocabulary)
        for block in _blocks(causal):
            block.register_forward_hook(ledger.watch)
        with FakeTensorMode(allow_non_fake_inputs=True):
            _fill(model.train())
            ids = torch.zeros(batch_size, length, dtype=torch.long)
            inputs: dict[str, Any] = {"input_ids": ids, "use_cache": False}
            if causal.config._attn_implementation == "eager":
                inputs["attention_mask"] = torch.zeros(batch_size, 1, length, length)
            where = torch.zeros(count, dtype=torch.long)
            mixed = torch.autocast("cpu", getattr(torch, compute), enabled=compute != "float32")
            with ledger.noting(), _experts_of_any_type():
                with mixed:
                    if plain:
                        hidden = causal.model(**inputs).last_hidden_state[:, :-1].flatten(0, 1)
                        logits = causal.lm_head(hidden[where]).float()
                    else:
                        hidden, where = None, ids[:, 1:].flatten()
                        logits = model(**inputs).logits[:, :-1].flatten(0, 1).float()
                loss = torch.nn.functional.cross_entropy(logits, where, reduction="sum") / count
                del hidden, logits  # the trainer's function has returned by then
                loss.backward()
    ledger.close(layers)
    return ledger


@contextlib.contextmanager
def _experts_of_any_type() -> Iterator[None]:
    """Put a product of like shapes for a mixture's, which fake tensors take in bf16 only."""
    import torch
    from transformers import integrations

    module = getattr(integrations, "moe", None)

    def product(rows: Any, weight: Any, offs: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            return rows.to(weight.dtype) @ weight.mean(0)

    kept = getattr(module, "_grouped_mm", None)
    if kept is not None:
        module._grouped_mm = product  # type: ignore[union-attr]
    try:
        yield
    finally:
        if kept is not None:
            module._grouped_mm = kept  # type: ignore[union-attr]


def _prepared(causal: Any, method: str, rank: int, compute: str) -> tuple[Any, set[int]]:
    """Return the model as it is trained, and which of its weights are held in 4 bits."""
    import torch
    from peft import LoraConfig, get_peft_model

    if method == "full":
        return causal, set()
    four_bit = _quantise(causal, compute) if method == "qlora" else set()
    towers = rf".*({TOWER.pattern}).*" if beside_text(causal) else None
    lora = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", exclude_modules=towers,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    model: Any = get_peft_model(causal, lora)
    for p in model.parameters():
        if p.requires_grad and method == "qlora" and compute == "bfloat16":  # as in training
            p.data = p.data.to(torch.bfloat16)
    return model, four_bit


def _fill(model: Any) -> None:
    """Put fake tensors of the CPU, which autocast and its kernels know, in place of meta ones."""
    import torch

    made: dict[int, Any] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, old in held.items():
                if old is None:
                    continue
                if id(old) not in made:  # tied weights stay one
                    new = torch.empty(old.shape, dtype=old.dtype)
                    if held is module._parameters:
                        new = torch.nn.Parameter(new, requires_grad=old.requires_grad)
                    made[id(old)] = new
                held[name] = made[id(old)]


def _quantise(model: Any, compute: str) -> set[int]:
    """Let the inner linear layers dequantise at every use, as bitsandbytes does; return them."""
    import torch

    kind = getattr(torch, compute)

    class FourBit(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any) -> Any:
            ctx.weight = weight
            return x @ torch.empty_like(weight, dtype=x.dtype).t()

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return grads[0] @ torch.empty_like(ctx.weight, dtype=grads[0].dtype), None

    def four_bit(module: Any, x: Any) -> Any:
        return FourBit.apply(x.to(kind), module.weight).to(x.dtype)

    head, found = model.get_output_embeddings(), set()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            module.forward = functools.partial(four_bit, module)  # type: ignore[method-assign]
            found.add(id(module.weight))
    return found
