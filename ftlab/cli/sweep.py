"""The command that looks for better settings: sweep."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ftlab.cli.options import Model, Seed
from ftlab.errors import ConfigError

if TYPE_CHECKING:
    from ftlab.records import Record
    from ftlab.tasks import Task


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(sweep)


def sweep(
    out: Annotated[Path, typer.Option(help="Folder of the sweep; the same goes on.")],
    data: Annotated[
        Path | None, typer.Argument(help="Records, as JSONL; else the task's own.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Also mark answers, as this task does.")] = None,
    minutes: Annotated[
        float, typer.Option(help="For search and repeats, all calls together.")
    ] = 30,
    model: Model = "ftlab-7m",
    method: Annotated[
        str, typer.Option(help="full, frozen, lora, rslora, dora or qlora.")
    ] = "lora",
    records: Annotated[int, typer.Option(min=1, help="To train on, of the task's own.")] = 500,
    held_out: Annotated[
        int, typer.Option(min=1, help="For the search to score on, and as many for the check.")
    ] = 100,
    test: Annotated[
        Path | None, typer.Option(help="Records for the check, as JSONL; else part of DATA.")
    ] = None,
    max_epochs: Annotated[int, typer.Option(min=1, help="Most that a trial may take.")] = 6,
    trials: Annotated[int | None, typer.Option(min=1, help="End the search after so many.")] = None,
    finalists: Annotated[int, typer.Option(min=1, help="How many of the best to repeat.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh seeds for each of them.")] = 3,
    seed: Seed = 0,
) -> None:
    """Search rate, rank, epochs and batch; say whether the default lost, or it is noise."""
    from rich.console import Console

    from ftlab import models as rooms
    from ftlab import tasks
    from ftlab.evaluation import noise
    from ftlab.files import write_text
    from ftlab.hardware import profile, versions
    from ftlab.teaching import plots_sweep
    from ftlab.training import sweep as room

    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    wanted = tasks.get(task) if task else None
    parts = _parts(data, test, wanted, records, held_out, seed)
    say(" · ".join(f"{len(rows)} records to {what}" for what, rows in zip(
        ("train on", "search by", "check on"), parts, strict=True
    )))  # fmt: skip
    base = rooms.locate(model)
    found = room.sweep(
        lambda: rooms.load(base, bits=4 if method == "qlora" else None), out, *parts,
        minutes=minutes, model=model, method=method, task=task or "",
        space=room.Space(max_epochs=max_epochs), trials=trials, finalists=finalists, seeds=seeds,
        seed=seed, say=say,
    )  # fmt: skip
    if not any(trial.loss is not None for trial in found.trials):
        say("No trial is done yet. The same command goes on.")
        raise typer.Exit(130)
    judgement, verdict = noise.judge(found), None
    if wanted and found.stopped != "interrupted":
        read = rooms.tokenizer(model)
        length = 12 + max(len(read(row.completion)["input_ids"]) for row in parts[2])
        verdict = noise.check(
            found, judgement, wanted, parts[2], out, max_new_tokens=length, seed=seed, say=say
        )
        if verdict:
            verdict.save(out / "check", overwrite=True)
    told = found.to_json()
    pictures = {"parallel.png": plots_sweep.parallel(told),
                "minutes.png": plots_sweep.minutes(told)}  # fmt: skip
    text = noise.markdown(found, judgement, verdict)
    text += "".join(f"\n![{picture.alt}]({name})\n" for name, picture in pictures.items())
    for name, picture in pictures.items():
        picture.save(out / name, overwrite=True)
    told |= {"judgement": judgement.sentences, "versions": versions(), "device": profile().device}
    write_text(out / "sweep.json", json.dumps(told, indent=1) + "\n", overwrite=True)
    write_text(out / "sweep.md", text, overwrite=True)
    for line in judgement.sentences:
        say(line)
    if verdict:
        say(verdict.sentence)
    say(f"Every trial and two pictures: {out / 'sweep.md'}")
    if found.stopped == "interrupted":
        say("Stopped by you. The same command goes on.")
        raise typer.Exit(130)


def _parts(
    data: Path | None, test: Path | None, task: "Task | None", count: int, held_out: int, seed: int
) -> "tuple[list[Record], list[Record], list[Record]]":
    """Return records to train on, to search by, and to check on; no sibling crosses."""
    from ftlab import records
    from ftlab.curation.splits import split

    unseen = records.read(test) if test else None
    if data is not None and unseen is None:
        parts = split(records.read(data), [0.7, 0.15, 0.15], seed=seed)
        return parts["train"], parts["val"], parts["test"]
    if data is not None:
        parts = split(records.read(data), [0.85, 0.15], seed=seed)
    elif task is not None:
        parts = split(task.examples(count + held_out, seed), [count, held_out], seed=seed)
        unseen = unseen or task.examples(held_out, seed, split="test")
    else:
        raise ConfigError("Give records, or a task that makes them: ftlab sweep --task extraction.")
    return parts["train"], parts["test"], unseen or []
