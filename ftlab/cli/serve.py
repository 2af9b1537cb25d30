"""The command that runs the fine-tuning service: serve."""

from pathlib import Path
from typing import Annotated

import typer

from ftlab.cli.options import Model


def serve(
    host: Annotated[str, typer.Option(help="Others are let in only with a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    data: Annotated[Path, typer.Option(help="Folder of files, jobs and models.")] = Path(
        "runs/service"
    ),
    api_key: Annotated[
        list[str] | None,
        typer.Option(envvar="FTLAB_API_KEY", help="One per user; each sees only its own."),
    ] = None,
    model: Model = "smollm2-135m",
    worker: Annotated[
        bool, typer.Option(help="Start the process that trains; its command is printed.")
    ] = True,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute for each key.")] = 1200,
) -> None:
    """Serve fine-tuning jobs and chat to the openai client: files, jobs, models, completions."""
    from ftlab.serving.app import Limits
    from ftlab.serving.server import run

    run(
        data, host=host, port=port, keys=api_key or (), model=model, worker=worker,
        limits=Limits(requests=rate),
    )  # fmt: skip
