"""`ftlab …`: the package's functions from a shell.

An error that the user can mend is one message on stderr and exit code 2, never a traceback.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ftlab.errors import DataError, FtlabError, raise_unknown

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fine-tune language models, and prove that it helped.",
)
Model = Annotated[str, typer.Option(help="A shipped name, a folder, or a hub id.")]
Seed = Annotated[int, typer.Option(help="Of the data, the training and the bootstrap.")]


@app.command()
def demo(
    text: Annotated[Path | None, typer.Option(help="Also restore this text file.")] = None,
    model: Model = "ftlab-7m",
    method: Annotated[str, typer.Option(help="full or lora.")] = "full",
    examples: Annotated[int, typer.Option(min=1, help="Passages to train on.")] = 4000,
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


@app.command()
def profile(
    refresh: Annotated[bool, typer.Option(help="Time the processor again.")] = False,
) -> None:
    """Show what this machine can do, and why ftlab chose as it did."""
    from rich import print as show

    from ftlab.hardware import profile as find

    show(find(refresh=refresh))


@app.command()
def models() -> None:
    """List the base models that are shipped."""
    from rich import box
    from rich import print as show
    from rich.table import Table

    from ftlab.models import shipped

    table = Table(box=box.SIMPLE)
    for column in ("name", "parameters", "context", "licence", "MB", "what it is"):
        table.add_column(column)
    for card in shipped():
        table.add_row(
            card.name, f"{card.parameters / 1e6:.1f} M", str(card.context), card.licence,
            f"{card.bytes / 1e6:.1f}", card.description,
        )  # fmt: skip
    show(table)


@app.command()
def tasks() -> None:
    """List the tasks that a model can be taught."""
    from rich import box
    from rich import print as show
    from rich.table import Table

    from ftlab import tasks as room

    table = Table(box=box.SIMPLE, show_lines=True)
    for column in ("task", "headline metric", "what it is"):
        table.add_column(column)
    for name in room.names():
        task = room.get(name)
        table.add_row(name, task.headline, task.describe)
    show(table)


@app.command()
def synth(
    task: Annotated[str, typer.Argument(help="One of `ftlab tasks`.")],
    out: Annotated[Path, typer.Option(help="New JSONL file.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 1000,
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
    seed: Seed = 0,
) -> None:
    """Write examples of a task to a file: offline, fixed by the seed."""
    from ftlab import records
    from ftlab import tasks as room

    if split not in ("train", "test"):
        raise_unknown("split", split, ("train", "test"))
    records.write(out, room.get(task).examples(n, seed, split=split))
    print(f"{n} {split} examples of {task} in {out}")


@app.command()
def doctor(
    data: Annotated[Path, typer.Argument(help="Records, as JSONL.")],
    eval_data: Annotated[Path | None, typer.Option("--eval", help="Held-out records.")] = None,
    model: Annotated[str | None, typer.Option(help="Whose template and tokens to check.")] = None,
    max_length: Annotated[int | None, typer.Option(min=1, help="Tokens of a record.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All findings, all lines.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 on warnings.")] = False,
    fix: Annotated[Path | None, typer.Option(help="Write a mended copy here.")] = None,
) -> None:
    """Examine a data file: every finding, why it hurts, how to mend it."""
    from rich.console import Console

    from ftlab.curation import doctor as room

    console = Console()
    report = room.examine(
        data, eval_path=eval_data, model=model, max_length=max_length, progress=True
    )
    if as_json:
        print(report.to_json())
    else:
        console.print(report.table())
    if fix:
        mended = room.fix(data, fix)
        told = Console(stderr=True)
        told.print(
            f"{mended.records} records in {mended.path}; what was done: {mended.changes_path}"
        )
    raise typer.Exit(report.exit_code(strict=strict))


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Records, as JSONL.")],
    out: Annotated[Path, typer.Option(help="New folder for the tuned model.")],
    model: Model = "ftlab-7m",
    method: Annotated[str, typer.Option(help="full or lora.")] = "full",
    epochs: float = 3,
    batch_size: int = 16,
    learning_rate: float | None = None,
    eval_data: Annotated[Path | None, typer.Option(help="Held-out records, as JSONL.")] = None,
    seed: Seed = 0,
) -> None:
    """Fine-tune a model on your records."""
    from rich.console import Console

    from ftlab import models as rooms
    from ftlab import records
    from ftlab.demo import every
    from ftlab.training import sft

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder. Choose another with --out.")
    console = Console()
    rows = records.read(data)
    held_out = records.read(eval_data) if eval_data else None
    base, tokenizer = rooms.load(model)
    run = sft.train(
        base, tokenizer, rows, method=method, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, eval_records=held_out, seed=seed, on_step=every(10, console),
    )  # fmt: skip
    run.save(out)
    loss = "" if run.eval_loss is None else f"; held-out loss {run.eval_loss:.3f}"
    console.print(
        f"Trained {run.trainable:,} of {run.parameters:,} parameters in {run.seconds:.0f} s{loss}. "
        f"Saved in {out}."
    )


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to say to the model.")],
    model: Model = "ftlab-7m",
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 128,
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


@app.command()
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


@app.command()
def show(
    data: Annotated[Path, typer.Argument(help="Records, as JSONL.")],
    model: Model = "ftlab-7m",
    record: Annotated[int, typer.Option(min=1, help="Which record, from 1.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Token ids and mask as JSON.")] = False,
) -> None:
    """Show one record as the model sees it: rendered, in tokens, with its loss mask."""
    from rich import print as display

    from ftlab import models as rooms
    from ftlab import records
    from ftlab.templates import encode, show_mask

    rows = records.read(data)
    if record > len(rows):
        raise DataError(f"{data} has {len(rows)} records; number {record} was asked for.")
    tokenizer = rooms.tokenizer(model)
    encoded = encode(tokenizer, rows[record - 1])
    if as_json:
        print(json.dumps({"input_ids": encoded.input_ids, "loss_mask": encoded.loss_mask}))
    else:
        display(show_mask(tokenizer, encoded))


def main() -> None:
    """Run the command line; turn the errors a user can mend into one message."""
    if sys.argv[1:2] in (["demo"], ["train"]):
        from ftlab.hardware import huge_pages

        huge_pages()
    try:
        app()
    except FtlabError as error:
        print(f"ftlab: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
