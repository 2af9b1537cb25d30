"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="A shipped name, a folder, or a hub id.")]
Records = Annotated[Path, typer.Argument(help="Records, as JSONL.")]
HeldOut = Annotated[Path | None, typer.Option(help="Held-out JSONL; else the task's own.")]
MaxNewTokens = Annotated[int, typer.Option(min=1)]
Seed = Annotated[int, typer.Option(help="Of the data, the training and the bootstrap.")]
