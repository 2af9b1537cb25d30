"""The whole course in four minutes: fine-tune the shipped base, then prove that it helped.

    ftlab demo                  # or: make demo
    ftlab demo --text my.txt    # and restore a file of your own

The task is punctuation and capitals, the text is the documentation of the Python that runs this.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import DataError
from ftlab.files import read_text, sha256, write_text

if TYPE_CHECKING:
    from rich.console import Console

    from ftlab.evaluation.compare import Verdict


RANK = 64  # of LoRA: beside layers as thin as the 7M's, 32 learns less in the same steps


def demo(
    *,
    model: str = "ftlab-7m",
    method: str = "full",
    examples: int | None = None,
    held_out: int = 200,
    epochs: float = 2,
    seed: int = 0,
    text: Path | None = None,
    out: Path = Path("runs/demo"),
    console: "Console | None" = None,
) -> "Verdict":
    """Fine-tune `model` on punctuation, compare it with its base, save and print the verdict.

    Args:
        model: a shipped name, a folder, or a hub id.
        method: "full" or "lora".
        examples: records to train on; by default what this machine learns in two to five minutes.
        held_out: records to compare on, from text that the base has never seen.
        epochs: passes over the training records.
        seed: of the data, the training and the bootstrap.
        text: a file to restore with the tuned model; its copy goes to `out`.
        out: folder for `verdict.json` and `verdict.html`; those of an earlier demo are replaced.
        console: where to print.

    Raises:
        FtlabError: something is wrong with the text file, the model or the disk.
    """
    from rich.console import Console

    from ftlab import data, models, tasks
    from ftlab.evaluation.compare import compare
    from ftlab.generation import generate
    from ftlab.hardware import profile, versions
    from ftlab.tasks import punctuation
    from ftlab.training import sft

    console = console or Console()
    begun = time.perf_counter()
    passages = punctuation.restorable(read_text(text)) if text else []
    if text and not any(passages):
        raise DataError(f"{text} holds no words to restore.")
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; a folder is wanted. Choose another with --out.")
    console.print(profile())
    examples = examples or profile().records
    task = tasks.get("punctuation")
    train_records = task.examples(examples, seed)
    test_records = task.examples(held_out, seed, split="test")
    console.print(
        f"{examples} passages to learn from, {held_out} held out (text the base has never seen)."
    )
    base, tokenizer = models.load(model)
    prompts = [data.prompt(record) for record in test_records]
    length = 12 + max(len(tokenizer(data.answer(r))["input_ids"]) for r in test_records)

    def answers(name: str, current: Any) -> list[str]:
        return generate(
            current, tokenizer, prompts, max_new_tokens=length, batch_size=50,
            progress=lambda done, total, left: console.print(
                f"  {name}: {done} of {total} answered, {left:.0f} s left"
            ),
        )  # fmt: skip

    base_answers = answers("base", base)
    run = sft.train(
        base, tokenizer, train_records, method=method, rank=RANK, epochs=epochs, seed=seed,
        on_step=every(10, console),
    )  # fmt: skip
    tuned_answers = answers("tuned", run.model)
    verdict = compare(
        task,
        test_records,
        {"base": base_answers, "tuned": tuned_answers},
        seed=seed,
        provenance={
            "models": {"base": model, "base sha256": _hash(models.locate(model))},
            "training": run.settings | {"seconds": run.seconds, "steps": run.steps},
            "versions": versions(),
            "device": str(run.model.device),
            "seconds": round(time.perf_counter() - begun, 1),
        },
    )
    page = verdict.save(out, overwrite=True)
    console.print(verdict.table())
    _before_and_after(verdict, console)
    if text:
        restored = punctuation.rejoin(_restore(passages, run.model, tokenizer))
        written = write_text(out / f"{text.stem}.restored.txt", restored + "\n", overwrite=True)
        console.rule(f"{text.name}, restored")
        console.print(restored, markup=False, highlight=False)
        console.print(f"(in {written})")
    console.print(f"[bold]{verdict.sentence}[/bold]")
    console.print(
        f"Training took {run.seconds:.0f} s, everything {time.perf_counter() - begun:.0f} s. "
        f"Every example: {page}"
    )
    return verdict


def every(count: int, console: "Console") -> Callable[[int, int, float, float], None]:
    """Return an `on_step` that prints a line every `count` steps, and at both ends."""

    def on_step(step: int, total: int, loss: float, left: float) -> None:
        if step == 1 or step == total or step % count == 0:
            console.print(f"  step {step} of {total} · loss {loss:.3f} · {left:.0f} s left")

    return on_step


def _restore(passages: list[str], model: Any, tokenizer: Any) -> list[str]:
    """Restore every passage; "" stands for a paragraph break and stays."""
    from ftlab.generation import generate
    from ftlab.tasks import punctuation

    wanted = [p for p in passages if p]
    answers = generate(model, tokenizer, [punctuation.prompt(p) for p in wanted])
    restored = iter(punctuation.parse(answer) for answer in answers)
    return [next(restored) if p else "" for p in passages]


def _before_and_after(verdict: "Verdict", console: "Console") -> None:
    """Print five held-out passages: not the best five, the first five."""
    from rich.table import Table

    for example in verdict.examples[:5]:
        table = Table(show_header=False, box=None, padding=(0, 1))
        table.add_column(style="dim", justify="right")
        table.add_column(overflow="fold")
        table.add_row("given", example["input"].split("\n", 1)[1])
        for name, answer in example["outputs"].items():
            table.add_row(name, answer["text"] or "(nothing)")
        table.add_row("written", example["reference"])
        console.print(table)
        console.print()


def _hash(place: Any) -> str:
    """Return the hash of a local model folder; a hub id has none here."""
    return sha256(place) if isinstance(place, Path) else "on the hub"
