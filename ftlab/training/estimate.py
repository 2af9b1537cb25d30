"""What a fine-tune takes before it is run: memory by part, time, money, and what makes it fit.

With P weights, of which P_t move, and b bytes for each:

| part | bytes | source |
|---|---|---|
| weights | b P | |
| quantised | (4 + 8/64 + 32/(64·256)) / 8 = 0.516 a weight: NF4, double | Dettmers et al. 2023 |
| adapters | 4 r (in + out) a linear layer, DoRA 4 out more; QLoRA holds 2 for 4 | Hu et al. 2021 |
| gradients | b P_t, those that are there when the peak comes | Rajbhandari et al. 2019 |
| optimiser | 2 b P_t: AdamW's two moments | Rajbhandari et al. 2019 |
| activations | what autograd keeps, counted in a step on shapes alone | `ftlab.training.dryrun` |
| casts | 2 a weight that mixed precision holds in half precision too | |
| logits | for each token that carries loss and each word: the logits, their float32, softmax | |
| fragmentation | on a GPU 4 % and 0.6 GB for CUDA itself: an allowance, not a law | |

On a CPU these are torch's tensors; Python and its libraries come on top.

The backward pass costs two forward passes (Kaplan et al. 2020), less what frozen weights need not:

    FLOPs a token = 2 P forward + 2 P to the inputs + 2 P_t to the weights + attention
    seconds = FLOPs / (peak FLOP/s · share of the peak that training reaches)

Checkpointing adds one more forward pass. The share is an assumption in `gpus.json`, whose prices
are examples. No weights are read: any `config.json` that transformers can build will do.

>>> made = estimate("ftlab-7m", "lora", length=256, batch_size=8, gpu="T4")
>>> made.fits, made.trainable < made.parameters / 5
(True, True)
"""

import functools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ftlab.errors import ConfigError, DataError, ModelError, OfflineError, raise_unknown
from ftlab.files import read_text
from ftlab.training import dryrun, methods

__all__ = ["Estimate", "Plan", "Table", "config_of", "estimate", "table"]

NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
CUDA_BYTES, SLACK = 0.6e9, 0.04
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class Gpu(BaseModel):
    """What a GPU has and costs."""

    model_config = ConfigDict(extra="forbid")
    memory_gb: float = Field(gt=0)
    dtype: str = "bfloat16"
    tflops: float = Field(gt=0)
    per_hour: float = Field(ge=0)


class Table(BaseModel):
    """A table of GPUs, as a JSON file holds it."""

    model_config = ConfigDict(extra="forbid")
    date: date
    """When the prices were written down."""
    note: str = ""
    currency: str = "USD"
    share_of_peak: float = Field(gt=0, le=1)
    gpus: dict[str, Gpu]


def table(path: str | os.PathLike[str] | None = None) -> Table:
    """Read a table of GPUs; without a path, the one beside this module.

    Raises:
        DataError: the file cannot be read, or is no such table; every fault is listed.
    """
    path = Path(path) if path else Path(__file__).with_name("gpus.json")
    try:
        return Table.model_validate_json(read_text(path))
    except ValidationError as error:
        faults = "\n".join(
            f"  {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise DataError(
            f"{path} is no table of GPUs:\n{faults}\nCopy ftlab/training/gpus.json and change it."
        ) from None


@dataclass(frozen=True)
class Plan:
    """How a model would be tuned."""

    method: str
    length: int
    """Tokens in a record; padding counts."""
    batch_size: int
    """Records in a step."""
    rank: int = 32
    targets: Any = "all-linear"
    frozen_layers: int | None = None
    checkpointing: bool = False
    weights: str = "float32"
    """What the base's weights are held in."""
    loss_share: float = 1.0
    """Part of the tokens that carry loss."""

    def check(self) -> None:
        """Raise a ConfigError that lists all that is wrong."""
        if self.method not in methods.METHODS:
            raise_unknown("method", self.method, methods.METHODS)
        if self.weights not in BYTES:
            raise_unknown("dtype", self.weights, BYTES)
        wrong = [
            f"{name} must be {least} or more, got {value}"
            for name, value, least in (
                ("length", self.length, 2), ("batch_size", self.batch_size, 1),
                ("rank", self.rank, 1),
            )
            if value < least
        ]  # fmt: skip
        if not 0 < self.loss_share <= 1:
            wrong.append(f"loss_share must be above 0 and at most 1, got {self.loss_share}")
        if self.weights != "float32" and self.method not in methods.ADAPTERS:
            wrong.append(
                f"{self.method!r} moves the weights, which {self.weights} is too coarse for"
            )
        if wrong:
            raise ConfigError("; ".join(wrong) + ".")


@dataclass(frozen=True)
class Estimate:
    """What a plan takes on a device."""

    plan: Plan
    device: str
    capacity: float | None
    """Bytes of the device."""
    parts: dict[str, float]
    """Bytes by part when the peak comes."""
    parameters: int
    trainable: int
    step_flops: float
    step_seconds: float | None
    steps: int | None = None
    per_hour: float | None = None
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

    @property
    def seconds(self) -> float | None:
        """Seconds of the whole run; None without a number of records."""
        if self.steps is None or self.step_seconds is None:
            return None
        return self.steps * self.step_seconds

    @property
    def cost(self) -> float | None:
        """Money for the whole run; None without a price."""
        if self.seconds is None or self.per_hour is None:
            return None
        return self.seconds / 3600 * self.per_hour

    def __str__(self) -> str:
        lines = [f"{name:<14} {_size(size):>10}" for name, size in self.parts.items() if size]
        verdict = f"{'together':<14} {_size(self.total):>10}"
        if self.capacity is not None:
            fits = "fits" if self.fits else "does not fit"
            verdict += f"   {fits} {self.device} ({_size(self.capacity)})"
        lines += [verdict, f"{self.trainable:,} of {self.parameters:,} parameters move"]
        if self.step_seconds is not None:
            lines.append(f"a step: {self.step_flops / 1e12:.3g} TFLOP, {_time(self.step_seconds)}")
        if self.seconds is not None:
            money = "" if self.cost is None else f", {self.cost:.2f} {self.currency}"
            lines.append(f"{self.steps:,} steps: {_time(self.seconds)}{money}")
        if self.fits is False:
            lines.append("What would make it fit, the cheapest first:")
            lines += [f"- {what}: {_size(size)}" for what, size in self.changes]
            if not self.changes:
                lines.append("- nothing here: take a smaller model or a shorter record")
        return "\n".join(lines)


def _size(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def config_of(model: Any) -> dict[str, Any]:
    """Return a model's config as a dict, and read no weights.

    Args:
        model: a shipped name, a folder, a `config.json`, a hub id, a dict or a config.

    Raises:
        ModelError: there is none.
    """
    if isinstance(model, Mapping):
        return dict(model)
    if hasattr(model, "to_dict"):
        return model.to_dict()
    from ftlab import models

    path = Path(os.fspath(model)).expanduser()
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        found = models.locate(model)
        path = found / "config.json" if isinstance(found, Path) else _from_hub(found)
    try:
        held = json.loads(read_text(path))
    except (ValueError, DataError) as error:
        raise ModelError(f"{path} is no config.json: {error}") from None
    if not isinstance(held, dict):
        raise ModelError(f"{path} must hold a JSON object, got {type(held).__name__}.")
    return held


def _from_hub(name: str) -> Path:
    """Return a hub model's config.json, and nothing else of it."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json"))
    except Exception as error:  # no network, no such model, gated
        raise OfflineError(
            f"The config.json of {name} cannot be had ({str(error).splitlines()[0][:200]}). Save "
            "it where there is a network, and give its path."
        ) from None


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
        method: one of `ftlab.training.methods.METHODS`.
        length: tokens in a record.
        batch_size: records in a step.
        gpu: a name in the table; by default this machine.
        records: in the training set, for time and money.
        epochs: passes over them.
        gpus: another table of GPUs.
        how: the other fields of `Plan`: rank, targets, frozen_layers, checkpointing, weights,
            loss_share.

    Raises:
        ConfigError: an unknown method or GPU, or a value out of range.
        ModelError: there is no such model, or transformers cannot build it.
    """
    plan = Plan(method, length, batch_size, **how)
    plan.check()
    if (records is not None and records < 1) or not epochs > 0:
        raise ConfigError(f"records={records} and epochs={epochs}: both must be positive.")
    gpus = gpus or table()
    if gpu is not None and gpu not in gpus.gpus:
        raise_unknown("GPU", gpu, gpus.gpus)
    text = json.dumps(config_of(model), sort_keys=True, default=str)
    if gpu is None:
        from ftlab.hardware import profile

        here = profile()
        name, compute, cuda = here.gpu or f"this {here.device}", here.dtype, here.device == "cuda"
        capacity, per_hour = here.memory_gb * 1e9, None
        rate = _rate(here.device, compute) * gpus.share_of_peak
    else:
        card = gpus.gpus[gpu]
        name, compute, cuda = gpu, card.dtype, True
        capacity, per_hour = card.memory_gb * 1e9, card.per_hour
        rate = card.tflops * 1e12 * gpus.share_of_peak
    parts, parameters, trainable, flops = _counted(text, plan, compute, cuda)
    made = Estimate(
        plan=plan, device=name, capacity=capacity, parts=parts, parameters=parameters,
        trainable=trainable, step_flops=flops, step_seconds=flops / rate,
        steps=None if records is None else max(1, round(-(-records // batch_size) * epochs)),
        per_hour=per_hour, currency=gpus.currency,
    )  # fmt: skip
    return made if made.fits else replace(made, changes=_changes(text, made, compute, cuda, gpus))


def _changes(
    text: str, made: Estimate, compute: str, cuda: bool, gpus: Table
) -> tuple[tuple[str, float], ...]:
    """Return the three cheapest changes that make it fit; the order is what each costs."""
    plan, found = made.plan, []
    adapter = plan.method if plan.method in methods.ADAPTERS else "lora"
    small = replace(plan, batch_size=1, checkpointing=True)
    tries = [  # from no loss of quality to the most; time first
        (f"batches of {plan.batch_size // 2}", replace(plan, batch_size=plan.batch_size // 2 or 1)),
        ("checkpointing, a third slower", replace(plan, checkpointing=True)),
        ("batches of 1, with checkpointing", small),
        (f"{adapter}, weights in bfloat16", replace(plan, method=adapter, weights="bfloat16")),
        ("lora", replace(plan, method="lora")),
        ("lora, weights in bfloat16, batches of 1, checkpointing",
         replace(small, method="lora", weights="bfloat16")),
        ("qlora", replace(plan, method="qlora", weights="float32")),
        ("qlora, batches of 1, checkpointing",
         replace(small, method="qlora", weights="float32")),
        (f"records of {plan.length // 2} tokens", replace(plan, length=max(2, plan.length // 2))),
    ]  # fmt: skip
    for what, other in tries:
        if other == plan or made.capacity is None:
            continue
        size = sum(_counted(text, other, compute, cuda)[0].values())
        if size <= made.capacity:
            found.append((what, size))
        if len(found) == 3:
            return tuple(found)
    for name, card in sorted(gpus.gpus.items(), key=lambda pair: pair[1].per_hour):
        if len(found) < 3 and made.device != name and card.memory_gb * 1e9 > (made.capacity or 0):
            size = sum(_counted(text, plan, card.dtype, True)[0].values())
            if size <= card.memory_gb * 1e9:
                found.append((f"a {name}, {card.per_hour:.2f} {gpus.currency} an hour", size))
                break
    return tuple(found)


def _hashable(plan: Plan) -> Plan:
    targets = plan.targets
    return replace(plan, targets=targets if isinstance(targets, str) else tuple(targets))


def _counted(
    text: str, plan: Plan, compute: str, cuda: bool
) -> tuple[dict[str, float], int, int, float]:
    parts, *rest = _cached(text, _hashable(plan), compute, cuda)
    return (dict(parts), *rest)


@functools.lru_cache(maxsize=512)
def _cached(
    text: str, plan: Plan, compute: str, cuda: bool
) -> tuple[dict[str, float], int, int, float]:
    """Return bytes by part, parameters, trainable ones, and FLOPs of a step."""
    config = dryrun.read(json.loads(text))
    inner = config.get_text_config()
    layers = inner.num_hidden_layers
    whole, linear, other, per_layer, out = _shapes(text)
    adapted = per_layer
    if plan.targets != "all-linear":
        chosen = {plan.targets} if isinstance(plan.targets, str) else set(plan.targets)
        adapted = [x for x in per_layer if x[0] in chosen]
        if missing := chosen - {x[0] for x in per_layer}:
            raise_unknown("linear layer", sorted(missing)[0], {x[0] for x in per_layer})
    with_adapter, quantised = plan.method in methods.ADAPTERS, plan.method == "qlora"
    added = 0
    if with_adapter:
        added = sum(plan.rank * (a + b) + (b if plan.method == "dora" else 0)
                    for _, a, b in adapted)  # fmt: skip
    trainable, upper = (added if with_adapter else whole), layers
    if plan.method == "frozen":
        kept = layers // 2 if plan.frozen_layers is None else plan.frozen_layers
        if not 0 <= kept < layers:
            raise ConfigError(f"frozen_layers={kept}, but the model has {layers} layers.")
        upper = layers - kept
        trainable = round((whole - other) * upper / layers) + (other - inner.vocab_size * out)
    width = BYTES[plan.weights]
    step = dryrun.step(
        config, plan.method, batch_size=plan.batch_size, length=plan.length, rank=plan.rank,
        targets=plan.targets, trainable_layers=upper, checkpointing=plan.checkpointing,
        compute=compute, weights=plan.weights, eager=not cuda, loss_share=plan.loss_share,
    )  # fmt: skip
    each = (2 if quantised else 4) if with_adapter else 4
    parts = {
        "weights": float((whole - linear if quantised else whole) * width),
        "quantised": linear * NF4_BYTES if quantised else 0.0,
        "adapters": float(added * each),
        "optimiser": 2.0 * trainable * each,
        **step,
    }
    parts["fragmentation"] = sum(parts.values()) * SLACK + CUDA_BYTES if cuda else 0.0
    tokens = plan.batch_size * plan.length
    heads = inner.num_attention_heads
    size = getattr(inner, "head_dim", None) or inner.hidden_size // heads
    attention = 4 * plan.length * heads * size / 2 * layers  # a token looks back at half of them
    head = inner.vocab_size * out * plan.loss_share
    forward = 2 * (linear + head + added) + attention
    moving = added if with_adapter else linear * upper / layers + head
    backward = (forward * upper / layers) + 2 * moving + attention * upper / layers
    again = forward * upper / layers if plan.checkpointing else 0
    return parts, whole + added, trainable, tokens * (forward + backward + again)


@functools.lru_cache(maxsize=32)
def _shapes(text: str) -> tuple[int, int, int, list[tuple[str, int, int]], int]:
    """Return parameters: all, in inner linear layers, outside the layers; the layers; the width."""
    import torch

    model = dryrun.build(dryrun.read(json.loads(text)))
    head = model.get_output_embeddings()
    linear = [
        (name.split(".")[-1], module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    whole = sum(p.numel() for p in model.parameters())
    blocks = getattr(getattr(model, "model", None), "layers", None) or []
    inside = sum(p.numel() for p in blocks.parameters()) if blocks else 0
    return whole, sum(a * b for _, a, b in linear), whole - inside, linear, head.in_features


@functools.lru_cache(maxsize=8)
def _rate(device: str, compute: str) -> float:
    """Time a matrix product here; return FLOP/s."""
    import torch

    size = 4096 if device == "cuda" else 512
    left = torch.ones(size, size, dtype=getattr(torch, compute), device=device)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        (left @ left)[0, 0].item()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
