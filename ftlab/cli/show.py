"""`ftlab show`: one row as the model sees it."""

import json
from typing import Annotated

import typer

from ftlab.cli.options import Model, Records
from ftlab.errors import DataError

__all__ = ["show"]


def show(
    data: Records,
    model: Model = "smollm2-135m",
    record: Annotated[int, typer.Option(min=1, help="Which record, from 1.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Token ids and mask as JSON.")] = False,
) -> None:
    """Show one record as the model sees it: rendered, in tokens, with its loss mask."""
    from rich.console import Console

    from ftlab import models, records
    from ftlab.templates import encode, show_mask

    rows = records.read(data)
    if record > len(rows):
        raise DataError(f"{data} has {len(rows)} records; number {record} was asked for.")
    tokenizer = models.tokenizer(model)
    encoded = encode(tokenizer, rows[record - 1])
    if as_json:
        print(json.dumps({"input_ids": encoded.input_ids, "loss_mask": encoded.loss_mask}))
    else:
        Console().print(show_mask(tokenizer, encoded))
