"""What answers cost: a price table, for which `data/prices.json` holds examples that you can edit.

Money per 1,000 answers, by the token: 1000 * (tokens in * input price + tokens out * output price)
/ 1,000,000; by the hour: 1000 * seconds per answer * hourly price / 3600.

>>> sorted(prices().per_million_tokens)
['base', 'tuned']
"""

import os
from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from ftlab.files import read_table


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


def prices(path: str | os.PathLike[str] | None = None) -> Prices:
    """Read a price table; without a path, the one with the examples.

    Raises:
        DataError: the file cannot be read, or is no price table; every fault is listed.
    """
    return read_table(path, "prices.json", Prices, what="price table")
