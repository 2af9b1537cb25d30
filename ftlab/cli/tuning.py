"""Commands that tune and prove something: demo, train, compare."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ftlab.cli.options import HeldOut, MaxNewTokens, Model, Seed
from ftlab.errors import ConfigError, DataError


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


VERDICT = ("verdict.json", "verdict.html")


def demo(
    sentence: Annotated[
        str | None, typer.Option(help="Also show this sentence before and after.")
    ] = None,
    model: Model = "smollm2-135m",
    examples: Annotated[
        int | None, typer.Option(min=1, help="Passages to train on; else by this machine's speed.")
    ] = None,
    held_out: Annotated[int, typer.Option(min=1, help="Passages to compare on.")] = 120,
    epochs: float = 3,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for the verdict.")] = Path("runs/demo"),
) -> None:
    """Fine-tune a real model to restore punctuation; print base, prompted base and tuned."""
    from ftlab.demo import demo as run_demo

    run_demo(
        model=model, examples=examples, held_out=held_out, epochs=epochs, seed=seed,
        sentence=sentence, out=out,
    )  # fmt: skip


def compare(
    base: Annotated[
        str, typer.Option(help="The baseline: a name, a folder, a hub id, or URL#NAME.")
    ],
    task: Annotated[str, typer.Option(help="What is asked, and how it is marked.")],
    out: Annotated[Path, typer.Option(help="Folder for verdict.json and verdict.html.")],
    tuned: Annotated[
        list[str] | None,
        typer.Option("--tuned", "--system",
                     help="What to compare with it; repeat it. A model behind an endpoint is "
                          "[LABEL=]http://…/v1#NAME."),
    ] = None,
    instructions: Annotated[
        str,
        typer.Option(help="Also ask with this text, or the text in this file, in front; "
                          "'task' takes the task's description."),
    ] = "",
    few_shot: Annotated[
        int, typer.Option(min=0, help="Also ask base and endpoints with so many examples.")
    ] = 0,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Also the task's own, without a language model.")
    ] = False,
    data: HeldOut = None,
    train: Annotated[
        Path | None,
        typer.Option(help="JSONL for --few-shot and --baseline; else 1,000 of the task's own."),
    ] = None,
    held_out: Annotated[int, typer.Option(min=1, help="How many of the task's own.")] = 200,
    prices: Annotated[
        Path | None, typer.Option(help="Your price table; else the shipped examples.")
    ] = None,
    max_new_tokens: MaxNewTokens = 256,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a verdict.")] = False,
    seed: Seed = 0,
) -> None:  # fmt: skip
    """Let models answer held-out records; print and save the verdict."""
    from rich.console import Console

    from ftlab import tasks
    from ftlab.data import Row, read
    from ftlab.evaluation import systems
    from ftlab.evaluation.contest import contest
    from ftlab.evaluation.costs import prices as price_table
    from ftlab.training import folder

    wanted = tasks.get(task)
    table = price_table(prices)
    if not overwrite and (found := [p for p in VERDICT if (out / p).exists()]):
        raise DataError(
            f"{out / found[0]} exists already. Choose another folder with --out, or --overwrite."
        )
    rows = read(data) if data else wanted.up_to(held_out, seed, split="test")
    learned: list[Row] = []
    if few_shot or baseline:
        learned = read(train) if train else wanted.up_to(1000, seed)
    lineup = systems.lineup(
        base, tuned or [], instructions=_instructions(instructions, wanted.describe),
        examples=systems.few_shot_examples(learned, rows, few_shot, seed=seed),
        baseline=wanted if baseline else None,
    )  # fmt: skip
    console = Console()
    verdict = contest(
        wanted, rows, lineup, train_records=learned, table=table,
        max_new_tokens=max_new_tokens, seed=seed, folder=out,
        say=lambda line: console.print(line, markup=False, highlight=False),
    )  # fmt: skip
    page = verdict.save(out, overwrite=overwrite)
    console.print(verdict.table())
    console.print(verdict.sentence, style="bold", markup=False)
    for remark in verdict.remarks:
        console.print(f"· {remark}", markup=False)
    console.print(f"Every example: {page}", markup=False)
    data_out = verdict.to_json()
    for name in tuned or []:
        if card := folder.add_verdict(name, data_out):
            console.print(f"Its figures are in {card} now.", markup=False)


def _instructions(text: str, describe: str) -> str:
    """Return the instructions: the task's description, a file's text, or the text itself."""
    from ftlab.files import read_text

    if text == "task":
        return describe
    try:
        return read_text(text).strip() if Path(text).is_file() else text
    except OSError:  # too long to be a file's name
        return text
