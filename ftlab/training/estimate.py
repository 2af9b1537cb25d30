"""What a fine-tune takes before it is run: memory by part, time, money, and what makes it fit.

With P weights, of which P_t move, and b bytes for each (4 in float32, 2 in half precision):

| part | bytes | source |
|---|---|---|
| weights | b P | |
| quantised | (4 + 8/64 + 32/(64·256)) / 8 = 0.516 a weight, in NF4 | Dettmers et al. 2023 |
| adapters | b r (in + out) a layer; b is 2 for QLoRA in bf16, else 4 | Hu et al. 2021 |
| gradients | b P_t; at the loss there are none yet | Rajbhandari et al. 2019 |
| optimiser | 2 b P_t: the two moments of AdamW | Loshchilov and Hutter 2017 |
| activations | what autograd keeps, about 16 to 34 numbers a token, layer and unit of width, and \
heads × tokens more where attention is not fused; counted by `ftlab.training.dryrun` | \
Korthikanti et al. 2022 |
| casts | 2 a weight that mixed precision holds in half precision too | Micikevicius et al. 2017 |
| logits | tokens with loss × vocabulary × (2 or 4 for the logits, 4 for each copy of the loss) | |
| fragmentation | on a GPU 4 % and 0.6 GB for CUDA itself: an allowance, not a law | |

The parts are those at the peak, which comes at the loss (many activations) or at the last gradient
(many weights). On a CPU they are torch's tensors; Python and its libraries come on top.

The backward pass costs two forward passes (Kaplan et al. 2020), less what frozen weights need not:

    FLOPs a token = 2 P forward + 2 P to the inputs + 2 P_t to the weights + attention
    seconds       = FLOPs / (peak FLOP/s · the share of it that training reaches)

Checkpointing adds one more forward pass. The FLOPs are counted in the same step as the memory. The
share is measured for a CPU and an assumption for a GPU (`gpus.json`), so the time is a rough one.
No weights are read: any `config.json` that transformers can build will do.

>>> made = estimate("ftlab-1m", "lora", length=64, batch_size=8, gpu="T4")
>>> made.fits, made.plan.rank
(True, 32)
"""

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, DataError, ModelError, OfflineError, raise_unknown
from ftlab.files import read_text
from ftlab.training import dryrun
from ftlab.training.gpus import Table, matmul_rate, table
from ftlab.training.ledger import Step

__all__ = ["Estimate", "Plan", "cheaper", "config_of", "estimate"]

NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
CUDA_BYTES, SLACK = 0.6e9, 0.04
METHODS = ("full", "lora", "qlora")
DTYPES = ("float32", "bfloat16", "float16")


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
    reasons: dict[str, str]
    """How each part comes about."""
    parameters: int
    trainable: int
    step_flops: float
    step_seconds: float
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
        return None if self.steps is None else self.steps * self.step_seconds

    @property
    def cost(self) -> float | None:
        """Money for the whole run; None without a price."""
        known = self.seconds is not None and self.per_hour is not None
        return self.seconds / 3600 * self.per_hour if known else None  # type: ignore[operator]

    def __str__(self) -> str:
        lines = [f"{name:<14}{size_text(size):>10}   {self.reasons[name]}"
                 for name, size in self.parts.items() if size]  # fmt: skip
        verdict = f"{'together':<14}{size_text(self.total):>10}"
        if self.capacity is not None:
            fits = "fits" if self.fits else "does not fit"
            verdict += f"   {fits} {self.device} ({size_text(self.capacity)})"
        lines += [
            verdict, f"{self.trainable:,} of {self.parameters:,} parameters move",
            f"a step: {self.step_flops / 1e12:.3g} TFLOP, about {time_text(self.step_seconds)}",
        ]  # fmt: skip
        if self.steps is not None and self.seconds is not None:
            money = "" if self.cost is None else f", {self.cost:.2f} {self.currency}"
            lines.append(f"{self.steps:,} steps: about {time_text(self.seconds)}{money}")
        if self.fits is False:
            lines.append("What would make it fit, the cheapest first:")
            lines += [f"- {what}: {size_text(size)}" for what, size in self.changes]
            if not self.changes:
                lines.append("- nothing here: take a smaller model or a shorter record")
        return "\n".join(lines)


def size_text(size: float) -> str:
    """Return bytes in words.

    >>> size_text(2.5e9), size_text(3e6)
    ('2.50 GB', '3.0 MB')
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def time_text(seconds: float) -> str:
    """Return a time in words.

    >>> time_text(0.25), time_text(600), time_text(9000)
    ('0.25 s', '10 min', '2.5 h')
    """
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
        method: full, lora or qlora.
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
    gpus = gpus or table()
    if gpu is not None and gpu not in gpus.gpus:
        raise_unknown("GPU", gpu, gpus.gpus)
    text = json.dumps(config_of(model), sort_keys=True, default=str)
    per_hour = None
    if gpu is None:
        from ftlab.hardware import profile

        here = profile()
        name, compute, cuda = here.gpu or f"this {here.device}", here.dtype, here.device == "cuda"
        capacity = here.memory_gb * 1e9 or None
        rate = matmul_rate(here.device, compute) * gpus.share_of_matmul
    else:
        card = gpus.gpus[gpu]
        name, compute, cuda = gpu, card.dtype, True
        capacity, per_hour = card.memory_gb * 1e9, card.per_hour
        rate = card.tflops * 1e12 * gpus.share_of_peak
    step = _step(text, plan, compute, cuda)
    parts, reasons = _parts(step, plan, cuda)
    made = Estimate(
        plan=plan, device=name, capacity=capacity, parts=parts, reasons=reasons,
        parameters=step.parameters, trainable=step.trainable, step_flops=step.flops,
        step_seconds=step.flops / rate,
        steps=None if records is None else max(1, round(-(-records // batch_size) * epochs)),
        per_hour=per_hour, currency=gpus.currency,
    )  # fmt: skip
    if made.fits is not False:
        return made
    found = []
    for what, other in cheaper(plan):
        size = sum(_parts(_step(text, other, compute, cuda), other, cuda)[0].values())
        if size <= (capacity or 0):
            found.append((what, size))
        if len(found) == 3:
            return replace(made, changes=tuple(found))
    for other_name, card in sorted(gpus.gpus.items(), key=lambda pair: pair[1].per_hour):
        if card.memory_gb * 1e9 >= max(made.total, (capacity or 0) + 1):
            price = f"{card.per_hour:.2f} {gpus.currency} an hour"
            found.append((f"another GPU, {other_name}, {price}", made.total))
            break
    return replace(made, changes=tuple(found))


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


@functools.lru_cache(maxsize=512)
def _step(text: str, plan: Plan, compute: str, cuda: bool) -> Step:
    return dryrun.step(
        dryrun.read(json.loads(text)), plan.method, batch_size=plan.batch_size, length=plan.length,
        parts=plan.gradient_accumulation, compute=compute, weights=plan.weights, eager=not cuda,
        rank=plan.rank, checkpointing=plan.gradient_checkpointing, loss_share=plan.loss_share,
    )  # fmt: skip


def _parts(step: Step, plan: Plan, cuda: bool) -> tuple[dict[str, float], dict[str, str]]:
    """Return bytes by part, and how each comes about."""
    wide = round(step.trainable_bytes / step.trainable)
    at_once = plan.batch_size // plan.gradient_accumulation
    kept = "kept for backward"
    if plan.gradient_checkpointing:
        kept = "each layer's input, the rest made again"
    made = {
        "weights": (step.weights, f"the base, held in {plan.weights}"),
        "quantised": (
            step.quantised * NF4_BYTES, f"{NF4_BYTES:.3f} bytes × {step.quantised:,} weights in NF4"
        ),
        "adapters": (step.adapters, f"rank {plan.rank}"),
        "gradients": (
            step.peak["gradients"],
            f"{wide} bytes × {step.trainable:,} that move, as far as made at the peak",
        ),
        "optimiser": (2 * step.trainable_bytes, f"2 moments × {wide} bytes × {step.trainable:,}"),
        "activations": (step.peak["activations"], f"{at_once} × {plan.length} tokens: {kept}"),
        "casts": (step.peak["casts"], "weights once more, in half precision"),
        "logits": (
            step.peak["logits"], f"tokens that carry loss ({plan.loss_share:.0%}) × the vocabulary"
        ),
    }  # fmt: skip
    slack = sum(size for size, _ in made.values()) * SLACK + CUDA_BYTES if cuda else 0.0
    why = f"{SLACK:.0%} and {CUDA_BYTES / 1e9:.1f} GB for CUDA, an allowance"
    made["fragmentation"] = (slack, why)
    return {k: size for k, (size, _) in made.items()}, {k: why for k, (_, why) in made.items()}


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
