"""The whole course in a few minutes: fine-tune a real model, then prove that it helped.

    ftlab demo                                  # or: make demo
    ftlab demo --sentence "who is she"          # and show a sentence of your own

The task is punctuation and capitals. Three systems restore the same held-out passages: the base
asked plainly, the base with eight solved examples in its prompt, and the tuned model.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import DataError
from ftlab.files import sha256

if TYPE_CHECKING:
    from rich.console import Console

    from ftlab.evaluation.compare import Verdict

SHOTS = 8
PLAIN, FEW_SHOT, TUNED = "base", f"base + {SHOTS} examples", "tuned"


def demo(
    *,
    model: str = "smollm2-135m",
    examples: int | None = None,
    held_out: int = 120,
    epochs: float = 3,
    seed: int = 0,
    sentence: str | None = None,
    out: Path = Path("runs/demo"),
    console: "Console | None" = None,
) -> "Verdict":
    """Fine-tune `model` on punctuation, compare it with its base, save and print the verdict.

    Args:
        model: what `ftlab.models.load` takes.
        examples: rows to train on; by default 100 or 150, by this machine's speed.
        held_out: rows to compare on, from text that is not trained on.
        epochs: passes over the training rows.
        seed: of the data, the training and the bootstrap.
        sentence: a sentence of the user's to show before and after.
        out: folder for `verdict.json` and `verdict.html`; those of an earlier demo are replaced.
        console: where to print.

    Raises:
        FtlabError: something is wrong with the sentence, the model or the disk.
    """
    from rich.console import Console

    from ftlab import data, models, tasks
    from ftlab.evaluation.compare import compare
    from ftlab.evaluation.systems import System
    from ftlab.generation import generate
    from ftlab.hardware import profile, versions
    from ftlab.tasks import punctuation

    console = console or Console()
    begun = time.perf_counter()
    if sentence is not None and not punctuation.strip(sentence):
        raise DataError(f"The sentence {sentence!r} holds no words to restore.")
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; a folder is wanted. Choose another with --out.")
    console.print(str(profile()), markup=False, highlight=False, soft_wrap=True)
    examples = examples or profile().examples
    train = punctuation.rows(examples, seed)
    test = punctuation.rows(held_out, seed, "test")
    console.print(f"{examples} passages to train on, {held_out} held out.")
    base, tokenizer = models.load(model)
    longest = 12 + max(len(tokenizer(data.answer(row))["input_ids"]) for row in test)

    def ask(model: Any, conversations: list[Any], name: str = "") -> list[str]:
        def progress(done: int, total: int, left: float) -> None:
            if name:
                console.print(f"  {name}: {done} of {total} answered, {left:.0f} s left")

        return generate(
            model, tokenizer, conversations, max_new_tokens=longest, batch_size=40,
            progress=progress,
        )  # fmt: skip

    plain = [row["prompt"] for row in test]
    mine = [punctuation.question(sentence)] if sentence else []
    prompted = System(FEW_SHOT, model, few_shot_examples=tuple(train[:SHOTS]))
    few_shot = [prompted.asks(messages) for messages in plain]
    answers = {PLAIN: ask(base, plain, PLAIN), FEW_SHOT: ask(base, few_shot, FEW_SHOT)}
    before = ask(base, mine)
    tuned, training = _train(base, tokenizer, train, epochs, seed)
    answers[TUNED] = ask(tuned, plain, TUNED)
    place = models.locate(model)
    provenance = {
        "models": {
            "base": model,
            "base sha256": sha256(place) if isinstance(place, Path) else "on the hub",
        },
        "training": training, "versions": versions(), "device": str(tuned.device),
        "seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip
    verdict = compare(tasks.get("punctuation"), test, answers, seed=seed, provenance=provenance)
    page = verdict.save(out, overwrite=True)
    console.print(verdict.table())
    for example in verdict.examples[:5]:  # not the best five, the first five
        said = {name: answer["text"] for name, answer in example["outputs"].items()}
        _show(console, {"given": example["input"], **said, "written": example["reference"]})
    if sentence:
        console.rule("Your sentence")
        said = dict(zip((PLAIN, TUNED), before + ask(tuned, mine), strict=True))
        parsed = {name: punctuation.parse(answer) for name, answer in said.items()}
        _show(console, {"given": punctuation.strip(sentence), **parsed})
    console.print(f"[bold]{verdict.sentence}[/bold]")
    console.print(
        f"Training took {training['seconds']:.0f} s, everything "
        f"{time.perf_counter() - begun:.0f} s. Every example: {page}"
    )
    return verdict


def _train(
    base: Any, tokenizer: Any, rows: list[dict[str, Any]], epochs: float, seed: int
) -> tuple[Any, dict[str, Any]]:
    """Train LoRA on the upper half of the layers; return the tuned model and what it took."""
    import datasets
    from peft import LoraConfig
    from trl import SFTTrainer

    from ftlab.hardware import seed_everything
    from ftlab.training.callbacks import ProgressLines, quiet
    from ftlab.training.config import learning_rate, sft_config
    from ftlab.training.fast import faster_on_cpu, upper_half

    seed_everything(seed)
    datasets.disable_progress_bars()
    upper = upper_half(base)
    lora = LoraConfig(r=16, lora_alpha=32, **upper)
    args = sft_config(
        num_train_epochs=epochs, seed=seed,
        per_device_train_batch_size=4,  # few rows: small batches give more steps
        learning_rate=learning_rate("lora", base.num_parameters()).high,
    )  # fmt: skip
    trainer: Any = SFTTrainer(
        base, args=args, processing_class=tokenizer, peft_config=lora, callbacks=[ProgressLines()],
        train_dataset=datasets.Dataset.from_list(rows).remove_columns("meta"),
    )  # fmt: skip
    quiet(trainer)
    faster_on_cpu(trainer)
    begun = time.perf_counter()
    trainer.train()
    return trainer.model, {
        "method": "lora", "rank": lora.r, "alpha": lora.lora_alpha,
        "layers": len(upper["layers_to_transform"]), "records": len(rows), "epochs": epochs,
        "batch_size": args.per_device_train_batch_size, "learning_rate": args.learning_rate,
        "seed": seed, "steps": trainer.state.global_step,
        "seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip


def _show(console: "Console", said: dict[str, Any]) -> None:
    """Print one passage, what each system made of it, and what its author wrote."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 1))
    table.add_column(style="dim", justify="right")
    table.add_column(overflow="fold")
    for name, text in said.items():
        table.add_row(name, Text(text or "(nothing)"))
    console.print(table)
    console.print()
