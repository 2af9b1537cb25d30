"""Options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="A shipped name, a folder, or a hub id.")]
Seed = Annotated[int, typer.Option(help="Of the data, the training and the bootstrap.")]
