"""What a training run made and what it cost."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab.training import processes
from ftlab.training.folder import save

__all__ = ["Run"]


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
    about: dict[str, Any] = field(default_factory=dict)  # where it comes from: see `rounds`
    gathered: dict[str, Any] | None = None  # weights, where each process holds a part of the model

    def save(self, folder: str | Path) -> Path:
        """Write weights (or adapter), tokenizer, `training.json` and model card to `folder`.

        Where several processes share the run, all of them call this, and the first one writes.

        Raises:
            DataError: the folder exists and is not empty, or cannot be written.
        """
        return processes.by_first(
            lambda: save(folder, self.model, self.tokenizer, self.summary(), self.gathered)
        )

    def summary(self) -> dict[str, Any]:
        """Return everything but the model, ready for JSON."""
        left_out = ("model", "tokenizer", "gathered")
        return {k: v for k, v in self.__dict__.items() if k not in left_out}
