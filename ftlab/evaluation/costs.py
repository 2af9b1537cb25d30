"""What an answer costs: tokens in and out, seconds, and money at a price table you can edit.

Money per 1,000 answers, by the token: 1000 * (tokens in * input price + tokens out * output price)
/ 1,000,000; by the hour: 1000 * seconds per answer * hourly price / 3600. The table `prices.json`
holds examples; `ftlab compare --prices FILE` takes yours. A key of `per_million_tokens` is a
system's name, a model's name, or its kind, "base" or "tuned"; the first that is found counts.

>>> sorted(prices().per_million_tokens)
['base', 'tuned']
"""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ftlab.evaluation.systems import Answers, System
from ftlab.files import read_json


class TokenPrice(BaseModel):
    """What a million tokens cost."""

    model_config = ConfigDict(extra="forbid")
    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)


class Prices(BaseModel):
    """A price table, as a JSON file holds it."""

    model_config = ConfigDict(extra="forbid")
    date: date  # when the prices were looked up
    note: str = ""
    currency: str = "USD"
    per_million_tokens: dict[str, TokenPrice] = {}
    machine_per_hour: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def of(self, system: System) -> TokenPrice | None:
        """Return the system's price by the token: by its name, its model, or its kind."""
        keys = (system.name, system.model or "", system.kind)
        return next(filter(None, map(self.per_million_tokens.get, keys)), None)


def prices(path: str | os.PathLike[str] | None = None) -> Prices:
    """Read a price table; without a path, the one with the examples.

    Raises:
        DataError: the file cannot be read, or is no price table; every fault is listed.
    """
    path = Path(path) if path else Path(__file__).with_name("prices.json")
    return read_json(
        path, Prices, what="price table",
        advice="Copy ftlab/evaluation/prices.json and change the figures.",
    )  # fmt: skip


def costs(answers: Mapping[str, Answers], table: Prices) -> dict[str, dict[str, Any]]:
    """Return what an answer of each system takes, on average, at the prices of a table.

    Returns:
        System -> `tokens_in` and `tokens_out` (per answer; None without a language model),
        `seconds` (per answer, in batches), `by_token` and `by_hour` (money per 1,000 answers; None
        where the table has no price).
    """
    found: dict[str, dict[str, Any]] = {}
    for name, given in answers.items():
        n, price, hour = len(given.texts), table.of(given.system), table.machine_per_hour
        into, out = (None if tokens is None else sum(tokens) / n
                     for tokens in (given.tokens_in, given.tokens_out))  # fmt: skip
        by_token = None
        if price and into is not None and out is not None:
            by_token = (into * price.input + out * price.output) / 1000
        seconds = given.seconds / n
        found[name] = {
            "tokens_in": into, "tokens_out": out, "seconds": seconds, "by_token": by_token,
            "by_hour": None if hour is None else seconds * hour / 3.6,
        }  # fmt: skip
    return found
