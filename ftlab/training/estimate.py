"""What a fine-tune takes before it is run: memory by part, time, money, and what makes it fit.

The weights are counted in the model itself (`ftlab.training.shapes`), the rest follows from the
shapes. With P weights, of which P_t move, and b bytes for each (4 in float32, 2 in half precision):

| part | bytes | source |
|---|---|---|
| weights | b P | |
| quantised | (4 + 8/64 + 32/(64·256)) / 8 = 0.516 a weight, in NF4 | Dettmers et al. 2023 |
| adapters | b r (in + out) a layer; b is 2 for QLoRA in bf16, else 4 | Hu et al. 2021 |
| gradients | b P_t; at the loss there are none yet | Rajbhandari et al. 2019 |
| optimiser | 2 b P_t: the two moments of AdamW | Loshchilov and Hutter 2017 |
| activations | tokens × layers × what a layer keeps (`_kept_by_a_layer`); with checkpointing \
each layer's input, and one layer in full | Korthikanti et al. 2022, section 4 |
| casts | 2 a weight that mixed precision holds in half precision too | Micikevicius et al. 2017 |
| logits | tokens with loss × vocabulary × 12: the logits in float32, their logarithms and the \
gradient | |
| fragmentation | on a GPU 4 % and 0.6 GB for CUDA itself: an allowance, not a law | |

The parts are those at the fullest of three moments: at the loss (all activations, and the logits),
when the backward pass begins, and when it ends (all gradients). On a CPU they are torch's tensors;
Python and its libraries come on top.

How near it comes: SmolLM2-135M's real peaks (three methods, two lengths, two batch sizes, bf16 on a
CPU: experiments/estimate.md) are met within 2 %. When the formula was made, 288 steps of Llama,
Qwen2, Qwen3 and Gemma 3 were followed tensor by tensor on torch's fake tensors: 0.6 % off in the
middle, nine tenths within 3.8 %, 13 % at worst (tiny layers). A test holds what a layer keeps to
autograd itself, a mixture of experts among them. For GPT-2, whose feed-forward is of another kind,
it is of no use: such a model took half as much again where all tokens carried loss, and three times
as much where half did.

A forward pass costs two operations a weight and token, the backward pass two to the inputs and two
to the weights that move (Kaplan et al. 2020); checkpointing adds a forward pass:

    FLOPs a token = 2 P forward + 2 P to the inputs + 2 P_t to the weights + attention
    seconds       = FLOPs / (peak FLOP/s · the share of it that training reaches)

The share is measured for a CPU and an assumption for a GPU (`data/gpus.json`): the time is rough.

>>> made = estimate("ftlab-1m", "lora", length=64, batch_size=8, gpu="T4")
>>> made.fits, made.plan.rank
(True, 32)
"""

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import read_table
from ftlab.training import shapes
from ftlab.training.shapes import Sizes

__all__ = ["Estimate", "Plan", "Table", "cheaper", "estimate", "gpu_table"]

NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
CUDA_BYTES, SLACK = 0.6e9, 0.04
METHODS = ("full", "lora", "qlora")
DTYPES = ("float32", "bfloat16", "float16")
WHY = {
    "weights": "the base, held in {plan.weights}",
    "quantised": "weights in NF4",
    "adapters": "rank {plan.rank}",
    "gradients": "as far as made at the peak",
    "optimiser": "2 moments of {made.trainable:,} weights",
    "activations": "{records} × {plan.length} tokens: {kept}",
    "casts": "weights once more, in half precision",
    "logits": "tokens that carry loss ({plan.loss_share:.0%}) × the vocabulary",
    "fragmentation": f"{SLACK:.0%} and {CUDA_BYTES / 1e9:.1f} GB for CUDA, an allowance",
}


class Gpu(BaseModel):
    """What a GPU has and costs."""

    model_config = ConfigDict(extra="forbid")
    memory_gb: float = Field(gt=0, allow_inf_nan=False)
    dtype: str = Field(default="bfloat16", pattern="^(bfloat16|float16|float32)$")
    tflops: float = Field(gt=0, allow_inf_nan=False)
    per_hour: float = Field(ge=0, allow_inf_nan=False)


class Table(BaseModel):
    """A table of GPUs, as a JSON file holds it."""

    model_config = ConfigDict(extra="forbid")
    date: date
    """When the prices were written down."""
    note: str = ""
    currency: str = "USD"
    share_of_peak: float = Field(gt=0, le=1)
    """Of the makers' FLOP/s that training reaches on a GPU of the table: an assumption."""
    share_of_matmul: float = Field(default=0.65, gt=0, le=1)
    """Of a matrix product timed on this machine: measured on a CPU (experiments/estimate.md)."""
    gpus: dict[str, Gpu]


def gpu_table(path: str | os.PathLike[str] | None = None) -> Table:
    """Read a table of GPUs; without a path, the one that ships.

    Raises:
        DataError: the file cannot be read, or is no such table; every fault is listed.
    """
    return read_table(path, "gpus.json", Table, what="table of GPUs")


def matmul_flops(device: str, dtype: str, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the FLOP/s of one matrix product, as fast or slow as this machine is now."""
    import torch

    size = 4096 if device == "cuda" else 512
    left = torch.ones(size, size, dtype=getattr(torch, dtype), device=device)
    (left @ left)[0, 0].item()  # the first builds the kernel; .item() waits for the device
    start = clock()
    (left @ left)[0, 0].item()
    return 2 * size**3 / (clock() - start)


@dataclass(frozen=True)
class Plan:
    """How a model would be tuned."""

    method: str
    length: int
    """Tokens in a record; padding counts."""
    batch_size: int
    """Records in a step."""
    gradient_accumulation: int = 1
    """Parts in which a step's records are computed, one after the other."""
    rank: int = 32
    gradient_checkpointing: bool = False
    """Keep each layer's input alone, and compute the rest again."""
    weights: str = "float32"
    """What the base's weights are held in."""
    loss_share: float = 1.0
    """Part of the tokens that carry loss."""

    def check(self) -> None:
        """Raise a ConfigError that lists all that is wrong."""
        if self.method not in METHODS:
            raise_unknown("method", self.method, METHODS)
        if self.weights not in DTYPES:
            raise_unknown("dtype", self.weights, DTYPES)
        least = {"length": 2, "batch_size": 1, "rank": 1, "gradient_accumulation": 1}
        wrong = [
            f"{name} must be {low} or more, got {getattr(self, name)}"
            for name, low in least.items()
            if getattr(self, name) < low
        ]
        if not wrong and self.batch_size % self.gradient_accumulation:
            wrong = [f"batch_size={self.batch_size} cannot be computed in "
                     f"{self.gradient_accumulation} equal parts"]  # fmt: skip
        if not 0 < self.loss_share <= 1:
            wrong.append(f"loss_share must be above 0 and at most 1, got {self.loss_share}")
        if self.weights != "float32" and self.method == "full":
            wrong.append(f"'full' moves the weights, which {self.weights} is too coarse for")
        if wrong:
            raise ConfigError("; ".join(wrong) + ".")


@dataclass(frozen=True)
class Estimate:
    """What a plan takes on a device."""

    plan: Plan
    device: str
    capacity: float | None
    """Bytes of the device; None where they are not known."""
    parts: dict[str, float]
    """Bytes by part when the peak comes."""
    parameters: int
    trainable: int
    step_flops: float
    step_seconds: float
    steps: int | None = None
    """Of the whole run; None without a number of records."""
    cost: float | None = None
    """Money for the whole run; None without a price."""
    currency: str = "USD"
    changes: tuple[tuple[str, float], ...] = ()
    """If it does not fit: what would make it fit, the cheapest first, and the bytes then."""

    @property
    def total(self) -> float:
        """Bytes at the peak."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool | None:
        """Whether the device holds it; None where its memory is not known."""
        return None if self.capacity is None else self.total <= self.capacity

    def __str__(self) -> str:
        plan = self.plan
        kept = "each layer's input" if plan.gradient_checkpointing else "kept for backward"
        records = plan.batch_size // plan.gradient_accumulation
        lines = []
        for name, size in self.parts.items():
            if size:
                why = WHY[name].format(made=self, plan=plan, records=records, kept=kept)
                lines.append(f"{name:<14}{size_text(size):>10}   {why}")
        lines.append(f"{'together':<14}{size_text(self.total):>10}")
        if self.capacity is not None:
            fits = "fits" if self.fits else "does not fit"
            lines[-1] += f"   {fits} {self.device} ({size_text(self.capacity)})"
        lines += [
            f"{self.trainable:,} of {self.parameters:,} parameters move",
            f"a step: {self.step_flops / 1e12:.3g} TFLOP, about {time_text(self.step_seconds)}",
        ]
        if self.steps is not None:
            money = "" if self.cost is None else f", {self.cost:.2f} {self.currency}"
            seconds = time_text(self.steps * self.step_seconds)
            lines.append(f"{self.steps:,} steps: about {seconds}{money}")
        if self.fits is False:
            lines.append("What would make it fit, the cheapest first:")
            lines += [f"- {what}: {size_text(size)}" for what, size in self.changes]
            if not self.changes:
                lines.append("- nothing here: take a smaller model or a shorter record")
        return "\n".join(lines)


def size_text(size: float) -> str:
    """Return bytes in words, such as 2.50 GB or 3.0 MB."""
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def time_text(seconds: float) -> str:
    """Return a time in words, such as 0.25 s, 10 min or 2.5 h."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def estimate(
    model: Any,
    method: str,
    *,
    length: int,
    batch_size: int,
    gpu: str | None = None,
    records: int | None = None,
    epochs: float = 3,
    gpus: Table | None = None,
    **how: Any,
) -> Estimate:
    """Predict the memory, time and cost of a fine-tune.

    Args:
        model: a shipped name, a folder, a `config.json`, a hub id (its config alone is fetched), a
            dict or a transformers config.
        method: full, lora or qlora; an adapter is on every linear layer.
        length: tokens in a record.
        batch_size: records in a step.
        gpu: a name in the table; by default this machine.
        records: in the training set, for the time and cost of a run.
        epochs: passes over them.
        gpus: another table of GPUs.
        how: the other fields of `Plan`: gradient_accumulation, rank, gradient_checkpointing,
            weights, loss_share.

    Raises:
        ConfigError: an unknown method or GPU, or a value out of range.
        ModelError: there is no such model, or transformers cannot build it.
    """
    plan = Plan(method, length, batch_size, **how)
    plan.check()
    if (records is not None and records < 1) or not epochs > 0:
        raise ConfigError(f"records={records} and epochs={epochs}: both must be positive.")
    gpus = gpus or gpu_table()
    config = shapes.config_of(model)
    per_hour = None
    if gpu is None:
        from ftlab.hardware import profile

        here = profile()
        name, compute, cuda = here.gpu or f"this {here.device}", here.dtype, here.device == "cuda"
        capacity = here.memory_gb * 1e9 or None
        rate = max(matmul_flops(here.device, compute) for _ in range(5)) * gpus.share_of_matmul
    elif gpu not in gpus.gpus:
        raise_unknown("GPU", gpu, gpus.gpus)
    else:
        card = gpus.gpus[gpu]
        name, compute, cuda = gpu, card.dtype, True
        capacity, per_hour = card.memory_gb * 1e9, card.per_hour
        rate = card.tflops * 1e12 * gpus.share_of_peak

    @functools.cache
    def sizes_of(method: str, rank: int, weights: str) -> Sizes:
        return shapes.sizes(config, method, rank=rank, weights=weights, compute=compute)

    def parts_of(plan: Plan) -> dict[str, float]:
        return _parts(sizes_of(plan.method, plan.rank, plan.weights), plan, compute, cuda)

    sizes = sizes_of(method, plan.rank, plan.weights)
    flops = _flops(sizes, plan)
    steps = None if records is None else max(1, round(-(-records // batch_size) * epochs))
    hours = (steps or 0) * flops / rate / 3600
    made = Estimate(
        plan=plan, device=name, capacity=capacity, parts=parts_of(plan),
        parameters=sizes.parameters, trainable=sizes.trainable, step_flops=flops,
        step_seconds=flops / rate, steps=steps, currency=gpus.currency,
        cost=None if steps is None or per_hour is None else hours * per_hour,
    )  # fmt: skip
    if capacity is None or made.fits:
        return made
    tries = [(what, sum(parts_of(other).values())) for what, other in cheaper(plan)]
    fitting = [(what, size) for what, size in tries if size <= capacity][:3]
    larger = [(card.per_hour, name) for name, card in gpus.gpus.items()
              if card.memory_gb * 1e9 >= max(made.total, capacity + 1)]  # fmt: skip
    if larger and len(fitting) < 3:
        price, name = min(larger)
        what = f"another GPU, {name}, {price:.2f} {gpus.currency} an hour"
        fitting.append((what, made.total))
    return replace(made, changes=tuple(fitting))


def cheaper(plan: Plan) -> list[tuple[str, Plan]]:
    """Return plans that take less memory, from what costs least to what costs most.

    Accumulation and checkpointing cost time alone, an adapter what it cannot learn, four bits some
    precision, and shorter records lose what they say.
    """
    parts = plan.gradient_accumulation
    if plan.batch_size // parts % 2 == 0:
        parts *= 2
    adapter = "lora" if plan.method == "full" else plan.method
    coarse = replace(plan, method=adapter, weights="bfloat16")
    four = replace(plan, method="qlora", weights="float32")
    small: dict[str, Any] = {
        "gradient_accumulation": plan.batch_size, "gradient_checkpointing": True,
    }  # fmt: skip
    least = "one record at a time, with gradient_checkpointing"
    tries = {
        replace(plan, gradient_accumulation=parts): f"gradient_accumulation={parts}",
        replace(plan, gradient_checkpointing=True): "gradient_checkpointing=True, a third slower",
        replace(plan, method=adapter): f"method={adapter!r}",
        four: "method='qlora'",
        coarse: f"method={adapter!r}, weights in bfloat16",
        replace(plan, **small): least,
        replace(coarse, **small): f"method={adapter!r}, weights in bfloat16, {least}",
        replace(four, **small): f"method='qlora', {least}",
        replace(plan, length=max(2, plan.length // 2)): f"records of {plan.length // 2} tokens",
    }
    return [(what, other) for other, what in tries.items() if other != plan]


def _kept_by_a_layer(sizes: Sizes, plan: Plan, compute: str, eager: bool) -> float:
    """Return the bytes a token that a layer with a gated feed-forward keeps for its backward pass.

    Norms compute in float32: a frozen one keeps its input, one that moves its output too. In half
    precision each linear layer keeps an input of its own. 4-bit layers hand on float32.
    """
    full, b = plan.method == "full", 4 if compute == "float32" else 2
    norms = 4 * sizes.normed / sizes.layers * (2 if full else 1)
    inputs = 2 * sizes.width + sizes.feed_forward  # of linear layers, the attention's output apart
    if b == 2:
        inputs += 3 * sizes.width + sizes.attention
    attention = 4 * sizes.attention  # queries, keys and values for each head, and what comes out
    gathered = 2 * sizes.experts * sizes.width  # rows for the experts, and their answers
    adapters = 0 if full else 7 * plan.rank
    gated = 3 * sizes.feed_forward * (4 if plan.method == "qlora" else b)
    scores = (4 if b == 4 else 6) * sizes.heads * plan.length if eager else 0
    return norms + b * (inputs + attention + gathered + adapters) + gated + scores


def _parts(sizes: Sizes, plan: Plan, compute: str, cuda: bool) -> dict[str, float]:
    """Return bytes by part at the fullest moment; a GPU's attention keeps no scores."""
    records = plan.batch_size // plan.gradient_accumulation
    tokens = records * plan.length
    layer = tokens * _kept_by_a_layer(sizes, plan, compute, eager=not cuda) + sizes.merged
    again = plan.gradient_checkpointing
    activations = 12.0 * tokens * sizes.width  # the last norm, and what the output layer reads
    activations += sizes.layers * (tokens * 4 * sizes.width if again else layer)
    counted = max(1, round(records * (plan.length - 1) * plan.loss_share))
    casts = 0
    if compute not in ("float32", plan.weights):
        casts = 2 * (sizes.head if again else sizes.linear)
    moving = sizes.trainable_bytes
    waiting = moving if plan.gradient_accumulation > 1 else 0  # from the parts before
    head = 4 * sizes.head if plan.method == "full" else 0  # the gradient of the output layer
    moments: list[dict[str, float]] = [
        {"gradients": waiting, "activations": activations, "casts": casts,
         "logits": 12 * counted * sizes.vocabulary},
        {"gradients": max(waiting, head), "activations": activations + (layer if again else 0),
         "casts": casts, "logits": 0},
        {"gradients": moving, "activations": layer + (head if sizes.tied else 0), "casts": 0,
         "logits": 0},
    ]  # fmt: skip
    peak = max(moments, key=lambda moment: sum(moment.values()))
    parts: dict[str, float] = {
        "weights": sizes.base_bytes, "quantised": NF4_BYTES * sizes.quantised,
        "adapters": sizes.adapter_bytes, "gradients": peak.pop("gradients"),
        "optimiser": 2 * moving, **peak,
    }  # fmt: skip
    parts["fragmentation"] = sum(parts.values()) * SLACK + CUDA_BYTES if cuda else 0
    return parts


def _flops(sizes: Sizes, plan: Plan) -> float:
    """Return the operations of one step, two for each multiplication with its addition."""
    tokens = plan.batch_size * plan.length
    weights = tokens * (sizes.multiplied + sizes.head * plan.loss_share)
    moving = weights if plan.method == "full" else tokens * sizes.trainable
    scores = tokens * 2 * plan.length * sizes.attention * sizes.layers
    again = 1 if plan.gradient_checkpointing else 0
    return 2 * ((2 + again) * weights + moving + (3 + again) * scores)
