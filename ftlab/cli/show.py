"""`ftlab show`: one row as the model sees it."""

import json
from typing import Annotated

import typer

from ftlab.cli.options import Model, Records
from ftlab.errors import DataError

__all__ = ["show"]


def show(
    file: Records,
    model: Model = "smollm2-135m",
    record: Annotated[int, typer.Option(min=1, help="Which record, from 1.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Token ids and mask as JSON.")] = False,
) -> None:
    """Show one record as the model sees it: rendered, in tokens, with its loss mask."""
    from rich.console import Console

    from ftlab import data, models
    from ftlab.templates import encode, problems, show_mask

    rows = data.read(file)
    if record > len(rows):
        raise DataError(f"{file} has {len(rows)} records; number {record} was asked for.")
    tokenizer, row = models.tokenizer(model), rows[record - 1]
    encoded = encode(tokenizer, row)
    if as_json:
        print(json.dumps({"input_ids": encoded.input_ids, "loss_mask": encoded.loss_mask}))
        return
    console = Console(highlight=False)
    console.print(show_mask(tokenizer, encoded))
    known = problems(tokenizer)
    for line in problems(tokenizer, row):
        if line not in known:  # the doctor tells what is the tokenizer's own
            console.print(line, style="yellow", markup=False)
