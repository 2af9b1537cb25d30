"""What a training run made, what it cost, and what its losses show."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab.training.folder import save

__all__ = ["Run", "best", "remark"]

RISE = 0.02  # of the held-out loss over its lowest: more than the last digits, less than a flaw


@dataclass(frozen=True)
class Run:
    """What a training run made and what it cost."""

    model: Any
    tokenizer: Any
    settings: dict[str, Any]
    history: list[dict[str, float]]  # step, loss (nats per supervised token), learning_rate
    steps: int
    seconds: float
    parameters: int
    trainable: int
    supervised_tokens: int  # over all epochs
    total_tokens: int  # over all epochs, without padding
    eval_loss: float | None = None
    evals: list[dict[str, float]] = field(default_factory=list)

    def save(self, folder: str | Path) -> Path:
        """Write weights (or adapter), tokenizer, `training.json` and model card to `folder`.

        Raises:
            DataError: the folder exists and is not empty, or cannot be written.
        """
        return save(folder, self.model, self.tokenizer, self.summary())

    def summary(self) -> dict[str, Any]:
        """Return everything but the model, ready for JSON."""
        return {k: v for k, v in self.__dict__.items() if k not in ("model", "tokenizer")}


def best(evals: list[dict[str, float]]) -> int:
    """Return the step of the lowest held-out loss, the first if there are several.

    >>> best([{"step": 10, "eval_loss": 2.0}, {"step": 20, "eval_loss": 1.5}])
    20
    """
    return int(min(evals, key=lambda e: (_number(e["eval_loss"]), e["step"]))["step"])


def _number(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss


def remark(run: Run) -> str:
    """Say in words what the losses show: learned by heart, still learning, or level.

    Args:
        run: its `evals` are read, and its `history` for the training loss at the same steps.

    Returns:
        One or two sentences.
    """
    evals = run.evals
    if not evals:
        return (
            "No held-out loss was measured, so overfitting cannot be seen. Give eval_records that "
            "are not trained on."
        )
    if len(evals) == 1:
        return f"The held-out loss was {evals[0]['eval_loss']:.3f}; one value shows no trend."
    low = next(e for e in evals if e["step"] == best(evals))
    last, low_loss = evals[-1]["eval_loss"], low["eval_loss"]
    if last > low_loss * (1 + RISE):
        length = evals[0]["step"]
        before, after = (_level(run.history, e["step"], length) for e in (low, evals[-1]))
        told = f"from {low_loss:.3f} at step {low['step']:.0f} to {last:.3f} at the end"
        if after < before:
            return (
                f"Overfitting: the held-out loss rose {told}, while the training loss fell from "
                f"{before:.3f} to {after:.3f}; what was learned after step {low['step']:.0f} is "
                "these records by heart. early_stopping=1 keeps the best weights; more records, "
                "fewer epochs or a lower rate help further."
            )
        return (
            f"The held-out loss rose {told}, and the training loss rose too ({before:.3f} to "
            f"{after:.3f}): this is not overfitting but a rate that is too high. Lower it."
        )
    if evals[-1] is low and last < evals[-2]["eval_loss"] * (1 - RISE):
        return (
            f"The held-out loss still fell at the end ({evals[-2]['eval_loss']:.3f} to "
            f"{last:.3f}): more epochs may help."
        )
    return (
        f"The held-out loss is level ({low_loss:.3f} at its lowest, {last:.3f} at the end): more "
        "epochs would gain little."
    )


def _level(history: list[dict[str, float]], step: float, length: float) -> float:
    """Return the mean training loss over the `length` steps that end at `step`."""
    losses = [h["loss"] for h in history if step - length < h["step"] <= step]
    return sum(losses) / len(losses) if losses else math.nan
