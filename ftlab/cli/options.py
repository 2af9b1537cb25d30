"""Options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="A shipped name, a folder, or a hub id.")]
Seed = Annotated[int, typer.Option(help="Of the data, the training and the bootstrap.")]
Track = Annotated[
    bool, typer.Option("--track", help="Record in MLflow: by default in runs/mlflow.db.")
]
TrackingUri = Annotated[
    str | None,
    typer.Option(metavar="URI", help="Record there: any tracking URI; else MLFLOW_TRACKING_URI."),
]
