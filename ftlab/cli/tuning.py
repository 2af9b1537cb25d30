"""Commands that tune and prove something: demo, train, compare."""

import os
from pathlib import Path

import typer
from typer import Argument, Option

from ftlab.cli.options import HeldOut, MaxNewTokens, Model, Seed
from ftlab.errors import ConfigError, DataError


def train(
    file: Path = Argument(..., help="Rows to learn, as JSONL."),
    out: Path = Option(..., help="New folder for the tuned model."),
    model: Model = "smollm2-135m",
    method: str = Option("lora", help="full, lora or qlora."),
    epochs: float = Option(3, help="Passes over the rows."),
    batch_size: int = Option(8, min=1, help="Rows in a step of one process."),
    learning_rate: float | None = Option(
        None, help="The peak; else the usual one for method and size."
    ),
    rank: int = Option(16, min=1, help="Of an adapter's matrices."),
    layers: str = Option("all", help="all, or upper-half: adapters there alone."),
    eval_file: Path | None = Option(None, "--eval", help="Rows to measure the loss on, as JSONL."),
    gradient_accumulation: int = Option(1, min=1, help="Batches in a step: less memory at a time."),
    seed: Seed = 0,
    resume: bool = Option(False, "--resume", help="Go on with a run that was stopped."),
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
    sentence: str | None = Option(None, help="Also show this sentence before and after."),
    model: Model = "smollm2-135m",
    examples: int | None = Option(
        None, min=1, help="Passages to train on; else by this machine's speed."
    ),
    held_out: int = Option(120, min=1, help="Passages to compare on."),
    epochs: float = 3,
    seed: Seed = 0,
    out: Path = Option(Path("runs/demo"), help="Folder for the verdict."),
) -> None:
    """Fine-tune a real model to restore punctuation; print base, prompted base and tuned."""
    from ftlab.demo import demo as run_demo

    run_demo(
        model=model, examples=examples, held_out=held_out, epochs=epochs, seed=seed,
        sentence=sentence, out=out,
    )  # fmt: skip


def compare(
    base: str = Option(..., help="The baseline: a name, a folder, a hub id, or URL#NAME."),
    task: str = Option(..., help="What is asked, and how it is marked."),
    out: Path = Option(..., help="Folder for verdict.json and verdict.html."),
    tuned: list[str] | None = Option(
        None,
        "--tuned",
        "--system",
        help="What to compare with it; repeat it. An endpoint's model is [LABEL=]http://…/v1#NAME.",
    ),
    instructions: str = Option(
        "", help="Also ask with this text, or this file's, in front; 'task' takes the task's own."
    ),
    few_shot: int = Option(0, min=0, help="Also ask base and endpoints with so many examples."),
    baseline: bool = Option(
        False, "--baseline", help="Also the task's own, without a language model."
    ),
    data: HeldOut = None,
    train: Path | None = Option(
        None, help="JSONL for --few-shot and --baseline; else 1,000 of the task's own."
    ),
    held_out: int = Option(200, min=1, help="How many of the task's own."),
    max_new_tokens: MaxNewTokens = 256,
    overwrite: bool = Option(False, "--overwrite", help="Replace a verdict."),
    seed: Seed = 0,
) -> None:
    """Let models answer held-out records; print and save the verdict."""
    from rich.console import Console

    from ftlab import tasks
    from ftlab.data import Row, read
    from ftlab.evaluation import systems
    from ftlab.training import folder

    wanted = tasks.get(task)
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
    verdict = systems.contest(
        wanted, rows, lineup, train_records=learned, max_new_tokens=max_new_tokens, seed=seed,
        folder=out,
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
