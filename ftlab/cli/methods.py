"""The command that trains one model by every method: methods."""

from pathlib import Path
from typing import Annotated

import typer

from ftlab.cli.options import HeldOut, MaxNewTokens, Model, Seed

__all__ = ["methods"]


def methods(
    task: Annotated[str, typer.Option(help="What is taught, and how it is marked.")],
    out: Annotated[Path, typer.Option(help="Folder for the table, the pictures and the models.")],
    model: Model = "ftlab-7m",
    method: Annotated[
        list[str] | None,
        typer.Option(help="full, frozen, lora, rslora, dora, qlora; may be repeated; else all."),
    ] = None,
    examples: Annotated[
        int | None, typer.Option(min=1, help="Records to learn from; else by this machine's speed.")
    ] = None,
    held_out: Annotated[int, typer.Option(min=1, help="Records to be marked on.")] = 200,
    train: Annotated[Path | None, typer.Option(help="Your JSONL; else the task's own.")] = None,
    data: HeldOut = None,
    epochs: float = 2,
    batch_size: int = 8,
    rank: Annotated[int, typer.Option(min=1, help="Of an adapter's matrices.")] = 32,
    rate: Annotated[
        float, typer.Option(help="Times each method's own rate; larger models want about 0.1.")
    ] = 1.0,
    max_new_tokens: MaxNewTokens = 256,
    seed: Seed = 0,
) -> None:
    """Train a model by every method on the same records; write one table and two pictures."""
    from rich.console import Console
    from rich.markup import escape

    from ftlab import records, tasks
    from ftlab.evaluation import side_by_side as room
    from ftlab.hardware import profile
    from ftlab.teaching import plots_methods
    from ftlab.training.methods import METHODS

    console = Console()
    wanted = tasks.get(task)
    learned = records.read(train) if train else None
    found = room.side_by_side(
        wanted, model,
        learned or wanted.examples(examples or profile().records, seed),
        records.read(data) if data else wanted.examples(held_out, seed, split="test"),
        out, methods=method or METHODS, epochs=epochs, batch_size=batch_size, rank=rank, rate=rate,
        seed=seed, max_new_tokens=max_new_tokens,
        say=lambda line: console.print(escape(line), highlight=False),
    )  # fmt: skip
    plots_methods.overview(found).save(out / "methods.png", overwrite=True)
    plots_methods.layers(found).save(out / "layers.png", overwrite=True)
    console.print(room.table(found))
    console.print(found["sentence"], style="bold", markup=False)
    console.print(f"Table and pictures: {out / 'methods.md'}", markup=False)
