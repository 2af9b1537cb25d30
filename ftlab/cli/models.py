"""Commands about models: profile, estimate, train, merge."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ftlab.cli.options import (
    FrozenLayers,
    GradientCheckpointing,
    Records,
    Seed,
)
from ftlab.errors import ConfigError, DataError, ModelError


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (profile, estimate, train, merge):
        app.command()(command)


def profile(
    refresh: Annotated[bool, typer.Option(help="Time the processor again.")] = False,
) -> None:
    """Show what this machine can do, and why ftlab chose as it did."""
    from rich.console import Console

    from ftlab.hardware import profile as find

    Console().print(find(refresh=refresh))


def estimate(
    length: Annotated[int, typer.Option("--seq", min=2, help="Tokens in a record.")],
    batch_size: Annotated[int, typer.Option("--batch", min=1, help="Records in a step.")],
    model: Annotated[
        str, typer.Option(help="A shipped name, a folder, a config.json or a hub id.")
    ] = "ftlab-7m",
    method: Annotated[
        str, typer.Option(help="full, frozen, lora, rslora, dora or qlora.")
    ] = "full",
    gpu: Annotated[
        str | None, typer.Option(help="T4, L4, A10G, A100-40, A100-80, H100; else this machine.")
    ] = None,
    records: Annotated[int | None, typer.Option(min=1, help="For time and money.")] = None,
    epochs: float = 3,
    rank: Annotated[int, typer.Option(min=1, help="Of an adapter's matrices.")] = 32,
    frozen_layers: FrozenLayers = None,
    gradient_accumulation: Annotated[
        int, typer.Option(min=1, help="Compute a batch in so many parts.")
    ] = 1,
    gradient_checkpointing: GradientCheckpointing = False,
    weights: Annotated[str, typer.Option(help="What the weights are held in.")] = "float32",
    loss_share: Annotated[float, typer.Option(help="Part of the tokens that carry loss.")] = 1.0,
    table: Annotated[Path | None, typer.Option(help="GPUs and prices of yours, as JSON.")] = None,
) -> None:
    """Predict a fine-tune's memory, time and cost; no weights are read."""
    from ftlab.training import estimate as room
    from ftlab.training.gpus import table as read_table

    gpus = read_table(table)
    print(
        room.estimate(
            model, method, length=length, batch_size=batch_size, gpu=gpu, records=records,
            epochs=epochs, gpus=gpus, rank=rank, frozen_layers=frozen_layers, weights=weights,
            gradient_accumulation=gradient_accumulation,
            gradient_checkpointing=gradient_checkpointing, loss_share=loss_share,
        )
    )  # fmt: skip
    if gpu and records:
        print(f"Prices are examples of {gpus.date}; give yours with --table.")


def train(
    data: Records,
    out: Annotated[Path, typer.Option(help="New folder for the tuned model.")],
    model: Annotated[
        str | None,
        typer.Option(help="A shipped name, a folder, or a hub id.", show_default="ftlab-7m"),
    ] = None,
    continue_from: Annotated[
        Path | None,
        typer.Option(help="Instead of a model: the folder of an earlier round, to go on from."),
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Records of earlier rounds, as JSONL, to mix in.")
    ] = None,
    replay_share: Annotated[
        float | None, typer.Option(help="Their part of all records.", show_default="0.2")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="full, frozen, lora, rslora, dora or qlora.", show_default="full"),
    ] = None,
    rank: Annotated[
        int | None, typer.Option(min=1, help="Of an adapter's matrices.", show_default="32")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="An adapter's scale; else 2 × rank.")] = None,
    targets: Annotated[
        list[str] | None, typer.Option(help="A linear layer with an adapter; repeatable; else all.")
    ] = None,
    frozen_layers: FrozenLayers = None,
    epochs: float = 3,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Records per step, over all processes.")
    ] = 8,
    gradient_accumulation: Annotated[
        int, typer.Option(min=1, help="Compute a batch in so many parts: less memory, same result.")
    ] = 1,
    gradient_checkpointing: GradientCheckpointing = False,
    activation_offloading: Annotated[
        bool, typer.Option("--activation-offloading", help="Activations wait outside the GPU.")
    ] = False,
    packing: Annotated[
        bool, typer.Option("--packing", help="A batch's records end to end, without padding.")
    ] = False,
    learning_rate: float | None = None,
    eval_data: Annotated[Path | None, typer.Option(help="Held-out records, as JSONL.")] = None,
    early_stopping: Annotated[
        int | None,
        typer.Option(min=1, help="End after so many epochs without a lower held-out loss."),
    ] = None,
    save_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints; else ten minutes.")
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Leave so many of the newest checkpoints in OUT-checkpoints."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Fine-tune a model on your records; the same command goes on with a run that was stopped."""
    import shutil

    from rich.console import Console

    from ftlab import models as rooms
    from ftlab import records
    from ftlab.demo import every
    from ftlab.training import processes, rounds, sft, survival

    if continue_from and model:
        raise ConfigError("Give --model to start from a base, or --continue-from, not both.")
    if (replay and not continue_from) or (replay_share is not None and not replay):
        raise ConfigError(
            "--replay-share wants --replay OLD.jsonl, and that wants --continue-from FOLDER: what "
            "is replayed is what the folder's model learned before."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder. Choose another with --out.")
    side = Path(f"{out}-checkpoints")
    processes.join()
    console = Console(quiet=not processes.first())
    rows = records.read(data)
    held_out = records.read(eval_data) if eval_data else None
    settings: dict[str, Any] = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed,
        "eval_records": held_out, "on_step": every(10, console), "alpha": alpha,
        "frozen_layers": frozen_layers, "on_start": console.print, "checkpoints": side,
        "save_every": save_every, "keep": keep or 2, "early_stopping": early_stopping,
        "gradient_accumulation": gradient_accumulation, "packing": packing,
        "gradient_checkpointing": gradient_checkpointing,
        "activation_offloading": activation_offloading,
    }  # fmt: skip
    if continue_from:
        run = rounds.train(
            continue_from, rows, replay=records.read(replay) if replay else None,
            share=rounds.SHARE if replay_share is None else replay_share,
            method=method, rank=rank, targets=targets, **settings,
        )  # fmt: skip
    else:
        base, tokenizer = rooms.load(model or "ftlab-7m", bits=4 if method == "qlora" else None)
        run = sft.train(
            base, tokenizer, rows, method=method or "full", rank=rank or 32,
            targets=targets or "all-linear", **settings,
        )  # fmt: skip
    run.save(out)
    if keep is None and processes.first():
        shutil.rmtree(side, ignore_errors=True)
    if run.evals:
        console.print(survival.remark(run))
    loss = "" if run.eval_loss is None else f"; held-out loss {run.eval_loss:.3f}"
    console.print(
        f"Trained {run.trainable:,} of {run.parameters:,} parameters in {run.seconds:.0f} s{loss}. "
        f"Saved in {out}."
    )
    processes.leave()


def merge(
    adapter: Annotated[Path, typer.Argument(help="The folder of an adapter.")],
    out: Annotated[Path, typer.Option(help="New folder for the merged model.")],
) -> None:
    """Fold an adapter into its base, check that nothing changed, and save a plain model."""
    from ftlab import models as rooms
    from ftlab.training import adapters, folder

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder. Choose another with --out.")
    model, tokenizer = rooms.load(adapter)
    merged, agreement = adapters.merge(model, tokenizer)
    print(f"Merged against unmerged: {agreement}.")
    if not agreement:
        raise ModelError(f"The merged model is not the same model, so {out} was not written.")
    told = folder.summary_of(adapter)
    check = {"adapter": adapter.resolve().name, "check": str(agreement)}
    told["about"] = told.get("about", {}) | {"merged": check}
    folder.save(out, merged, tokenizer, told)
    print(f"Saved in {out}.")
