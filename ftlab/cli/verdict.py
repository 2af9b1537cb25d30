"""Commands that prove something: demo, compare, battery."""

from pathlib import Path
from typing import Annotated

import typer

from ftlab.cli.options import Model, Seed


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (demo, compare, battery):
        app.command()(command)


def demo(
    text: Annotated[Path | None, typer.Option(help="Also restore this text file.")] = None,
    model: Model = "ftlab-7m",
    method: Annotated[str, typer.Option(help="full or lora.")] = "full",
    examples: Annotated[
        int | None, typer.Option(min=1, help="Passages to train on; else by this machine's speed.")
    ] = None,
    held_out: Annotated[int, typer.Option(min=1, help="Passages to compare on.")] = 200,
    epochs: float = 2,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for the verdict.")] = Path("runs/demo"),
) -> None:
    """Fine-tune the shipped base to restore punctuation; print base against tuned."""
    from ftlab.demo import demo as run_demo

    run_demo(
        model=model, method=method, examples=examples, held_out=held_out, epochs=epochs,
        seed=seed, text=text, out=out,
    )  # fmt: skip


def compare(
    base: Annotated[str, typer.Option(help="The baseline: a name, a folder, or a hub id.")],
    tuned: Annotated[list[str], typer.Option(help="What to compare with it; may be repeated.")],
    task: Annotated[str, typer.Option(help="What is asked, and how it is marked.")],
    out: Annotated[Path, typer.Option(help="Folder for verdict.json and verdict.html.")],
    data: Annotated[Path | None, typer.Option(help="Held-out JSONL; else the task's own.")] = None,
    held_out: Annotated[int, typer.Option(min=1, help="How many of the task's own.")] = 200,
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 256,
    seed: Seed = 0,
) -> None:
    """Let models answer held-out records; print and save the verdict."""
    from rich.console import Console

    from ftlab import models as rooms
    from ftlab import records, tasks
    from ftlab.evaluation.compare import compare as judge
    from ftlab.evaluation.generate import generate as answer

    console = Console()
    wanted = tasks.get(task)
    rows = records.read(data) if data else wanted.examples(held_out, seed, split="test")
    contestants: dict[str, list[str]] = {}
    for name in dict.fromkeys([base, *tuned]):
        model, tokenizer = rooms.load(name)
        console.print(f"{name} answers {len(rows)} records")
        contestants[name] = answer(
            model, tokenizer, [row.messages for row in rows], max_new_tokens=max_new_tokens,
            progress=lambda done, total, left: console.print(
                f"  {done} of {total}, {left:.0f} s left"
            ),
        )  # fmt: skip
    verdict = judge(wanted, rows, contestants, seed=seed)
    page = verdict.save(out)
    console.print(verdict.table())
    console.print(f"[bold]{verdict.sentence}[/bold]\nEvery example: {page}")


def battery(
    models: Annotated[
        list[str],
        typer.Argument(help="Names, folders (also a run's, with its checkpoint-N), or hub ids."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for battery.json and battery.html.")],
    prompts: Annotated[Path | None, typer.Option(help="JSONL; else the 60 that ship.")] = None,
    times: Annotated[int, typer.Option(help="Answers to each prompt.")] = 1,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 200,
    seed: Seed = 0,
) -> None:
    """Ask models or checkpoints the same prompts; show when a behaviour appears."""
    from rich.console import Console
    from rich.markup import escape

    from ftlab.evaluation import battery as room

    console = Console()
    data = room.battery(
        models, out, prompts=prompts, times=times, temperature=temperature, seed=seed,
        max_new_tokens=max_new_tokens, say=lambda line: console.print(escape(line)),
    )  # fmt: skip
    console.print(room.table(data))
    broken = room.failures(data)
    if times > 1 and not broken:
        console.print(f"Every prompt that asks for a format kept it, {times} of {times}.")
    elif times > 1:
        more = [f"and {len(broken) - 20} more"] if len(broken) > 20 else []
        console.print(escape("\n".join(["Formats broken:", *broken[:20], *more])))
    console.print(f"Every answer: {out / 'battery.html'}")
