"""What a run says of its memory and time: a line before the first step, and three ways out.

Both use `ftlab.training.estimate`, which takes about a second. A run never fails because it could
not be predicted.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ftlab.errors import FtlabError
from ftlab.training import methods
from ftlab.training.estimate import Estimate, Plan, cheaper, estimate, size_text, time_text

__all__ = ["before", "instead", "plan_of"]


def plan_of(
    model: Any,
    rows: list[dict],
    settings: dict[str, Any],
    targets: str | Sequence[str],
    frozen_layers: int | None,
) -> Plan:
    """Return the plan of a run's largest step: a batch of its longest records.

    Args:
        model: the model, with or without its adapter.
        rows: `input_ids` and `labels`, as the trainer sees them.
        settings: of the run.
        targets: the linear layers with an adapter.
        frozen_layers: how many of the lowest layers "frozen" keeps.
    """
    parts = settings["gradient_accumulation"]
    size = settings["batch_size"] // settings["processes"]
    longest = sorted(rows, key=lambda row: len(row["input_ids"]))[-size:]
    length = max(2, len(longest[-1]["input_ids"]))
    counted = sum(label != -100 for row in longest for label in row["labels"])
    adapted = settings["method"] in methods.ADAPTERS
    held = str(model.get_input_embeddings().weight.dtype).removeprefix("torch.")
    return Plan(
        method=settings["method"],
        length=length,
        batch_size=size,
        gradient_accumulation=parts,
        rank=settings["rank"] or 32,
        targets=targets,
        frozen_layers=frozen_layers,
        gradient_checkpointing=settings["gradient_checkpointing"],
        weights=held if adapted else "float32",
        loss_share=min(1.0, counted / (len(longest) * (length - 1))),
    )


def _estimate(config: Any, plan: Plan) -> Estimate:
    return estimate(config, **asdict(plan))


def before(config: Any, plan: Plan, tokens: float) -> str:
    """Say what a run will take.

    Args:
        config: the model's.
        plan: of the largest step.
        tokens: of the whole run, without padding.
    """
    try:
        made = _estimate(config, plan)
    except FtlabError as error:
        return f"its memory cannot be predicted: {error}"
    parts = sorted(made.parts.items(), key=lambda part: -part[1])[:3]
    most = ", ".join(f"{name} {size_text(size)}" for name, size in parts)
    room = f" of {size_text(made.capacity)}" if made.capacity else ""
    seconds = made.step_seconds * tokens / (plan.batch_size * plan.length)
    told = (
        f"predicted: {size_text(made.total)}{room} ({most}), about {time_text(seconds)} (roughly: "
        "the first steps tell better)"
    )
    if made.fits is False:
        told += f"\nThis may be too much memory. {instead(config, plan)}"
    return told


def instead(config: Any, plan: Plan) -> str:
    """Name the three changes that cost least in what is learned, each with its memory."""
    changes = cheaper(plan)[:3]
    try:
        now = f" (now {size_text(_estimate(config, plan).total)} are predicted)"
        told = [f"{what}: {size_text(_estimate(config, other).total)}" for what, other in changes]
    except FtlabError:
        now, told = "", [what for what, _ in changes]
    numbered = "; ".join(f"({n}) {change}" for n, change in enumerate(told, 1))
    return f"What saves memory at the least cost{now}: {numbered}; or a smaller base model."
