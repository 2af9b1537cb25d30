"""The command that fine-tunes: train."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ftlab.cli.options import Model, Seed
from ftlab.errors import ConfigError


def train(
    file: Annotated[Path, typer.Argument(help="Rows to learn, as JSONL.")],
    out: Annotated[Path, typer.Option(help="New folder for the tuned model.")],
    model: Model = "smollm2-135m",
    method: Annotated[str, typer.Option(help="full, lora or qlora.")] = "lora",
    epochs: Annotated[float, typer.Option(help="Passes over the rows.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows in a step of one process.")] = 8,
    learning_rate: Annotated[
        float | None, typer.Option(help="The peak; else the usual one for method and size.")
    ] = None,
    rank: Annotated[int, typer.Option(min=1, help="Of an adapter's matrices.")] = 16,
    layers: Annotated[str, typer.Option(help="all, or upper-half: adapters there alone.")] = "all",
    eval_file: Annotated[
        Path | None, typer.Option("--eval", help="Rows to measure the loss on, as JSONL.")
    ] = None,
    gradient_accumulation: Annotated[
        int, typer.Option(min=1, help="Batches in a step: less memory at a time.")
    ] = 1,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
) -> None:
    """Fine-tune a model on your rows; several GPUs by `accelerate launch -m ftlab.cli train …`."""
    from ftlab import data
    from ftlab.training.finetune import finetune

    if epochs <= 0:
        raise ConfigError(f"--epochs {epochs:g}: more than 0 is wanted.")
    try:
        summary = finetune(
            data.read(file), out, model=model, method=method, epochs=epochs, batch_size=batch_size,
            learning_rate=learning_rate, rank=rank, layers=layers, seed=seed, resume=resume,
            eval_rows=data.read(eval_file) if eval_file else None,
            gradient_accumulation_steps=gradient_accumulation,
        )  # fmt: skip
    except KeyboardInterrupt:
        print("Stopped. The same command with --resume goes on from the newest checkpoint.")
        raise typer.Exit(130) from None
    if os.environ.get("RANK", "0") != "0":  # one of several processes speaks
        return
    held_out = summary["eval_loss"]
    print(
        f"Trained {summary['trainable']:,} of {summary['parameters']:,} parameters in "
        f"{summary['seconds']:.0f} s{'' if held_out is None else f'; held-out loss {held_out:.3f}'}"
        f". Saved in {out}."
    )
