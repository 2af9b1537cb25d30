"""Commands about models: profile, estimate, merge."""

from pathlib import Path
from typing import Annotated

import typer

from ftlab.errors import ConfigError, DataError, ModelError


def profile(
    refresh: Annotated[bool, typer.Option(help="Time the processor again.")] = False,
) -> None:
    """Show what this machine can do, and why ftlab chose as it did."""
    from rich.console import Console

    from ftlab.hardware import profile as find

    Console().print(find(refresh=refresh))


def estimate(
    length: Annotated[int | None, typer.Option("--seq", min=2, help="Tokens in a record.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch", min=1, help="Records in a step.")
    ] = None,
    hosted: Annotated[
        Path | None,
        typer.Option(help="Instead: what tuning on this file costs at providers, by the token."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A shipped name, a folder, a config.json or a hub id.")
    ] = "smollm2-135m",
    method: Annotated[str, typer.Option(help="full, lora or qlora.")] = "full",
    gpu: Annotated[
        str | None, typer.Option(help="T4, L4, A10G, A100-40, A100-80, H100; else this machine.")
    ] = None,
    records: Annotated[int | None, typer.Option(min=1, help="For time and money.")] = None,
    epochs: float = 3,
    rank: Annotated[int, typer.Option(min=1, help="Of an adapter's matrices.")] = 32,
    gradient_accumulation: Annotated[
        int, typer.Option(min=1, help="Compute a batch in so many parts.")
    ] = 1,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time, same result.")
    ] = False,
    weights: Annotated[str, typer.Option(help="What the weights are held in.")] = "float32",
    loss_share: Annotated[float, typer.Option(help="Part of the tokens that carry loss.")] = 1.0,
    table: Annotated[
        Path | None,
        typer.Option(help="Prices of yours: of GPUs as JSON, of providers (--hosted) as YAML."),
    ] = None,
) -> None:
    """Predict a fine-tune's memory, time and cost, here or at a provider; no weights are read."""
    from ftlab.training import estimate as room
    from ftlab.training.gpus import table as read_table

    if hosted:
        from ftlab import models
        from ftlab.data import read
        from ftlab.training import hosted as provider

        prices = provider.table(table)
        rows, tokenizer = read(hosted), models.tokenizer(model)
        print(provider.hosted(rows, tokenizer, epochs=round(epochs), prices=prices))
        return
    if length is None or batch_size is None:
        raise ConfigError("--seq and --batch are wanted, or --hosted FILE.")
    gpus = read_table(table)
    print(
        room.estimate(
            model, method, length=length, batch_size=batch_size, gpu=gpu, records=records,
            epochs=epochs, gpus=gpus, rank=rank, weights=weights,
            gradient_accumulation=gradient_accumulation,
            gradient_checkpointing=gradient_checkpointing, loss_share=loss_share,
        )
    )  # fmt: skip
    if gpu and records:
        print(f"Prices are examples of {gpus.date}; give yours with --table.")


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
    adapters.check_saved(out, merged, tokenizer("Count from one to ten:")["input_ids"])
    print(f"Saved in {out}, loaded again and compared: the same.")
