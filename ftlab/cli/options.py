"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Model = Annotated[str, Option(help="A shipped name, a folder, or a hub id.")]
Records = Annotated[Path, Argument(help="Records, as JSONL.")]
HeldOut = Annotated[Path | None, Option(help="Held-out JSONL; else the task's own.")]
MaxNewTokens = Annotated[int, Option(min=1)]
Seed = Annotated[int, Option(help="Of the data, the training and the bootstrap.")]
