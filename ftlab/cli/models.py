"""Commands about models: profile, models, estimate, train, merge, methods, generate."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ftlab.cli.methods import methods
from ftlab.cli.options import (
    FrozenLayers,
    GradientCheckpointing,
    MaxNewTokens,
    Model,
    Records,
    Seed,
    Track,
    TrackingUri,
)
from ftlab.errors import ConfigError, DataError, ModelError


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (profile, models, estimate, train, merge, methods, generate):
        app.command()(command)


def profile(
    refresh: Annotated[bool, typer.Option(help="Time the processor again.")] = False,
) -> None:
    """Show what this machine can do, and why ftlab chose as it did."""
    from rich.console import Console

    from ftlab.hardware import profile as find

    Console().print(find(refresh=refresh))


def models(
    open_models: Annotated[
        bool, typer.Option("--open", help="Open models from the catalogue; the filters imply it.")
    ] = False,
    licence: Annotated[
        list[str] | None, typer.Option(help="A licence, as in the catalogue; repeatable.")
    ] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only what may earn money, freely or limited.")
    ] = False,
    max_parameters: Annotated[
        str | None, typer.Option(help="Most weights: 500M, 1.5B or a number.")
    ] = None,
    min_context: Annotated[int | None, typer.Option(min=1, help="Fewest tokens that fit.")] = None,
    kind: Annotated[str | None, typer.Option(help="base or chat.")] = None,
    safe: Annotated[
        bool, typer.Option("--safe", help="Only weights to be had in safetensors.")
    ] = False,
    fits: Annotated[
        str | None, typer.Option(help="A GPU such as T4, or GB: what --method must fit, with room.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="inference, full, lora or qlora: what --fits asks of.")
    ] = "lora",
) -> None:
    """List the base models that are shipped, or open models that meet your demands."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ftlab.models import shipped

    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    if open_models or any((licence, commercial, max_parameters, min_context, kind, safe, fits)):
        from ftlab import catalogue as room

        whole = room.catalogue()
        found = room.choose(
            whole.models, licences=licence, commercial=commercial, kind=kind, safe=safe,
            max_parameters=_count(max_parameters), min_context=min_context, method=method,
            memory=_memory(fits, room.ROOM),
        )  # fmt: skip
        # A name cut in two cannot be copied, so what is long shares its column, a line below.
        for column in ("name", "weights", f"GB, {method}"):
            table.add_column(column, no_wrap=True)
        for model in found:
            size = room.held(model, method)
            licence_of = model.licence.value
            facts = [model.kind, f"{licence_of} ({whole.licences[licence_of].commercial})"]
            facts += [f"{model.context.value:.0f} tokens"] if model.context else []
            facts += model.weights.formats if model.weights else []
            table.add_row(
                f"[bold]{model.name}[/]\n  {', '.join(facts)}", room.billions(model.size),
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
    for card in shipped():
        table.add_row(
            card.name, f"{card.parameters / 1e6:.1f} M", str(card.context), card.licence,
            f"{card.bytes / 1e6:.1f}", card.description,
        )  # fmt: skip
    Console().print(table)


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
    track: Track = False,
    tracking_uri: TrackingUri = None,
    seed: Seed = 0,
) -> None:
    """Fine-tune a model on your records; the same command goes on with a run that was stopped."""
    import contextlib
    import shutil
    from dataclasses import replace

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
    with contextlib.ExitStack() as stack:
        tracked = None
        if (track or tracking_uri) and processes.first():
            from ftlab.training import track as room

            tracked = stack.enter_context(room.tracking(out.name, tracking_uri))
            settings["on_step"] = _both(settings["on_step"], tracked.on_step)
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
        if tracked:
            run = replace(run, about=run.about | {"track": tracked.about})
        run.save(out)
        if tracked:
            console.print(tracked.finish(run, out), markup=False)
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


def _both(one: Callable[..., None], other: Callable[..., None]) -> Callable[..., None]:
    """Return a callback that calls two."""

    def on_step(*args: Any) -> None:
        one(*args)
        other(*args)

    return on_step


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


def generate(
    prompt: Annotated[str, typer.Argument(help="What to say to the model.")],
    model: Model = "ftlab-7m",
    max_new_tokens: MaxNewTokens = 128,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    seed: Seed = 0,
    raw: Annotated[
        bool, typer.Option(help="Continue the text, without the chat template.")
    ] = False,
) -> None:
    """Print a model's answer to one prompt."""
    from ftlab import models as rooms
    from ftlab.evaluation import generate as room

    loaded, tokenizer = rooms.load(model)
    how: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature}
    how["seed"] = seed
    if raw:
        print(prompt + room.continue_text(loaded, tokenizer, prompt, **how))
    else:
        message = {"role": "user", "content": prompt}
        print(room.generate(loaded, tokenizer, [[message]], **how)[0])
