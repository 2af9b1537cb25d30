"""What a fine-tuning job costs at a provider who charges by the token, before the file leaves.

    total = tokens of the rows × epochs + tokens of the validation rows
    money = total / 1,000,000 × price

The prices are in `data/hosted_prices.yaml`, each with the address of its page and the day on which
it was read; `table` reads yours. The tokens are those of a tokenizer here. A provider's model may
have another one, so take the result for a rough one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.files import read_table

__all__ = ["Hosted", "Prices", "hosted", "table"]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    provider: str
    source: str = Field(pattern="^https://")
    seen: date


class Job(_Row):
    """What a provider asks for training."""

    models: str
    per_million: float = Field(ge=0, allow_inf_nan=False)
    counts: str = ""


class Serving(_Row):
    """What a provider asks for answers: by the token, or by the hour."""

    what: str
    per_million: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    per_hour: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Prices(BaseModel):
    """A table of prices, as a YAML file holds it."""

    model_config = ConfigDict(extra="forbid")
    currency: str = "USD"
    jobs: list[Job] = Field(min_length=1)
    serving: list[Serving] = []


def table(path: str | os.PathLike[str] | None = None) -> Prices:
    """Read a table of prices; without a path, the one that ships.

    Raises:
        DataError: the file cannot be read, or is no such table; every fault is listed.
    """
    return read_table(path, "hosted_prices.yaml", Prices, what="table of prices")


@dataclass(frozen=True)
class Hosted:
    """What a job takes at a provider."""

    rows: int
    tokens: int
    """Of the training rows, once."""
    learned: int
    """Of them, those that carry loss."""
    longest: int
    validation: int
    """Tokens of the validation rows."""
    epochs: int
    prices: Prices

    @property
    def total(self) -> int:
        """Tokens that are charged."""
        return self.tokens * self.epochs + self.validation

    def cost(self, job: Job) -> float:
        """Return the money that a provider asks."""
        return self.total / 1e6 * job.per_million

    def __str__(self) -> str:
        lines = [
            f"{self.rows:,} rows, {self.tokens:,} tokens ({self.learned:,} with loss), the longest "
            f"{self.longest:,}",
            f"{self.epochs} epochs and {self.validation:,} tokens of validation: {self.total:,} "
            "tokens are charged",
        ]
        for job in self.prices.jobs:
            money = f"{self.cost(job):.4f}" if self.cost(job) < 0.1 else f"{self.cost(job):,.2f}"
            lines.append(f"{job.provider}, {job.models}: {money} {self.prices.currency}")
            lines.append(f"  {job.per_million:,.2f} a million, {job.source}, read {job.seen}")
        lines.append("A provider counts with its own tokenizer, and may ask a least sum.")
        return "\n".join(lines)


def hosted(
    rows: Sequence[data.Row],
    tokenizer: Any,
    *,
    epochs: int = 3,
    validation: Sequence[data.Row] = (),
    prices: Prices | None = None,
) -> Hosted:
    """Count what a provider would charge for tuning on these rows.

    Args:
        rows: the training rows.
        tokenizer: with a chat template; the nearer to the provider's model, the better.
        epochs: passes over the rows.
        validation: rows that are read once.
        prices: a table; by default the one that ships.

    Raises:
        ConfigError: there are no rows, or epochs is below 1.
        DataError: the template refuses a row.
    """
    from ftlab.templates import encode

    if not rows or epochs < 1:
        raise ConfigError(f"{len(rows)} rows and epochs={epochs}: at least one of each is wanted.")
    seen = [encode(tokenizer, row) for row in rows]
    sizes = [len(row.input_ids) for row in seen]
    return Hosted(
        rows=len(rows), tokens=sum(sizes), learned=sum(sum(row.loss_mask) for row in seen),
        longest=max(sizes), validation=sum(len(encode(tokenizer, r).input_ids) for r in validation),
        epochs=epochs, prices=prices or table(),
    )  # fmt: skip
